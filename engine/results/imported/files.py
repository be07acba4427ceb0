"""One result file of another study, read as it lies there: JSON of several shapes, or CSV.

Owns the shapes that are known and the checks on every number. Refuses to guess: whatever is wrong is a fault
with its place, and a file of no known shape is left aside.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from engine.core.errors import Fault
from engine.core.limits import limits, megabytes
from engine.data.folder import opened
from engine.data.lines import kind_of, refuse_unwritable
from engine.data.schema import read_persona_id, shorten
from engine.domains.metrics import METRICS
from engine.runs.manifest import sha256

Content = Literal["personas", "routes", "average", "clusters", "other"]

PUBLISHED_METRIC = "embedding_similarity"  # what the studies of this form are judged by
_LISTS = ("per_persona_metrics", "per_persona_results")
_ROUTES = "routing_decisions"
_COUNTS = ("num_predictions", "num_examples", "num_test_examples")
_MOST = 10**9  # examples of a persona, or any whole number
_ROUNDING = 1e-6  # cosines are a little above 1 in single precision


@dataclass(frozen=True, slots=True)
class PersonaScore:
    """One persona's means in one file. `values` maps a metric to its value, None where undefined.

    `reference_words` is the mean length of her reference replies, `route` the model chosen for her.
    """

    persona_id: str
    values: Mapping[str, float | None]
    n_examples: int | None = None
    reference_words: float | None = None
    route: str | None = None


@dataclass(frozen=True, slots=True)
class ResultFile:
    """What one file holds. `name` is its path within the study; `declared` the number of personas it claims.

    `average` holds means over personas or examples, `config` what the file says of how it was made,
    `candidates` the models a routing chose from, `digest` the sha256 of the file.
    """

    name: str
    kind: Content
    scores: tuple[PersonaScore, ...] = ()
    declared: int | None = None
    average: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()
    of_cluster: bool = False
    digest: str = ""

    @property
    def folder(self) -> str:
        """The name of the folder it lies in; its own, without suffix, at the top."""
        path = PurePosixPath(self.name)
        return path.parent.name or path.stem

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem


class _Faults:
    """The faults of one file, in the order they are found."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Fault] = []

    def add(self, what: str, line: int = 0) -> None:
        self.found.append(Fault(self.file, line, what))


def read_file(path: Path, name: str) -> tuple[ResultFile, list[Fault]]:
    """Return what `path` holds and every fault of it. Raises nothing on bad content."""
    faults = _Faults(name)
    text = _text(path, faults)
    if text is None:
        return ResultFile(name, "other"), faults.found
    read = _read_csv if path.suffix.lower() == ".csv" else _read_json
    return replace(read(name, text, faults), digest=sha256(path)), faults.found


def _text(path: Path, faults: _Faults) -> str | None:
    try:
        with opened(path) as file:
            raw = file.read(limits().document_bytes + 1)
        if len(raw) > limits().document_bytes:
            faults.add(f"larger than {megabytes(limits().document_bytes)}, not read")
            return None
        return raw.decode("utf-8-sig")
    except OSError as error:
        faults.add(f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        faults.add(f"not UTF-8: byte {error.start + 1} is 0x{error.object[error.start]:02x}")
    return None


def _read_json(name: str, text: str, faults: _Faults) -> ResultFile:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                faults.add(f"{key[:60]!r} is given twice")
            found[key] = value
        return found

    try:
        document = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        faults.add(f"not valid JSON: {error.msg} (cut off?)", error.lineno)
        return ResultFile(name, "other")
    except RecursionError:
        faults.add(f"not valid JSON: nested deeper than {limits().nesting} levels")
        return ResultFile(name, "other")
    except ValueError as error:
        faults.add(f"not valid JSON: {type(error).__name__}")
        return ResultFile(name, "other")
    try:
        refuse_unwritable(document, escapes=False)
    except ValueError as error:
        faults.add(str(error))
        return ResultFile(name, "other")
    if isinstance(document, list) and any(isinstance(one, dict) and "persona_id" in one for one in document):
        document = {_LISTS[0]: document}
    return _shaped(name, document, faults) if isinstance(document, dict) else ResultFile(name, "other")


def _shaped(name: str, document: dict[str, Any], faults: _Faults) -> ResultFile:
    listed = next((key for key in _LISTS if isinstance(document.get(key), (list, dict))), None)
    summary = _object(document.get("summary"))
    declared = _count_of(document.get("num_personas", summary.get("num_personas")))
    if isinstance(document.get(_ROUTES), list):
        return _routes(name, document, faults)
    if listed is not None:
        scores = _scores(_entries(document[listed], faults), faults)
        return ResultFile(name, "personas", scores, declared, _average({**summary, **document}))
    if _is_by_persona(document):
        return ResultFile(name, "personas", _scores(_entries(document, faults), faults))
    if isinstance(document.get("cluster_map"), dict):
        return ResultFile(name, "clusters", config=document)
    average = _average(document) or _average(_object(document.get("metrics")))
    if average:
        config = _object(document.get("config")) | {
            key: document[key] for key in ("num_examples", "num_test_examples") if key in document
        }
        return replace(
            ResultFile(name, "average", (), declared, average, config), of_cluster="cluster_id" in document
        )
    return ResultFile(name, "other")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_by_persona(document: dict[str, Any]) -> bool:
    """Tell whether most values are records with metrics: a dictionary by persona id."""
    held = [value for value in document.values() if isinstance(value, dict) and _metrics_of(value)]
    return bool(held) and 2 * len(held) >= len(document)


def _metrics_of(record: Mapping[str, Any]) -> dict[str, Any]:
    inner = record.get("metrics")
    source = inner if isinstance(inner, dict) else record
    return {metric: source[metric] for metric in METRICS if metric in source}


def _average(values: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for metric in METRICS:
        value = values.get(f"{metric}_mean", values.get(metric))
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            found[metric] = float(value)
    return found


def _count_of(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# --- records of personas


def _entries(held: Any, faults: _Faults) -> Iterator[tuple[int, Any, Any]]:
    """Yield (line, id, record) of every persona; the line is 0 where it is not known."""
    if isinstance(held, dict):
        yield from ((0, name, record) for name, record in held.items())
        return
    for place, record in enumerate(held):
        if isinstance(record, dict):
            yield 0, record.get("persona_id"), record
        else:
            faults.add(f"entry {place + 1}: must be an object, is {kind_of(record)}")


def _scores(entries: Iterable[tuple[int, Any, Any]], faults: _Faults) -> tuple[PersonaScore, ...]:
    found: dict[str, PersonaScore] = {}
    for line, given, record in entries:
        problems: list[str] = []
        persona_id = read_persona_id(given, problems)
        for problem in problems:
            faults.add(problem, line)
        if persona_id is None:
            continue
        if persona_id in found:
            faults.add(f"{persona_id}: is given twice", line)
            continue
        if not isinstance(record, dict):
            faults.add(f"{persona_id}: must be an object, is {kind_of(record)}", line)
            continue
        found[persona_id] = _score(persona_id, record, line, faults)
    return tuple(found[name] for name in sorted(found))


def _score(persona_id: str, record: Mapping[str, Any], line: int, faults: _Faults) -> PersonaScore:
    raw = _metrics_of(record)
    if not raw:
        faults.add(f"{persona_id}: holds none of the known metrics", line)
    values = {}
    for metric, value in raw.items():
        fault = _fault_of(metric, value)
        if fault:
            faults.add(f"{persona_id}: {metric} {fault}", line)
        values[metric] = None if fault or value is None else float(value)
    counted = next((record[key] for key in _COUNTS if record.get(key) is not None), None)
    n_examples = _count_of(counted)
    if counted is not None and (n_examples is None or not 1 <= n_examples <= _MOST):
        faults.add(
            f"{persona_id}: the number of examples must be 1 to {_MOST:,}, is {shorten(counted)}", line
        )
    words = record.get("avg_ref_length", _object(record.get("metrics")).get("avg_ref_length"))
    length = words if isinstance(words, float) and math.isfinite(words) else None
    return PersonaScore(persona_id, values, n_examples, length)


def _fault_of(metric: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"must be a number, is {kind_of(value)}"
    if isinstance(value, int) and abs(value) > _MOST:
        return f"is {shorten(value)}, far too large"
    if math.isnan(value):
        return "is NaN (undefined is null)"
    if not math.isfinite(value):
        return "is infinite"
    low = -1.0 if metric == PUBLISHED_METRIC else 0.0
    high = 1.0 if METRICS[metric].unit == "fraction" else math.inf
    if not low - _ROUNDING <= value <= high + _ROUNDING:
        return f"is {value:g}, outside {low:g} to {high:g}"
    return None


# --- routes and tables


def _routes(name: str, document: dict[str, Any], faults: _Faults) -> ResultFile:
    """Decisions of a router: the chosen model and the score it was given for each persona."""
    records: dict[str, dict[str, Any]] = {}
    candidates: dict[str, None] = {}
    renamed = []
    for line, given, record in _entries(document[_ROUTES], faults):
        records.setdefault(str(given), record)
        renamed.append((line, given, {PUBLISHED_METRIC: record.get("best_score")}))
        candidates |= dict.fromkeys(key.removesuffix("_score") for key in record if key.endswith("_score"))
        for key, kind in (("best_model", str), ("best_score", (int, float))):
            if not isinstance(record.get(key), kind):
                faults.add(f"{given}: {key} is missing or of the wrong kind")
    scores = tuple(
        replace(score, route=str(records[score.persona_id].get("best_model")))
        for score in _scores(renamed, faults)
    )
    summary = _object(document.get("summary"))
    counts = [value for key, value in summary.items() if key.endswith("_count")]
    declared = sum(counts) if counts and all(_count_of(value) is not None for value in counts) else None
    models = tuple(model for model in candidates if model != "best")
    return ResultFile(name, "routes", scores, declared, config=summary, candidates=models)


def _read_csv(name: str, text: str, faults: _Faults) -> ResultFile:
    reader = csv.DictReader(io.StringIO(text))
    columns = reader.fieldnames or []
    if "persona_id" not in columns or not set(columns) & set(METRICS):
        return ResultFile(name, "other")
    entries = []
    try:
        for row in reader:
            if None in row or None in row.values():
                faults.add("has not as many cells as the header (cut off?)", reader.line_num)
                continue
            record = {column: _cell(cell) for column, cell in row.items() if column != "persona_id"}
            entries.append((reader.line_num, row["persona_id"], record))
    except csv.Error as error:
        faults.add(f"not valid CSV: {error}", reader.line_num)
    return ResultFile(name, "personas", _scores(entries, faults))


def _cell(text: str) -> Any:
    if not text.strip():
        return None
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text
