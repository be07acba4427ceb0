"""A report as Markdown, with its figures as files beside it. Owns the escaping; decides nothing."""

from __future__ import annotations

from engine.core.plain import in_markdown, in_terminal
from engine.show.report.blocks import Block, Bullets, Code, Document, Exchange, Figure, Section, Table, Text

FIGURES = "figures"
# For a text that people also read as it stands, and for readers that let raw HTML through.
_LIGHTER = (("\\<", "&lt;"), ("\\>", "&gt;"), ("\\&", "&amp;"), ("\\:", ":"), ("\\!", "!"))


def as_markdown(document: Document) -> str:
    """Return the whole report as Markdown text."""
    parts = [f"# {_plain(document.title)}", _plain(document.subtitle)]
    parts += [_section(section) for section in document.sections]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section) -> str:
    return "\n\n".join([f"## {_plain(section.title)}", *(_block(block) for block in section.blocks)])


def _block(block: Block) -> str:
    match block:
        case Text(text=text, tone=tone):
            return {"lead": f"**{_plain(text)}**", "note": f"> {_plain(text)}"}.get(tone, _plain(text))
        case Bullets(items=items):
            return "\n".join(f"- {_plain(item)}" for item in items)
        case Table():
            return _table(block)
        case Figure(name=name, caption=caption, alt=alt):
            return f"![{_plain(alt)}]({FIGURES}/{name}.svg)\n\n*{_plain(caption)}*"
        case Exchange():
            return _exchange(block)
        case Code(lines=lines):
            return "\n".join(f"    {in_terminal(line)}" for one in lines for line in one.splitlines() or [""])


def _table(table: Table) -> str:
    rule = ("---:" if name in table.right else "---" for name in table.columns)
    lines = [_row(table.columns), f"| {' | '.join(rule)} |", *(_row(row) for row in table.rows)]
    return f"{_plain(table.caption)}\n\n" + "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """A cell opens no list: its sign needs no backslash."""
    found = _plain(text)
    return found[1:] if found[:2] in ("\\+", "\\-", "\\=") else found


def _exchange(exchange: Exchange) -> str:
    lines = [f"### {_plain(exchange.title)}", f"> {_plain(exchange.asked)}"]
    for said in exchange.replies:
        score = f" ({_plain(said.score)})" if said.score else ""
        lines.append(f"- {_plain(said.who)}{score}: {_plain(said.text)}")
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])


def _plain(text: str) -> str:
    """Keep a text from being read as markup, and on one line."""
    found = in_markdown(" ".join(text.split()))
    for heavy, light in _LIGHTER:
        found = found.replace(heavy, light)
    return found
