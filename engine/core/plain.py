"""Text from files and people, kept text wherever it is shown: in markdown, in a terminal, in a table's cell.

Owns what each place would make of signs. Whatever was not written by this product goes through one of these,
once, where it is shown; what is stored stays as it came.
"""

import json
import re
from functools import lru_cache
from typing import Any

_JOINER = "\u2060"  # takes no place and breaks no line, and what it parts is no pattern any more
_SIGNS = re.compile(r"[\\`*_\[\]<>$#:~|&!]")
# What opens a list, a rule, a heading or code where a line begins.
_OPENING = re.compile(r"^([ \u00a0]*)(?:(\d{1,9})([.)])|([-+=]))", re.MULTILINE)
_INDENT = re.compile(r"^ +", re.MULTILINE)
# What is replaced after the signs are read, so that no backslash keeps it: icons, addresses, arrows.
_TURNED = re.compile(
    r"(?<=:)(?=material/|streamlit:|//)|(?<=www)(?=\.)|(?<=\w@)(?=\w)"
    r"|(?<!\S)(?=(?:<-|->|<->|--|>=|<=|~=)(?!\S))",
    re.IGNORECASE,
)
# Characters that show nothing: controls, and those that turn the direction of what stands beside them.
_TURNING = "\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff{_TURNING}]")
_FORMULA = re.compile(r"\s*[=+\-@|%\t\r\uff1d\uff0b\uff0d\uff20]")
_UNSAFE_IN_JSON = re.compile(rf"[\x7f-\x9f{_TURNING}]")


@lru_cache(maxsize=2048)
def in_markdown(text: str) -> str:
    """Return `text` so that a reader of markdown sees its very characters, and no markup comes of it.

    Holds for CommonMark, GitHub's and Streamlit's (LaTeX, colours, badges, icons, addresses that become links
    by themselves, arrows and dashes). Lines stay lines; controls are left out.
    """
    found = _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    "))
    found = _SIGNS.sub(r"\\\g<0>", _TURNED.sub(_JOINER, found))
    found = _INDENT.sub(lambda indent: "\u00a0" * len(indent[0]), found)
    found = _OPENING.sub(_closed, found)
    return found.replace("\n", "  \n")


def _closed(opening: re.Match[str]) -> str:
    indent, number, dot, sign = opening.groups()
    return f"{indent}{number}\\{dot}" if number else f"{indent}\\{sign}"


def in_terminal(text: str) -> str:
    """Return `text` without what a terminal obeys or turns; tabs and ends of lines stay."""
    return _UNSEEN.sub("", text)


def in_cell(value: Any) -> Any:
    """Return a value for a CSV file: no spreadsheet takes a text for a formula, numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def in_table(value: Any) -> Any:
    """Return a value for a table that a reader may save: as `in_cell`, with nothing to be seen of it."""
    return f"{_JOINER}{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def json_text(value: Any, *, ascii_only: bool = False) -> str:
    """Return `value` as JSON text for people and programs, in which no character moves a terminal.

    Raises ValueError on NaN.
    """
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2, allow_nan=False)
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
