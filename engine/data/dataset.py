"""The dataset of a workspace, as files and as records.

Owns the format of personas.jsonl, dialogues.jsonl and splits.json, the data hash, and what an example is.
Refuses to read a workspace whose `init` never finished (workspace.json is written last).
"""

import functools
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.forms import Record, record
from engine.core.kept import kept
from engine.core.paths import Workspace, read_bytes, read_json
from engine.core.stamps import Stamp, stamp
from engine.core.types import Dataset, Dialogue, Example, Message, Persona, Split, Splits

PERSONAS, DIALOGUES, CARD, TRUTH = "personas.jsonl", "dialogues.jsonl", "card.json", "truth.jsonl"
SPLITS = "splits.json"


def load_dataset(ws: Workspace) -> Dataset:
    """Return the workspace's dataset; the same object again while the files stay the same.

    Raises EngineError when `init` has not run here or a file is damaged, or is not what was taken in.
    """
    integrity.refuse_changed(ws, PERSONAS, DIALOGUES)
    personas, dialogues = ws.dataset / PERSONAS, ws.dataset / DIALOGUES
    return _load_dataset(personas, dialogues, _stamp(personas), _stamp(dialogues))


def load_personas(ws: Workspace) -> tuple[Persona, ...]:
    """Return the dataset's personas alone, without reading the dialogues. Raises as load_dataset does."""
    integrity.refuse_changed(ws, PERSONAS)
    path = ws.dataset / PERSONAS
    return _load_personas(path, _stamp(path))


def load_persona(ws: Workspace, persona_id: str) -> Persona | None:
    """Return one persona without reading the others; None where nobody is called so. Raises as
    load_dataset does."""
    integrity.refuse_changed(ws, PERSONAS)
    path = ws.dataset / PERSONAS
    _stamp(path)
    told = json.dumps(persona_id, ensure_ascii=False).encode()
    lines = ((at, line) for at, line in enumerate(io.BytesIO(read_bytes(path)), 1) if told in line)
    found = (one for at, line in lines for one in _records(path, Persona, line, first=at))
    return next((one for one in found if one.persona_id == persona_id), None)


def dialogues_of(ws: Workspace, persona_id: str) -> tuple[Dialogue, ...]:
    """Return a persona's dialogues in time, without reading others'; none of one nobody knows. Raises as
    load_dataset does."""
    integrity.refuse_changed(ws, DIALOGUES)
    path = ws.dataset / DIALOGUES
    _stamp(path)
    form = dict[str, tuple[int, int, int]]
    places = kept(ws, "dialogues-by-persona", (integrity.sha256(path),), form, lambda: _places(path))
    begin, end, first = places.get(persona_id, (0, 0, 1))
    with path.open("rb") as file:
        file.seek(begin)
        found = _records(path, Dialogue, file.read(end - begin), first=first)
        return tuple(one for one in found if one.persona_id == persona_id)


def _places(path: Path) -> dict[str, tuple[int, int, int]]:
    """Where each persona's dialogues begin and end in the file, and the number of the first's line.

    They stand together in what `init` writes; where they do not, others' lie between.
    """
    found: dict[str, tuple[int, int, int]] = {}
    end = 0
    for number, line in enumerate(io.BytesIO(read_bytes(path)), 1):
        begin, end = end, end + len(line)
        try:
            persona_id = str(json.loads(line)["persona_id"])
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(path, f"line {number}: {error}") from error
        begin, _, first = found.get(persona_id, (begin, end, number))
        found[persona_id] = begin, end, first
    return found


def contents(ws: Workspace) -> tuple[str, ...]:
    """Return what tells data and split from any other: the sha256 of each file, "" of one that is missing."""
    files = ws.dataset / PERSONAS, ws.dataset / DIALOGUES, ws.splits / SPLITS
    return tuple(integrity.sha256(path) if path.is_file() else "" for path in files)


def load_splits(ws: Workspace) -> Splits:
    """Return which dialogue is for what. Raises EngineError as load_dataset does."""
    integrity.refuse_changed(ws, SPLITS)
    path = ws.splits / SPLITS
    return _load_splits(path, _stamp(path))


def examples(dataset: Dataset, splits: Splits, split: Split) -> tuple[Example, ...]:
    """Return every assistant turn of `split` that has a user message before it.

    Ordered as the dataset is: by persona, order in time, turn. A context holds all messages before the
    turn; the id is "<dialogue_id>#<turn>", turn being the index in the dialogue's messages.
    """
    chosen = (d for d in dataset.dialogues if splits.assignment.get(d.dialogue_id) == split)
    return tuple(example for dialogue in chosen for example in examples_of(dialogue))


def remembered(dataset: Dataset, splits: Splits) -> tuple[Example, ...]:
    """Return what may be remembered of each persona: her train examples, her history where she is unseen."""
    return (*examples(dataset, splits, "train"), *examples(dataset, splits, "history"))


def examples_of(dialogue: Dialogue) -> Iterator[Example]:
    """Yield the examples of one dialogue, in order."""
    for turn in example_turns(dialogue.messages):
        yield Example(
            f"{dialogue.dialogue_id}#{turn}",
            dialogue.persona_id,
            dialogue.dialogue_id,
            turn,
            dialogue.messages[:turn],
            dialogue.messages[turn].text,
            dialogue.meta,
        )


def example_turns(messages: Sequence[Message]) -> list[int]:
    """Return the indices of the assistant messages that have a user message before them."""
    roles = [message.role for message in messages]
    first = roles.index("user") if "user" in roles else len(roles)
    return [turn for turn in range(first, len(roles)) if roles[turn] == "assistant"]


def choose_examples(found: Sequence[Example], per_persona: int | None = 10) -> tuple[Example, ...]:
    """Return at most `per_persona` examples a persona (None: all), whatever order they come in.

    Chosen by the sha256 of the example id, so every variant sees the same ones and a larger set holds
    the smaller. Returned by (persona_id, dialogue_id, turn).
    """
    by_persona: dict[str, list[Example]] = defaultdict(list)
    for example in found:
        by_persona[example.persona_id].append(example)
    chosen = [
        example
        for rows in by_persona.values()
        for example in sorted(rows, key=lambda example: hash_of(example.example_id))[:per_persona]
    ]
    return tuple(sorted(chosen, key=lambda example: (example.persona_id, example.dialogue_id, example.turn)))


def hash_of(text: str) -> str:
    """Return the sha256 of a text, in hex: the project's source of stable arbitrary order."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def subset_of(personas: Iterable[str], most: int | None, *, seed: int) -> list[str]:
    """Return at most so many of the personas, chosen by hash: a larger subset holds the smaller."""
    return sorted(personas, key=lambda one: hash_of(f"subset:{seed}:{one}"))[:most]


def dataset_files(dataset: Dataset) -> dict[str, bytes]:
    """Return file name -> content of a dataset, one canonical JSON object a line."""
    personas = (
        {"persona_id": row.persona_id, "character": row.character, "routines": list(row.routines)}
        for row in dataset.personas
    )
    dialogues = (
        {
            "persona_id": row.persona_id,
            "dialogue_id": row.dialogue_id,
            "order": row.order,
            "meta": row.meta,
            "messages": [{"role": message.role, "text": message.text} for message in row.messages],
        }
        for row in dataset.dialogues
    )
    return {PERSONAS: json_lines(personas), DIALOGUES: json_lines(dialogues)}


def data_hash(files: dict[str, bytes]) -> str:
    """Return the sha256 (hex) of the dataset's two files."""
    digest = hashlib.sha256()
    for name in (PERSONAS, DIALOGUES):
        digest.update(hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


def json_lines(rows: Any) -> bytes:
    """Return `rows` as canonical JSON lines in UTF-8: sorted keys, no spaces, no NaN."""
    encode = json.JSONEncoder(
        ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(",", ":")
    ).encode
    return "".join(f"{encode(row)}\n" for row in rows).encode("utf-8")


def _stamp(path: Path) -> Stamp:
    """Return what changes when a file is replaced. Raises EngineError when it is not there."""
    found = stamp(path)
    if found is None:
        raise _damaged(path, "it is missing, or not yours to read")
    return found


def _damaged(path: Path, why: str) -> EngineError:
    return EngineError(
        f"{path} cannot be read: {why}", "Run `python -m engine init` again for this workspace."
    )


@functools.lru_cache(maxsize=4)
def _load_dataset(personas: Path, dialogues: Path, of_personas: Stamp, _: Stamp) -> Dataset:
    return Dataset(_load_personas(personas, of_personas), tuple(_records(dialogues, Dialogue)))


@functools.lru_cache(maxsize=4)
def _load_personas(path: Path, _: Stamp) -> tuple[Persona, ...]:
    return tuple(_records(path, Persona))


@functools.lru_cache(maxsize=4)
def _load_splits(path: Path, *_stamps: Stamp) -> Splits:
    found = read_json(path)
    unseen = frozenset(found.get("unseen", ()))
    return Splits(found["scheme"], found["assignment"], frozenset(found["online"]), unseen)


def _records(
    path: Path, form: type[Record], held: bytes | None = None, *, first: int = 1
) -> Iterator[Record]:
    for number, line in enumerate(io.BytesIO(read_bytes(path) if held is None else held), first):
        try:
            yield record(form, line)
        except ValueError as error:
            raise _damaged(path, f"line {number}: {error}") from error
