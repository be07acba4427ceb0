"""Where a dataset comes from: a synthetic world, a file, a folder, an archive or the hub.

Owns how the text after --dataset is understood and how a layout is recognised. Refuses what it does not
recognise, and says what it looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.limits import allow_more, in_time, limits, megabytes
from engine.data.archive import unpack_zip
from engine.data.assemble import Imported
from engine.data.edgewise import SESSIONS, read_edgewise
from engine.data.flattened import read_flattened
from engine.data.folder import files_in
from engine.data.lines import read_lines
from engine.data.own import is_own, read_own

WORLD = "world:"
WORLD_PERSONAS, WORLD_DIALOGUES = 200, 50
HUB_PATTERNS = ["*.jsonl", "*.json"]
_HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_SNIFFED_LINES = 20
_LAYOUTS = (
    "EdgeWisePersona (sessions.jsonl, and beside it characters.jsonl and routines.jsonl, one user a line)"
    " or one dialogue a line with persona_id, session_id and messages"
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files lie, what to call it, and for a world how it was made."""

    label: str
    path: Path
    world: dict[str, Any] | None = None


def find_source(
    dataset: str | Path, scratch: Path, *, personas: int | None, dialogues: int | None, seed: int
) -> Source:
    """Return the files behind `dataset`: "world:NAME", a path, or a hub id ("owner/name").

    Worlds and archives are written into `scratch`; hub files stay in the hub's own cache. Raises
    EngineError when there is nothing behind it.
    """
    text = str(dataset)
    if text.startswith(WORLD):
        return _make_world(text, scratch, personas=personas, dialogues=dialogues, seed=seed)
    path = Path(text).expanduser()
    try:
        exists = path.exists()
    except (OSError, ValueError):  # too long, or a NUL in it
        exists = False
    if exists and not (path.is_file() or path.is_dir()):
        raise EngineError(
            f"{text[:200]!r} is neither a file nor a folder.", "Give a .jsonl file, a .zip or a folder."
        )
    if exists:
        return Source(str(path.resolve()), _unpacked(path, scratch))
    if (
        _HUB_ID.fullmatch(text)
        and not text.startswith(".")
        and path.suffix not in (".jsonl", ".json", ".zip")
    ):
        return Source(text, download(text))
    raise EngineError(
        f"There is no file or folder {text[:200]!r}.",
        "Give a path, a hub id (owner/name) or a synthetic world (world:default).",
    )


def _make_world(
    text: str, scratch: Path, *, personas: int | None, dialogues: int | None, seed: int
) -> Source:
    from engine.data.worlds import write_world  # only here: the grammar is large, and few need it

    made: dict[str, Any] = {
        "name": text.removeprefix(WORLD),
        "personas": personas or WORLD_PERSONAS,
        "dialogues": dialogues or WORLD_DIALOGUES,
        "seed": seed,
    }
    scratch.mkdir(parents=True, exist_ok=True)
    write_world(scratch, **made)
    return Source(text, scratch, made)


def _unpacked(path: Path, scratch: Path) -> Path:
    if path.is_file() and path.suffix.lower() == ".zip":
        with path.open("rb") as packed:
            unpack_zip(packed, scratch, name=path.name)
        return scratch
    return path


def download(
    hub_id: str, *, cache: Path | None = None, offline: bool = False, endpoint: str | None = None
) -> Path:
    """Return the local folder of a hub dataset's .json and .jsonl files, downloading what is missing.

    `cache` is the hub's cache folder (default: its own), `offline` uses that alone, `endpoint` is the hub's
    address (default: its own). Raises EngineError when the dataset is not there, cannot be reached, or is
    more than is taken, which is asked before anything is downloaded.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        if not (offline or HF_HUB_OFFLINE):
            with suppress(OSError, *_transport_errors()):  # not reached: what is in the cache may do
                told = HfApi(endpoint=endpoint).dataset_info(hub_id, files_metadata=True, timeout=30)
                _refuse_large(hub_id, told.siblings or ())
        found = snapshot_download(
            hub_id,
            endpoint=endpoint,
            repo_type="dataset",
            cache_dir=cache,
            local_files_only=offline,
            allow_patterns=HUB_PATTERNS,
        )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise EngineError(
            f"The hub has no dataset {hub_id!r} that you may read (and there is no such path here).",
            "Check the name; for a private or gated dataset log in with `hf auth login`.",
        ) from error
    except LocalEntryNotFoundError as error:
        raise _unreachable(hub_id) from error
    except HFValidationError as error:
        raise EngineError(f"{hub_id!r} is neither a path nor a hub id.", str(error)) from error
    except (HfHubHTTPError, OSError) as error:
        raise _unreachable(hub_id, error) from error
    except _transport_errors() as error:
        raise _unreachable(hub_id, error) from error
    return Path(found)


def _refuse_large(hub_id: str, files: Iterable[Any]) -> None:
    """Raise EngineError when the files that would be downloaded are too many or too large."""
    wanted = [file for file in files if file.rfilename.endswith((".jsonl", ".json"))]
    total, allowed = sum(file.size or 0 for file in wanted), limits()
    if total > allowed.hub_bytes or len(wanted) > allowed.files:
        raise EngineError(
            f"{hub_id} is too large: {len(wanted):,} .json and .jsonl files, {megabytes(total)}"
            f" (at most {allowed.files:,} files, {megabytes(allowed.hub_bytes)}).",
            "Download the part you need and give its folder, or allow more: "
            + allow_more("hub_bytes", total),
        )


def _transport_errors() -> tuple[type[Exception], ...]:
    """The errors of the HTTP client that the hub's library lets through (a proxy's, for one)."""
    import httpx2

    return (httpx2.HTTPError,)


def _unreachable(hub_id: str, error: Exception | None = None) -> EngineError:
    why = f": {' '.join(str(error).split())[:200]}" if error else ""
    return EngineError(
        f"{hub_id!r} is no path here, not in the local hub cache, and the hub was not reached{why}.",
        "Check the connection (or HF_HUB_OFFLINE), or download the files and give their folder.",
    )


@in_time()
def read_source(source: Source) -> Imported:
    """Return what the importer of the layout found there makes of it. Raises EngineError for none."""
    path = source.path
    try:
        return _read_folder(path, source.label) if path.is_dir() else _read_file(path)
    except OSError as error:
        raise EngineError(
            f"{error.filename or path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error


def _read_folder(folder: Path, label: str) -> Imported:
    sessions = _visible(folder, SESSIONS)
    if len(sessions) == 1:
        return read_edgewise(sessions[0].parent)
    if len(sessions) > 1:
        raise _several(folder, label, sessions)
    if is_own(folder):
        return read_own(folder)
    flattened = [path for path in _visible(folder) if _keys(path) & {"messages", "persona_id"}]
    if len(flattened) == 1:
        return read_flattened(flattened[0])
    if len(flattened) > 1:
        raise _several(folder, label, flattened)
    others = _visible(folder)
    if len(others) == 1:
        return _read_file(others[0])
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    held = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    raise EngineError(f"{label} holds no dataset ({held or 'it is empty'}).", f"Known layouts: {_LAYOUTS}.")


def _read_file(path: Path) -> Imported:
    keys = _keys(path)
    if "sessions" in keys or (not keys and path.name == SESSIONS):
        if path.name != SESSIONS:
            raise EngineError(
                f"{path.name} looks like {SESSIONS}.", f"Rename it to {SESSIONS}, then name its folder."
            )
        return read_edgewise(path.parent)
    if keys & {"messages", "persona_id"} or (not keys and path.suffix == ".jsonl"):
        return read_flattened(path)
    held = (
        f"its lines hold {', '.join(sorted(keys)[:8])}"
        if keys
        else "no line of it could be read as an object"
    )
    beside = f" Name the folder: {SESSIONS} belongs to it." if keys & {"character", "routines"} else ""
    raise EngineError(f"{path.name} is not in a known layout: {held}.", f"Known layouts: {_LAYOUTS}.{beside}")


def _visible(folder: Path, name: str | None = None) -> list[Path]:
    """Return the .jsonl files, or those of that name, in `folder`, else one folder down."""
    held = files_in(folder, (".jsonl", ".json"), depth=1, trusted=_store(folder))
    found = [path for path in held if path.name == name or (name is None and path.suffix == ".jsonl")]
    return [path for path in found if path.parent == folder] or found


def _store(folder: Path) -> Path | None:
    """The place that the files of a hub's snapshot link to; None for any other folder."""
    repository = folder.parent.parent
    return repository / "blobs" if folder.parent.name == "snapshots" else None


def _keys(path: Path) -> set[str]:
    """Return the keys of the first lines that can be read."""
    lines = islice(read_lines(path), _SNIFFED_LINES)
    return {key[:40] for line in lines if line.value is not None for key in line.value}


def _several(folder: Path, label: str, found: list[Path]) -> EngineError:
    names = ", ".join(str(path.relative_to(folder)) for path in found[:5])
    return EngineError(f"{label} holds several datasets: {names}.", "Name one of them.")
