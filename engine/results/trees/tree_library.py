"""The trees one may walk: those that ship, and the workspace's own in data/trees/NAME.yaml.

Owns their names, copying and saving. A tree is only ever saved sound; one that was broken by hand is listed
with its faults.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import EngineError, unknown_name
from engine.core.machine import changes
from engine.core.paths import Workspace, read_text, write_atomically
from engine.domains import metrics
from engine.results.trees.tree import Tree
from engine.results.trees.tree_check import read_tree, read_tree_file

SHIPPED = Path(__file__).resolve().parent
DEFAULT = "quick-wins"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One tree by name. `own` says that it is the workspace's; `error` why it cannot be walked."""

    name: str
    title: str
    own: bool
    error: EngineError | None = None


def entries(ws: Workspace) -> list[Entry]:
    """Return every tree, the default first, the shipped ones before the workspace's own."""
    shipped = sorted(SHIPPED.glob("*.yaml"), key=lambda path: (path.stem != DEFAULT, path.stem))
    return [_entry(path, own=False) for path in shipped] + [_entry(path, own=True) for path in _own(ws)]


def find(ws: Workspace, name: str) -> Tree:
    """Return a tree, without what it expects in another metric than is judged by here.

    Raises EngineError for an unknown name, DataError with every fault of a broken one.
    """
    tree = read_tree_file(_path(ws, name))
    if tree.expected_in is None or not ws.config.exists():
        return tree
    here = [
        node
        if tree.expected_in == metrics.chosen(ws, tree.terms(node).metric).name
        else node.model_copy(update={"expected": None})
        for node in tree.nodes
    ]
    return tree.model_copy(update={"nodes": tuple(here)})


def source(ws: Workspace, name: str) -> str:
    """Return a tree's YAML text, sound or not. Raises EngineError for a name nobody knows."""
    return read_text(_path(ws, name), errors="replace")


@changes("save a tree")
def save(ws: Workspace, name: str, text: str) -> Tree:
    """Save a tree of the workspace, after checking it; return it.

    Raises DataError with every fault, and EngineError for a name that is no file name or a shipped tree's.
    """
    ws.read_config()
    if not _NAME.fullmatch(name):
        raise EngineError(
            f"{name!r} cannot be a tree's name.", "Use lower-case letters, digits and hyphens: my-tree."
        )
    if (SHIPPED / f"{name}.yaml").exists():
        raise EngineError(f"{name} ships with Persona Lab and stays as it is.", "Save a copy: another name.")
    tree = read_tree(text, name=name)
    write_atomically(_folder(ws) / f"{name}.yaml", text if text.endswith("\n") else f"{text}\n")
    return tree


@changes("copy a tree")
def copy(ws: Workspace, name: str, new_name: str) -> Path:
    """Copy a tree under a new name, to be edited; return the file. Raises EngineError when it exists."""
    path = _folder(ws) / f"{new_name}.yaml"
    if path.exists():
        raise EngineError(f"There is a tree {new_name} already: {path}", "Choose another name, or edit it.")
    save(ws, new_name, source(ws, name))
    return path


@changes("remove a tree")
def remove(ws: Workspace, name: str) -> None:
    """Delete a tree of the workspace's own. Raises EngineError for any other."""
    if name not in {path.stem for path in _own(ws)}:
        raise EngineError(f"{name} is no tree of this workspace's own.", "The shipped trees stay.")
    (_folder(ws) / f"{name}.yaml").unlink()


def _folder(ws: Workspace) -> Path:
    return ws.data / "trees"


def _own(ws: Workspace) -> list[Path]:
    """The workspace's own trees; a file that has a shipped tree's name is not one of them."""
    return sorted(path for path in _folder(ws).glob("*.yaml") if not (SHIPPED / path.name).exists())


def _path(ws: Workspace, name: str) -> Path:
    paths = {path.stem: path for path in (*_own(ws), *SHIPPED.glob("*.yaml"))}
    if name not in paths:
        raise unknown_name("tree", name, paths)
    return paths[name]


def _entry(path: Path, *, own: bool) -> Entry:
    try:
        return Entry(path.stem, read_tree_file(path).title, own)
    except EngineError as error:
        return Entry(path.stem, path.stem, own, error)
