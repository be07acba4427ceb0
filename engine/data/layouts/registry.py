"""Which layouts there are, and which one the files of a place are in.

Owns the list, in the order in which it is asked: what needs more to be recognised comes first. Refuses a
place that holds several datasets, and says what it looked for where it finds none.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from engine.core.errors import EngineError
from engine.data.assemble import Imported
from engine.data.layouts import chats, edgewise, flattened, lamp, lamp_qa, mapped, personamem, prism, speakers
from engine.data.layouts.layout import Layout, Sample
from engine.data.layouts.own import is_own, read_own
from engine.data.mapping import PLACES, Mapping, columns_used, named_split, split_of
from engine.data.packed import PACKED


def _edgewise(samples: tuple[Sample, ...], mapping: Mapping) -> Imported:
    path = samples[0].path
    if samples[0].stem != "sessions":
        raise EngineError(
            f"{path.name} looks like {edgewise.SESSIONS}.",
            f"Rename it to {edgewise.SESSIONS}, then name its folder.",
        )
    return edgewise.read_edgewise(path.parent)


def _flattened(samples: tuple[Sample, ...], mapping: Mapping) -> Imported:
    return flattened.read_flattened(samples[0].path)


def _mapped(name: str) -> partial[Imported]:
    return partial(mapped.read_mapped, layout=name)


LAYOUTS: Final = (
    Layout("edgewise", "EdgeWisePersona", "sessions, characters and routines.jsonl, one user a line",
           edgewise.recognises, _edgewise),
    Layout("prism", "PRISM", "conversations with several replies a turn, and the survey beside",
           prism.recognises, prism.read_prism),
    Layout("personamem", "PersonaMem", "questions with options, and the chats they are asked of",
           personamem.recognises, personamem.read_personamem, divided=True),
    Layout("lamp-qa", "LaMP-QA", "questions, narratives and the aspects of a good answer",
           lamp_qa.recognises, lamp_qa.read_lamp_qa, divided=True),
    Layout("longlamp", "LongLaMP", "a query, its answer and a profile a row",
           lamp.is_longlamp, partial(lamp.read_lamp, layout="longlamp"), divided=True),
    Layout("lamp", "LaMP or OPPU", "queries with a person's profile, their answers beside",
           lamp.is_lamp, lamp.read_lamp, divided=True),
    Layout("flattened", "one dialogue a line", "persona_id, session_id and messages",
           flattened.recognises, _flattened),
    Layout("speakers", "two speakers in sessions", "LoCoMo's or MSC's talks",
           speakers.recognises, speakers.read_speakers, divided=True),
    Layout("sharegpt", "ShareGPT", "conversations of from and value, and a column of users",
           chats.is_sharegpt, _mapped("sharegpt"), divided=True),
    Layout("openai", "OpenAI chat", "messages of role and content, and a column of users",
           chats.is_openai, _mapped("openai"), divided=True),
    Layout("alpaca", "Alpaca", "instruction, input and output, and a column of users",
           chats.is_alpaca, _mapped("alpaca"), divided=True),
    Layout("table", "a table", "a dialogue, a turn, or a question with its reply a row",
           mapped.recognises, _mapped("table"), divided=True),
)  # fmt: skip
KNOWN: Final = "; ".join(f"{one.title} ({one.takes})" for one in LAYOUTS)
_NUMBER = re.compile(r"\d+")
_RESEMBLES = next(one for one in LAYOUTS if one.name == "flattened")
_TABLE = LAYOUTS[-1]


def read_place(label: str, folder: Path | None, samples: Sequence[Sample], mapping: Mapping) -> Imported:
    """Return what the reader of the layout makes of the files of one place (`folder` of a folder).

    Raises EngineError where no layout is recognised, or more than one dataset is.
    """
    if folder is not None and is_own(folder) and not mapping.names_columns:
        return read_own(folder)
    layout, found = recognised(samples, mapping)
    if layout is None:
        raise _nothing(label, folder, samples)
    by_place = not columns_used(mapping).isdisjoint(PLACES)
    if len(found) > 1 and not (layout.divided and (by_place or _is_one(found))):
        names = ", ".join(str(one.path.relative_to(folder) if folder else one.path.name) for one in found[:5])
        raise EngineError(
            f"{label} holds several datasets: {names}.",
            "Name one of them. Parts of one dataset are numbered, or lie in folders train, val and test, or"
            " go into one file with a column of users. Where a folder is a person's and a file a dialogue:"
            " --map user=_folder,session=_file",
        )
    return layout.read(tuple(found), mapping)


def recognised(samples: Sequence[Sample], mapping: Mapping) -> tuple[Layout | None, list[Sample]]:
    """Return the first layout that knows any of the files, and those it knows."""
    asked = (_TABLE,) if mapping.names_columns else LAYOUTS
    for layout in asked:
        found = _found(layout, samples)
        if found:
            return layout, found
    if mapping.names_columns:  # it says itself what is missing, with the columns there are
        return (_TABLE, list(samples)) if any(one.rows for one in samples) else (None, [])
    found = [one for one in samples if flattened.resembles(one)]
    if found:
        return _RESEMBLES, found
    readable = [one for one in samples if one.rows]
    return (_TABLE, readable) if len(readable) == 1 == len(samples) and readable[0].is_table else (None, [])


def _found(layout: Layout, samples: Sequence[Sample]) -> list[Sample]:
    found = [one for one in samples if layout.recognises(one)]
    top = [one for one in found if len(one.path.parts) == min(len(other.path.parts) for other in found)]
    named = [one for one in top if one.stem == "sessions"]
    return named if layout.name == "edgewise" and named else top


def _is_one(found: Sequence[Sample]) -> bool:
    """Whether several files are parts of one dataset: each, or the folder of each, names its split, or all
    are numbered parts of one folder.
    """
    folders = {one.path.parent for one in found}
    if len(folders) > 1:
        return len({one.parent for one in folders}) == 1 and all(named_split(one.name) for one in folders)
    numbered = {_NUMBER.sub("#", one.stem) for one in found}
    return all(split_of(one.path) for one in found) or len(numbered) == 1


def _nothing(label: str, folder: Path | None, samples: Sequence[Sample]) -> EngineError:
    hint = f"Known layouts: {KNOWN}. For a table of one's own, say what its columns are: --map user=COLUMN"
    if folder is not None and len(samples) != 1:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        held = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        packed = next((name for name in names if name.lower().endswith(PACKED)), "")
        if packed and not samples:
            hint = f"Name {packed} itself if it is a .zip; else unpack or convert it. {hint}"
        return EngineError(f"{label} holds no dataset ({held or 'it is empty'}).", hint)
    sample = samples[0]
    keys = sorted(key[:40] for key in sample.keys)
    if not keys and sample.fault:
        return EngineError(f"{sample.path.name} holds no row that can be read: {sample.fault}.", hint)
    if {"id", "output"} == sample.keys or sample.keys == {"golds", "task"}:
        return EngineError(
            f"{sample.path.name} holds answers alone.",
            "Name the file of questions; answers beside it are found.",
        )
    held = f"its lines hold {', '.join(keys[:8])}" if keys else "no line of it could be read as an object"
    if sample.keys & {"character", "routines"}:
        hint += f" Name the folder: {edgewise.SESSIONS} belongs to it."
    return EngineError(f"{sample.path.name} is not in a known layout: {held}.", hint)
