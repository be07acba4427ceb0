"""The form of the JSON files of a workspace, by their names, and what is wrong with one of another form.

Owns what every reader may rely on; a reader that needs more says so itself. A key that a form does not name
may hold anything: a newer version wrote it. Reads no file.
"""

from __future__ import annotations

import functools
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}
_WANTED = {
    "dict_type": _NAMES[dict],
    "list_type": _NAMES[list],
    "string_type": _NAMES[str],
    "bool_type": _NAMES[bool],
    "int_type": _NAMES[int],
    "float_type": _NAMES[float],
}

Words = dict[str, str]
Numbers = dict[str, float]
Objects = dict[str, dict[str, Any]]


class _Process(TypedDict):
    boot_id: str
    pid: int
    start_ticks: int


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


class _Reference(TypedDict):
    run_id: str
    at: str
    by: str
    instead_of: str | None


class _Spec(TypedDict):
    experiment: str
    version: int
    parameters: dict[str, Any]
    seed: int
    data_hash: str
    base: str
    upstream: NotRequired[Words]
    protocol: NotRequired[dict[str, Any]]
    base_fingerprint: NotRequired[str]
    stages: NotRequired[Numbers]
    changed: NotRequired[list[str]]
    cloned_from: NotRequired[str]
    created_at: NotRequired[str]
    versions: NotRequired[Words]
    estimate_seconds: NotRequired[float | None]
    expected: NotRequired[Numbers]


class _Heartbeat(TypedDict):
    boot_id: str
    monotonic: float
    at: str


class _Status(TypedDict):
    state: str
    order: NotRequired[int]
    attempt: NotRequired[int]
    launcher: NotRequired[str]
    launch: NotRequired[dict[str, Any]]
    device: NotRequired[str]
    progress: NotRequired[float]
    stage: NotRequired[str]
    done: NotRequired[float]
    total: NotRequired[float]
    unit: NotRequired[str]
    eta_seconds: NotRequired[float | None]
    eta_is_rough: NotRequired[bool]
    seconds: NotRequired[float]
    stage_seconds: NotRequired[Numbers]
    supervisor: NotRequired[_Process | None]
    worker: NotRequired[_Process | None]
    heartbeat: NotRequired[_Heartbeat | None]
    queued_at: NotRequired[str | None]
    started_at: NotRequired[str | None]
    ended_at: NotRequired[str | None]
    error: NotRequired[str | None]
    hint: NotRequired[str | None]
    exit_code: NotRequired[int | None]
    signal: NotRequired[str | None]
    freed_bytes: NotRequired[int | None]


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


class _Clusters(TypedDict):
    assignment: dict[str, int]
    k: NotRequired[int]
    sizes: NotRequired[Any]
    features: NotRequired[str]
    map: NotRequired[dict[str, list[float]]]
    centroids_similarity: NotRequired[Numbers]
    silhouette: NotRequired[float | None]
    warning: NotRequired[str | None]


class _Stored(TypedDict):
    run: str
    name: str
    kind: NotRequired[str]
    weight: NotRequired[float]
    scale: NotRequired[float]


class _Merge(TypedDict):
    weights: Numbers


class _Weights(TypedDict):
    assignment: Words
    merges: dict[str, _Merge]


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
    "references.json": dict[str, _Reference],
    "kernels.json": Objects,
    "spec.json": _Spec,
    "status.json": _Status,
    "done.json": _Done,
    "variants.json": list[_Variant],
    "protocols.json": Objects,
    "summary.json": dict,
    "cancel.json": _Cancel,
    "clusters.json": _Clusters,
    "personas.json": dict[str, list[_Stored]],
    "weights.json": _Weights,
    "routes.json": _Routes,
    "chosen.json": _Candidate,
    "placebo.json": _Placebo,
    "training.json": list[_Trained],
    "augmentation.json": _Augmentation,
    "adapter_config.json": dict,
    ".standby.json": dict,
    ".results-stamp.json": dict,
}


def fault(form: Any, value: Any) -> str:
    """Return what is wrong with `value` where a form is wanted, "" when nothing is."""
    try:
        _adapter(form).validate_python(value, strict=True)  # a number in quotes is no number, true is not 1
    except ValidationError as error:
        return _worded(error.errors(include_url=False)[0])
    return ""


@functools.cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)


def _worded(found: ErrorDetails) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"])
    where = "".join(parts).removeprefix(".")
    if found["type"] == "missing":
        return f"{where} is missing"
    value = found["input"]
    wanted = _WANTED.get(found["type"], found["msg"])
    return f"{where or 'it'} must be {wanted}, is {_NAMES.get(type(value), type(value).__name__)}"
