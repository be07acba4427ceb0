"""Command lines of `python -m engine` as text that can be pasted into a shell, and how their values are read.

Owns the spelling of every command that is printed anywhere, and its opposite: `read_value(typed(v))` is v.
"""

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.paths import REPOSITORY, Workspace

PROGRAM = "python -m engine"
_GROUPS = "augment|autopilot|base|worlds"  # commands of theirs come after a second word
_SCREEN = 44  # letters of a line of code on a telephone, and in a column of a page
_OPTION = re.compile(r"""('[^']*'|"[^"]*")| (?=--\w)""")  # what is quoted goes as it is
_PRINTED = re.compile(rf"{PROGRAM} (?:(?:{_GROUPS}) )?[a-z][a-z-]*[a-z](?![\w=-])")


def command_line(
    *words: str,
    ws: Workspace | None = None,
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Return a command as it is pasted: its words, `--set name=value` for settings, then options.

    An option that is True is a flag; None and False leave it out; a mapping repeats it as KEY=VALUE, a list
    as it is. `ws` is named where it is not the one that a bare command means.
    """
    told = list(words)
    for name, value in (settings or {}).items():
        told += ["--set", f"{name}={typed(value)}"]
    for name, value in (options or {}).items():
        told += _option(f"--{name.replace('_', '-')}", value)
    if ws is not None and not _is_default(ws):
        told += ["--workspace", str(ws.root)]
    return f"{PROGRAM} {shlex.join(told)}"


def on_lines(commands: str) -> str:
    """Return commands, a line each, as they are shown: a long one as an option a line, to be pasted.

    A screen that is too narrow breaks a line at hyphens, too, and `--` stands alone then.
    """
    if max(map(len, commands.splitlines()), default=0) <= _SCREEN:
        return commands
    return _OPTION.sub(lambda found: found[1] or " \\\n  ", commands)


def typed(value: Any) -> str:
    """Spell a value as it is typed after --set: lists with commas, None as "null", else unclear as JSON."""
    if value is None or isinstance(value, bool | Mapping):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value if read_value(value) == value and value == value.strip() else json.dumps(value)
    members = [typed(one) for one in value]
    told = ",".join(members)
    if len(members) == 1 and not isinstance(value[0], list | tuple):
        return told
    is_plain = len(members) > 1 and not any(mark in one for one in members for mark in ',[]{}"')
    return told if is_plain else json.dumps(value)


def read_value(text: str) -> Any:
    """Read a value typed after --set: JSON; else a comma makes a list; else it is a text."""
    try:
        return json.loads(text)
    except ValueError:
        return [read_value(part.strip()) for part in text.split(",")] if "," in text else text


def in_workspace(text: str, ws: Workspace) -> str:
    """Return a text whose commands name the workspace they are meant for, where a bare one means another."""
    if _is_default(ws) or "--workspace" in text:
        return text
    return _PRINTED.sub(lambda found: f"{found[0]} --workspace {shlex.quote(str(ws.root))}", text)


def _option(flag: str, value: Any) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, Mapping):
        return [word for key, one in value.items() for word in (flag, f"{key}={one}")]
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [flag, str(value)]
    return [word for one in value for word in (flag, str(one))]


def _is_default(ws: Workspace) -> bool:
    return ws.root == REPOSITORY and not os.environ.get("PERSONA_LAB_WORKSPACE")
