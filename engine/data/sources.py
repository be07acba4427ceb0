"""Where a dataset comes from: a synthetic world, a file, a folder, an archive or the hub.

Owns how the text after --dataset is understood and how a layout is recognised. Refuses what it does not
recognise, and says what it looked for.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.limits import in_time
from engine.data import hub
from engine.data.archive import unpack_zip
from engine.data.assemble import Imported
from engine.data.folder import files_in
from engine.data.hub import store_of
from engine.data.layouts.layout import Sample, look_at
from engine.data.layouts.registry import read_place
from engine.data.mapping import Mapping
from engine.data.packed import ENDINGS

WORLD = "world:"
WORLD_PERSONAS, WORLD_DIALOGUES = 200, 50
NOTHING = Mapping()
_BESIDE = re.compile(r"(dataset_infos?|dataset_dict|state)\.json|cache-.*\.arrow")  # what `datasets` notes
_DEEPEST = 4  # folders below the one named: who names a whole disk is told so, not waited for


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files lie, what to call it, for a world how it was made, and which `files` where some are
    chosen.
    """

    label: str
    path: Path
    world: dict[str, Any] | None = None
    files: tuple[Path, ...] = ()


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
            f"{text[:200]!r} is neither a file nor a folder.", "Give a file of data, a .zip or a folder."
        )
    if exists:
        return Source(str(path.resolve()), _unpacked(path, scratch))
    wanted = hub.asked(text)
    if wanted is not None:
        fetched = hub.download(wanted)
        return Source(text, fetched.folder, files=fetched.files)
    raise EngineError(
        f"There is no file or folder {text[:200]!r}.",
        "Give a path, a hub id (owner/name or owner/name:config:split) or a synthetic world (world:default).",
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


@in_time()
def read_source(
    source: Source, mapping: Mapping = NOTHING, samples: tuple[Sample, ...] | None = None
) -> Imported:
    """Return what the reader of the layout found there makes of it; `samples` where they were looked at.

    Raises EngineError for no layout.
    """
    path = source.path
    try:
        if samples is None:
            samples = samples_of(source, mapping)
        return read_place(source.label, path if path.is_dir() else None, samples, mapping)
    except OSError as error:
        raise EngineError(
            f"{error.filename or path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error


def _files(source: Source) -> list[Path]:
    """The files to look at: those chosen, the one named, or those of the folder that lie least deep."""
    if source.files:
        return list(source.files)
    if source.path.is_file():
        return [source.path]
    trusted = store_of(source.path)
    for depth in range(_DEEPEST + 1):
        found = files_in(source.path, ENDINGS, depth=depth, trusted=trusted)
        if held := [path for path in found if not _BESIDE.fullmatch(path.name)]:
            return held
    return []


@in_time()
def samples_of(source: Source, mapping: Mapping = NOTHING) -> tuple[Sample, ...]:
    """Return the first rows, and what they leave open, of the files that `read_source` reads."""
    return tuple(look_at(one, mapping.encoding) for one in _files(source))
