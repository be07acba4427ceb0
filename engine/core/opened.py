"""The workspaces that this user has opened, newest first: what a switcher offers. Owns one file of names.

It lies with the user's settings, outside of every workspace, and only names folders: one that has gone since
is left out, and a file that cannot be read or written costs nothing but the list.
"""

import hashlib
import re
from pathlib import Path

from engine.core.paths import Workspace, read_if_whole, user_folder, write_json

_MOST = 30
_PLAIN = re.compile(r"[^a-z0-9]+")


def workspaces() -> list[Workspace]:
    """Return the workspaces that are still there, the last one opened first."""
    roots = read_if_whole(_path(), list[str]) or []
    return [Workspace(Path(root)) for root in dict.fromkeys(roots) if Path(root).is_dir()]


def remember(ws: Workspace) -> bool:
    """Put a workspace first in the list; say whether that could be written down."""
    others = [one for one in workspaces() if one.root != ws.root]
    try:
        write_json(_path(), [str(one.root) for one in (ws, *others)][:_MOST])
    except OSError:
        return False
    return True


def name_in_address(ws: Workspace) -> str:
    """Return the short name under which addresses lead to a workspace: its folder's, and a few signs of its
    path, so that two folders of one name have two.
    """
    plain = _PLAIN.sub("-", ws.root.name.lower()).strip("-") or "workspace"
    return f"{plain}-{hashlib.sha256(str(ws.root).encode()).hexdigest()[:6]}"


def by_address(name: str) -> Workspace | None:
    """Return the known workspace of that short name, None where there is none any more."""
    return next((ws for ws in workspaces() if name_in_address(ws) == name), None)


def _path() -> Path:
    return user_folder("config") / "workspaces.json"
