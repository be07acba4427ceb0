"""The form of the JSON files of a workspace, by their names, and the one reader of JSON as a record.

Owns what every reader may rely on; who needs more names a form of its own, often the record that it wants
(`read_record`, `read_rows` in engine/core/paths.py). A key that a form does not name may hold anything: a
newer version wrote it. Reads no file.
"""

import functools
from typing import Any, NotRequired, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from engine.core.parameters import told

Record = TypeVar("Record")
Words = dict[str, str]
Objects = dict[str, dict[str, Any]]


class _Counts(TypedDict):
    personas: int
    dialogues: int
    personas_with_character: int


class _Dataset(TypedDict):
    source: NotRequired[str]
    data_hash: NotRequired[str]


class _Config(TypedDict):
    dataset: _Dataset
    base: str
    split: str
    seed: int
    files: NotRequired[Words]
    base_files: NotRequired[Words]
    scorer: NotRequired[str]
    primary: NotRequired[str]


class _Card(TypedDict):
    data_hash: str
    counts: _Counts
    source: NotRequired[str]
    notes: NotRequired[list[str]]
    left_out: NotRequired[list[dict[str, Any]]]


class _Check(TypedDict):
    name: str
    ok: bool
    detail: str


class _Splits(TypedDict):
    scheme: str
    assignment: Words
    online: NotRequired[list[str]]
    checks: NotRequired[list[_Check]]
    statistics: NotRequired[dict[str, Any]]


class _Spec(TypedDict):
    experiment: str
    data_hash: str
    base: str
    protocol: NotRequired[dict[str, Any]]
    base_fingerprint: NotRequired[str]


class _Variant(TypedDict):
    name: str
    family: str
    recipe: dict[str, Any]
    parameters_trained: NotRequired[int | None]
    train_seconds: NotRequired[float | None]
    aliases: NotRequired[list[str] | None]


class _Done(TypedDict):
    run_id: NotRequired[str]
    finished_at: str
    files: Words
    adapters: NotRequired[Words]
    protocols: Objects
    variants: list[_Variant]
    summary: NotRequired[dict[str, Any]]


class _Cancel(TypedDict):
    attempt: int


class _Stored(TypedDict):
    run: str
    name: str
    kind: NotRequired[str]
    weight: NotRequired[float]
    scale: NotRequired[float]


class _Candidate(TypedDict):
    recipe: dict[str, Any]


class _Route(TypedDict):
    variant: str


class _Routes(TypedDict):
    candidates: dict[str, _Candidate]
    routes: dict[str, _Route]


class _Placebo(TypedDict):
    donors: Words


class _Trained(TypedDict):
    name: str
    personas: list[str]


class _Augmentation(TypedDict):
    sources: int
    made: int
    total: int
    rejected: dict[str, int]
    by_method: dict[str, Any]


class _WholeCounts(_Counts):
    messages: int
    examples: int
    personas_with_routines: int


class Known(TypedDict):
    """A file's hash, kept beside it with what told that the file is still the same."""

    stamp: list[int]
    sha256: str


class WholeCard(TypedDict):
    """What pages and the report need of card.json."""

    data_hash: str
    counts: _WholeCounts
    source: str
    split: str
    statistics: dict[str, Any]
    notes: NotRequired[list[str]]
    left_out: NotRequired[list[dict[str, Any]]]


FORMS: dict[str, Any] = {
    "workspace.json": _Config,
    "card.json": _Card,
    "splits.json": _Splits,
    "machine.json": dict,
    "kernels.json": Objects,
    "spec.json": _Spec,
    "done.json": _Done,
    "variants.json": list[_Variant],
    "protocols.json": Objects,
    "summary.json": dict,
    "cancel.json": _Cancel,
    "personas.json": dict[str, list[_Stored]],
    "routes.json": _Routes,
    "chosen.json": _Candidate,
    "placebo.json": _Placebo,
    "training.json": list[_Trained],
    "augmentation.json": _Augmentation,
    "adapter_config.json": dict,
    ".standby.json": dict,
    ".results-stamp.json": dict,
}


def record(form: type[Record], text: str | bytes) -> Record:
    """Return JSON as a record of that form; ValueError, in words, where it is of another."""
    adapter: TypeAdapter[Record] = _adapter(cast(Any, form))
    try:
        return adapter.validate_json(text, strict=True)  # "3" is no number, true is not 1
    except ValidationError as error:
        raise ValueError(told(error)) from error


@functools.cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)
