"""Runs in words, and what tells one from another. Owns wording, search and differences; reads no file."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.command import typed
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import STATE_WORDS, about, count, duration, percent, spelled, stage
from engine.runs.records import RunRecord
from engine.runs.runfolder import RunSpec
from engine.strategies import registry

_SIGNS = {"succeeded": "\N{CHECK MARK}", "failed": "\N{MULTIPLICATION X}", "cancelled": "\N{EN DASH}"}
_UNKNOWN_SIGN = "?"
_WORDED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "by": ("adapter for", {"all": "everybody", "cluster": "each cluster", "persona": "each persona"})
}
_IMPORTED = {"import-study": "Published study"}  # what nobody launches has no place in the registry


def title_of(experiment: str, ws: Workspace | None = None) -> str:
    """Return the title of an experiment; its name when nobody knows it here (any more)."""
    known = registry.experiments(ws).get(experiment)
    return known.title if known else _IMPORTED.get(experiment, experiment)


def title(record: RunRecord, ws: Workspace | None = None) -> str:
    """Return the title of a run's experiment."""
    return title_of(record.experiment, ws)


def state_words(record: RunRecord, *, how_far: bool = True) -> str:
    """Word a state with its sign, and `how_far` an unfinished run came: "✕ Failed at 37 %"."""
    sign = _SIGNS.get(record.state, _UNKNOWN_SIGN if record.ended else "")
    partly = how_far and record.ended and record.state != "succeeded" and record.progress > 0
    words = STATE_WORDS[record.state] + (f" at {percent(min(record.progress, 0.99))}" if partly else "")
    return f"{sign} {words}".strip()


def failure(record: RunRecord) -> EngineError:
    """Return the error of a run that has not succeeded."""
    return EngineError(
        f"{record.run_id} {record.state}" + (f": {record.error}" if record.error else "."),
        record.status.hint or f"See: python -m engine logs {record.run_id}",
    )


def settings(spec: RunSpec) -> dict[str, Any]:
    """Return everything that can be chosen for a run: parameters, what it is scored on, the seed."""
    return {**spec.parameters, **spec.protocol, "seed": spec.seed}


def worded(name: str, value: Any) -> tuple[str, str]:
    """Word a setting and its value: "warmup share", "0.1"; "adapter for", "each persona"."""
    title, values = _WORDED.get(name, (name.replace("_", " "), {}))
    return title, values.get(str(value), spelled(value))


def changed(spec: RunSpec) -> dict[str, Any]:
    """Return what differs from the defaults, by name; what upstreams changed counts as theirs."""
    values = settings(spec)
    return {name: values[name] for name in spec.changed if name in values}


def changed_words(record: RunRecord, among: Sequence[RunRecord] = ()) -> str:
    """Word what was changed: "rank 16, seed 7"; "" where all is at its default.

    Beside others (`among`) what all of them changed alike is left out.
    """
    if record.spec is None:
        return ""
    told, others = changed(record.spec), [changed(one.spec) for one in among if one.spec is not None]
    own = {
        name: value
        for name, value in told.items()
        if not others or any(name not in one or one[name] != value for one in others)
    }
    return ", ".join(f"{name.replace('_', ' ')} {spelled(value)}" for name, value in own.items())


def where(record: RunRecord) -> str:
    """Word where a run stands in its work, or what it waits for."""
    status = record.status
    if record.state == "running":
        return stage(status.stage, status.done, status.total, status.unit)
    if record.blocked:
        return f"blocked: {', '.join(record.waiting_for)} ended without success"
    return f"waits for {', '.join(record.waiting_for)}" if record.waiting_for else ""


def waiting(queued: Sequence[RunRecord]) -> str:
    """Word how many runs wait, and how many of them in vain: "3 runs waiting, 1 blocked"."""
    blocked = sum(record.blocked for record in queued)
    return f"{count(len(queued), 'run')} waiting" + (f", {blocked:,} blocked" if blocked else "")


def left(record: RunRecord) -> str:
    """Word the time a run at work still takes: "about 40 s", "roughly 2 min"; "" where nobody knows yet."""
    seconds = record.status.eta_seconds if record.state == "running" else None
    return "" if seconds is None else about(seconds, rough=record.status.eta_is_rough)


def underway(record: RunRecord) -> str:
    """Word how far a run at work is: "63 %, train, 120 of 400 steps, about 40 s left"."""
    told = left(record)
    known = f"{told} left" if told else "time left not known yet"
    return f"{percent(min(record.progress, 0.99))}, {where(record)}, {known}"


def against_estimate(record: RunRecord) -> str:
    """Word the time taken beside the time that was expected at launch: "42 s, 1 min 20 s expected"."""
    seconds, estimate = record.status.seconds, record.estimate_seconds
    if not seconds:
        return "" if estimate is None else f"{duration(estimate)} expected"
    return duration(seconds) + (f", {duration(estimate)} expected" if estimate is not None else "")


def matches(record: RunRecord, query: str, label: str = "") -> bool:
    """Say whether a run holds every word of a search: in its name, its title, its changes, its error or what
    it is labelled with."""
    told = " ".join((record.run_id, title(record), changed_words(record), record.error or "", label)).lower()
    typed_too = " ".join(f"{k}={typed(v)}" for k, v in changed(record.spec).items()) if record.spec else ""
    return all(word in told or word in typed_too.lower() for word in query.lower().split())


def origin(spec: RunSpec) -> dict[str, str]:
    """Return what a run was made from, frozen at its launch; upstream runs are `spec.upstream`."""
    return {
        "Spec": f"sha256 {spec.hash[:16]}",
        "Data": f"sha256 {spec.data_hash[:16]}",
        "Split": f"{spec.protocol.get('split', '')} {spec.protocol.get('split_hash', '')}".strip(),
        "Base model": f"{spec.base} {spec.base_fingerprint}".strip(),
        "Step": f"{spec.experiment}, version {spec.version}",
        "Seed": str(spec.seed),
        "Launched": spec.created_at,
        **{name.capitalize(): version for name, version in spec.versions.items()},
    }


def everything(record: RunRecord) -> dict[str, str]:
    """Return all that can differ between two runs, in words: choices, origin, upstreams, time."""
    spec = record.spec
    if spec is None:
        return {}
    words = [worded(name, value) for name, value in settings(spec).items()]
    told = {name.capitalize(): value for name, value in words}
    hidden = {"Spec", "Launched", "Split", "Seed"}  # differs always, or is told by a choice
    told |= {name: value for name, value in origin(spec).items() if name not in hidden}
    told |= {f"Builds on: {role}": run_id for role, run_id in spec.upstream.items()}
    return {"Experiment": title(record), **told, "Attempts": str(record.status.attempt)}


def differences(records: Sequence[RunRecord]) -> dict[str, tuple[str, ...]]:
    """Return, by name, the values of each run where not all are the same; "–" for what a run has not."""
    return {name: values for name, values in side_by_side(records).items() if len(set(values)) > 1}


def side_by_side(records: Sequence[RunRecord]) -> dict[str, tuple[str, ...]]:
    """Return, by name, the value of each run in the order of `records`."""
    told: list[Mapping[str, str]] = [everything(record) for record in records]
    names = dict.fromkeys(name for one in told for name in one)
    return {name: tuple(one.get(name, "\N{EN DASH}") for one in told) for name in names}
