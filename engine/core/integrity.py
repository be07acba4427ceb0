"""What lies on disk is what was taken in: the one place that compares, used wherever data is used.

`init` notes the sha256 of every file of the data, and of a base that is a folder, in workspace.json; a run
notes those of its results in done.json. A file is hashed again only when its stamp (inode, size, times) is
another one than when it was hashed last. Stamps are kept in this process and, for large files, in the user's
cache, never in the workspace. Mends nothing: it says which file, and what can be done.
"""

import hashlib
import logging
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.core.base_folder import deciding_files, local_base
from engine.core.command import command_line
from engine.core.errors import EngineError
from engine.core.forms import Known
from engine.core.paths import Workspace, read_json, refuse_other_than_files, user_folder, write_json
from engine.core.stamps import Stamp, settled, stamp

DATASET_FILES = ("personas.jsonl", "dialogues.jsonl", "card.json", "truth.jsonl")

_LARGE_BYTES = 4_000_000
_known: dict[Path, tuple[Stamp, str]] = {}
_log = logging.getLogger("engine.core.integrity")


@dataclass(frozen=True, slots=True)
class Changed:
    """A file that is not what was taken in, or is gone."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


class ChangedFiles(EngineError):
    """Something is asked of `files` that are not what they were when they were taken in."""

    def __init__(self, files: Sequence[Changed], hint: str = "") -> None:
        super().__init__(f"{_listed(files)}.", hint)
        self.files = tuple(files)


def sha256(path: Path) -> str:
    """Return the sha256 of a file in hex; of one that was hashed with the same stamp, without reading it.

    Raises TornFile where something else lies in its place, which might have no end.
    """
    before = stamp(path)
    kept = None if before is None else _known.get(path) or _kept(path, before)
    if kept is not None and kept[0] == before:
        _known[path] = kept
        return kept[1]
    refuse_other_than_files(path, path.stat())
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if before and stamp(path) == before and settled(before):
        _known[path] = before, digest
        _keep(path, before, digest)
    return digest


def differences(folder: Path, expected: Mapping[str, str], *, only: Iterable[str] = ()) -> list[Changed]:
    """Return which files of `folder` (`only` some of them) are not what `expected` says: name -> sha256."""
    names = set(only) or expected.keys()
    found = [(name, digest) for name, digest in expected.items() if name in names]
    return [
        Changed(folder / name, what) for name, digest in found if (what := _difference(folder, name, digest))
    ]


def digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    """Return name -> sha256 of files about to be written."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def base_digests(folder: Path) -> dict[str, str]:
    """Return name -> sha256 of all of a base's folder that decides what it says."""
    return {path.name: sha256(path) for path in deciding_files(folder)}


def changed(ws: Workspace, *names: str) -> list[Changed]:
    """Return the data files (`names` of them only) that are not what `init` took in; cheap when none is.

    A workspace made before this was noted has only its data hash to be held against.
    """
    config = ws.read_config()
    noted: dict[str, str] = config.get("files") or {}
    if noted:
        return [*_missing_or_other(ws.data, noted, names), *_unnoted(ws, noted, names)]
    told = config["dataset"].get("data_hash")
    files = [ws.dataset / name for name in DATASET_FILES[:2]]
    if not told or (names and not {path.name for path in files} & set(names)):
        return []
    gone = [Changed(path, "is missing") for path in files if not path.is_file()]
    joined = gone or hashlib.sha256(b"".join(bytes.fromhex(sha256(path)) for path in files)).hexdigest()
    return gone if gone or joined == told else [Changed(files[1], "or personas.jsonl was changed since init")]


def changed_base(ws: Workspace) -> list[Changed]:
    """Return the files of a base in a folder that are not what they were at `init`."""
    config = ws.read_config()
    noted: dict[str, str] = config.get("base_files") or {}
    folder = local_base(str(config["base"])) if noted else None
    return differences(folder, noted) if folder is not None else []


def refuse_changed(ws: Workspace, *names: str, base: bool = False) -> None:
    """Raise ChangedFiles where data files (`names` only) or, with `base`, those of the base changed."""
    _refuse(ws, changed(ws, *names))
    if base:
        _refuse(ws, changed_base(ws), kind="base")


def result(ws: Workspace, run_id: str, name: str) -> Path:
    """Return the path of one of a run's results, which is what the run left when it ended.

    A file of a run that has not ended is not looked at. Raises ChangedFiles where it is another one now.
    """
    refuse_changed_results(ws, run_id, name)
    return ws.run_folder(run_id) / name


def adapter(ws: Workspace, run_id: str, name: str) -> Path:
    """Return the folder of one of a run's adapters (or a file beside them), as `result` does.

    Raises EngineError for a name, or a link, that leads elsewhere: a recipe may come from a stranger.
    """
    where, folder = ws.adapter(run_id, name), ws.adapters(run_id)
    noted = _left(ws, run_id).get("adapters", {})
    of_it = [file for file in noted if file == name or file.startswith(f"{name}/")]
    if of_it:
        _refuse_results(run_id, differences(folder, noted, only=of_it))
    return where


def refuse_changed_results(ws: Workspace, run_id: str, *names: str) -> None:
    """Raise ChangedFiles where results of an ended run (`names` of them only) are not what it left."""
    _refuse_results(
        run_id, differences(ws.run_folder(run_id), _left(ws, run_id).get("files", {}), only=names)
    )


def _left(ws: Workspace, run_id: str) -> dict[str, dict[str, str]]:
    """What the run's done.json says of its files; nothing while there is none."""
    path = ws.run_folder(run_id) / "done.json"
    return read_json(path) if path.exists() else {}


def _refuse_results(run_id: str, found: list[Changed]) -> None:
    if found:
        hint = (
            f"Put it back as {run_id} left it, or remove the run's folder and run it again; then rebuild-db."
        )
        raise ChangedFiles(found, hint)


def _listed(found: Sequence[Changed]) -> str:
    return "; ".join(map(str, found[:3])) + ("; ..." if len(found) > 3 else "")


def warn_changed(ws: Workspace) -> None:
    """Say of results that are only looked at what has changed beneath them since."""
    for one in changed(ws):
        _log.warning("%s. What is shown was made before that. %s", one, remedy(ws))


def remedy(ws: Workspace, kind: str = "data") -> str:
    """Return what can be done about changed files."""
    where = shlex.quote(str(ws.root))
    if kind == "base":
        again = (
            f"repeat its init (--workspace {where}, the same --dataset and choices) to go on with this one"
        )
        return f"Put the files back, or {again}: what was made before stands in a table of its own."
    again = f"Restore it: repeat its init (--workspace {where}, the same --dataset and choices)"
    other = command_line("init", options={"workspace": "NEW", "dataset": ws.dataset})
    return f"{again}. Or take it in as another dataset: {other}"


def _refuse(ws: Workspace, found: list[Changed], *, kind: str = "data") -> None:
    if found:
        raise ChangedFiles(found, remedy(ws, kind))


def _missing_or_other(data: Path, noted: Mapping[str, str], names: Iterable[str]) -> list[Changed]:
    wanted = set(names)
    only = [name for name in noted if not wanted or name.rpartition("/")[2] in wanted]
    return differences(data, noted, only=only) if only else []


def _unnoted(ws: Workspace, noted: Mapping[str, str], names: Iterable[str]) -> list[Changed]:
    """A truth that nobody took in would be scored as a ceiling."""
    truth = ws.dataset / "truth.jsonl"
    asked = not set(names) or truth.name in names
    if not asked or "dataset/truth.jsonl" in noted or not truth.exists():
        return []
    return [Changed(truth, "was not there at init")]


def _difference(folder: Path, name: str, digest: str) -> str:
    path, told = folder / name, Path(name)
    if told.is_absolute() or ".." in told.parts:
        return "lies elsewhere"
    try:
        if not path.is_file():
            return "is missing" if not path.exists() else "is no file"
        return "" if sha256(path) == digest else "was changed or cut off"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _place(path: Path) -> Path:
    return user_folder("cache") / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}.json"


def _kept(path: Path, now: Stamp) -> tuple[Stamp, str] | None:
    """What an earlier process kept of a large file; nothing where its note is gone or torn."""
    if now[1] < _LARGE_BYTES:
        return None
    with suppress(OSError, EngineError):
        kept = read_json(_place(path), Known)
        first, second, third, fourth = (*kept["stamp"], 0, 0, 0, 0)[:4]
        return (first, second, third, fourth), kept["sha256"]
    return None


def _keep(path: Path, now: Stamp, digest: str) -> None:
    if now[1] >= _LARGE_BYTES:
        with suppress(OSError):  # a home that cannot be written keeps nothing
            write_json(_place(path), {"stamp": list(now), "sha256": digest})
