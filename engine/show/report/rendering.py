"""A report as HTML (one file, nothing fetched) and as Markdown (figures beside it). Owns the escaping.

The words are in report.html.jinja and report.md.jinja; every value that they print is escaped: in HTML by
Jinja's own escaping, in Markdown by `_plain`, the one place for it.
"""

import base64
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from engine.core.plain import in_markdown, in_terminal
from engine.show.report.blocks import Document

FIGURES = "figures"
_VERDICTS = {"better": "better", "worse": "worse", "Passed": "better", "reached": "better"}
# For a text that people also read as it stands, and for readers that let raw HTML through.
_LIGHTER = (("\\<", "&lt;"), ("\\>", "&gt;"), ("\\&", "&amp;"), ("\\:", ":"), ("\\!", "!"))
_OPENING = re.compile(r"^(\d*)\\([-+=.])")
_LONG = 44  # letters from which a cell may break into lines


class _Ready(str):
    """Markdown that is meant as markup, or is escaped already."""


def as_html(document: Document, drawn: Mapping[str, str]) -> str:
    """Return the report as one HTML document; `drawn` maps a figure's name to its SVG."""

    def packed(name: str) -> str:
        return base64.b64encode(drawn[name].encode("utf-8")).decode("ascii")

    return _template("html").render(document=document, packed=packed, classes=_classes)


def as_markdown(document: Document) -> str:
    """Return the whole report as Markdown text."""
    return _template("md").render(document=document)


@cache
def _template(kind: str) -> Any:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=kind == "html",
        finalize=_escaped if kind == "md" else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"markup": _Ready, "cell": _cell, "code": _code}
    return made.get_template(f"report.{kind}.jinja")


def _classes(tag: str, text: str, right: bool) -> Markup:
    """The class attribute of a table's cell: what holds numbers, a verdict, a long text; "" for any other."""
    kinds = ["number"] if right else []
    kinds += [_VERDICTS[text]] if tag == "td" and text in _VERDICTS else []
    kinds += ["long"] if len(text) > _LONG else []
    return Markup(' class="{}"').format(" ".join(kinds)) if kinds else Markup("")


def _escaped(value: Any) -> str:
    return value if isinstance(value, _Ready) else _plain(str(value))


def _cell(text: str) -> _Ready:
    """A cell opens no list: neither its sign nor its number needs a backslash."""
    return _Ready(_OPENING.sub(r"\1\2", _plain(text)))


def _code(line: str) -> _Ready:
    """A command in an indented block, where nothing is markup."""
    return _Ready("\n    ".join(in_terminal(part) for part in line.splitlines() or [""]))


def _plain(text: str) -> str:
    """Keep a text from being read as Markdown, and on one line."""
    found = in_markdown(" ".join(text.split()))
    for heavy, light in _LIGHTER:
        found = found.replace(heavy, light)
    return found
