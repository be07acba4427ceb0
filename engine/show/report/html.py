"""A report as one HTML file: style and figures inside, no script, nothing fetched. Owns the escaping."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

from engine.show.report.blocks import Block, Bullets, Code, Document, Exchange, Figure, Section, Table, Text

_VERDICTS = {"better": "better", "worse": "worse", "Passed": "better", "reached": "better"}
_LONG = 44  # letters from which a cell may break into lines
_STYLE = """
:root { color: #1c252b; background: #fdfdfc; font: 16px/1.55 "Helvetica Neue", Arial, sans-serif; }
body { max-width: 64rem; margin: 0 auto; padding: 3rem 2rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 3rem 0 .8rem; padding-top: 1rem; border-top: 1px solid #dfe4e6; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
p { margin: .6rem 0; max-width: 46rem; }
.subtitle, figcaption, caption { color: #58656d; }
.lead { font-size: 1.15rem; }
.note { border-left: 3px solid #c2631a; background: #fbeee1; padding: .5rem .9rem; border-radius: .2rem; }
nav { margin: 1.6rem 0 0; font-size: .92rem; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; }
nav a { color: #1f6391; text-decoration: none; white-space: nowrap; }
ul { padding-left: 1.2rem; max-width: 46rem; }
li { margin: .25rem 0; }
.wide { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; font-size: .92rem; }
th { text-align: left; font-weight: 600; background: #f3f5f5; vertical-align: bottom; }
th, td { padding: .36rem .5rem; border-bottom: 1px solid #dfe4e6; }
th, td { white-space: nowrap; }
td { vertical-align: top; }
td.long { white-space: normal; min-width: 20rem; }
.number { text-align: right; white-space: nowrap; }
.better { color: #1f5c8e; font-weight: 600; }
.worse { color: #9a4c10; font-weight: 600; }
figure { margin: 1.6rem 0; }
figure img { max-width: 100%; height: auto; display: block; }
figcaption { font-size: .9rem; max-width: 46rem; }
.exchange { border: 1px solid #dfe4e6; border-radius: .4rem; padding: 1rem 1.2rem; margin: 1rem 0; }
.asked { margin: 0 0 .8rem; }
.asked::before, dt { color: #58656d; }
.asked::before { content: "User: "; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .35rem 1.2rem; margin: 0; }
dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
dt span { font-variant-numeric: tabular-nums; }
pre { background: #f3f5f5; padding: .9rem 1.1rem; border-radius: .4rem; }
pre { white-space: pre-wrap; font-size: .85rem; }
@media print { body { padding: 0; max-width: none; } nav { display: none; }
  figure, .exchange, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""


def as_html(document: Document, drawn: Mapping[str, str]) -> str:
    """Return the report as one HTML document; `drawn` maps a figure's name to its SVG."""
    links = "".join(
        f'<a href="#s{number}">{escape(section.title)}</a>'
        for number, section in enumerate(document.sections, 1)
    )
    body = "".join(_section(number, one, drawn) for number, one in enumerate(document.sections, 1))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:;'
        " style-src 'unsafe-inline'\">\n"
        f"<title>{escape(document.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(document.title)}</h1><p class="subtitle">{escape(document.subtitle)}</p>'
        f"<nav>{links}</nav></header>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _section(number: int, section: Section, drawn: Mapping[str, str]) -> str:
    blocks = "\n".join(_block(block, drawn) for block in section.blocks)
    return f'<section id="s{number}">\n<h2>{escape(section.title)}</h2>\n{blocks}\n</section>\n'


def _block(block: Block, drawn: Mapping[str, str]) -> str:
    match block:
        case Text(text=text, tone=tone):
            return f'<p class="{tone}">{escape(text)}</p>' if tone else f"<p>{escape(text)}</p>"
        case Bullets(items=items):
            return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
        case Table():
            return _table(block)
        case Figure(name=name, caption=caption, alt=alt):
            packed = base64.b64encode(drawn[name].encode("utf-8")).decode("ascii")
            image = f'<img alt="{escape(alt)}" src="data:image/svg+xml;base64,{packed}">'
            return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"
        case Exchange():
            return _exchange(block)
        case Code(lines=lines):
            return f"<pre><code>{escape(chr(10).join(lines))}</code></pre>"


def _table(table: Table) -> str:
    numbers = [name in table.right for name in table.columns]
    head = "".join(_cell("th", name, number) for name, number in zip(table.columns, numbers, strict=True))
    rows = "".join(
        f"<tr>{''.join(_cell('td', cell, number) for cell, number in zip(row, numbers, strict=True))}</tr>\n"
        for row in table.rows
    )
    caption = f"<caption>{escape(table.caption)}</caption>"
    inside = f"{caption}<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>"
    return f'<div class="wide"><table>{inside}</table></div>'


def _cell(tag: str, text: str, number: bool) -> str:
    kinds = ["number"] if number else []
    kinds += [_VERDICTS[text]] if tag == "td" and text in _VERDICTS else []
    kinds += ["long"] if len(text) > _LONG else []
    return (
        f'<{tag} class="{" ".join(kinds)}">{escape(text)}</{tag}>'
        if kinds
        else f"<{tag}>{escape(text)}</{tag}>"
    )


def _exchange(exchange: Exchange) -> str:
    said = "".join(
        f"<dt>{escape(one.who)} <span>{escape(one.score)}</span></dt><dd>{escape(one.text)}</dd>"
        for one in exchange.replies
    )
    return (
        f'<div class="exchange"><h3>{escape(exchange.title)}</h3>'
        f'<p class="asked">{escape(exchange.asked)}</p><dl>{said}</dl></div>'
    )
