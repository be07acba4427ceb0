"""What a sweep found: the gain over unified at each value of one parameter.

Owns which runs form a sweep: those of one experiment, on this ground, that differ in that parameter alone. A
value is chosen on validation, and test is looked at for that value alone (for all where val is not scored);
that counts as a look at test, like that of any comparison. Of a sweep about newcomers only those are compared
whom the unified adapter below was not trained on.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core.paths import Workspace, read_json
from engine.core.types import Row
from engine.core.wording import count
from engine.data.dataset import load_dataset, load_splits
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.lm.effects import normal
from engine.results import store
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.pairings import paired_across
from engine.runs.records import RunRecord, scan
from engine.runs.runfolder import RunSpec, canonical, declared
from engine.stats.compare import compare
from engine.strategies import registry
from engine.strategies.budgets import TRAINING
from engine.strategies.ground import read_ground
from engine.strategies.sweep import BELOW, Sweep, bare

SPLITS = ("val", "test")


@dataclass(frozen=True, slots=True)
class Point:
    """One value of the parameter: its run and variant, and the comparison on each split (as in `compare`).

    `rows` maps a split to a row; a split without one is not scored yet. `state` is the run's.
    """

    value: Any
    run_id: str
    state: str
    variant: str | None
    rows: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class SweepResults:
    """A sweep as far as it is done, in the order of its values. `best` is the value chosen on val."""

    experiment: str
    parameter: str
    metric: str
    reference: str | None
    protocol: str | None
    points: tuple[Point, ...]
    best: Any
    warnings: tuple[str, ...] = ()
    remark: str = ""
    """Of amounts of history: of how many the largest is more than they have."""


def sweep_results(
    ws: Workspace,
    experiment: str,
    parameter: str,
    *,
    values: Sequence[Any] = (),
    metric: str | None = None,
    splits: Sequence[str] = SPLITS,
) -> SweepResults:
    """Return what the runs of `experiment` that differ in `parameter` alone found, value by value.

    Of several such sets the one with most values is taken, then the newest. `values` keeps only these.
    Differences are to unified (base where that is not scored), fractions throughout. Raises EngineError for
    unknown names. Side effect: with "test" among `splits`, the value chosen on val counts as seen on test.
    """
    registry.get(experiment, ws)
    decides = metrics.chosen(ws, metric)
    runs = _runs(ws, experiment, parameter, values)
    store.refresh(ws)
    seen = store.overview(ws)
    named = {record.run_id: _variant(ws, record, seen) for record in runs.values()}
    names = [name for name in named.values() if name]
    protocol = _protocol(seen, names)
    rows: dict[str, dict[str, Row]] = {}
    reference, warnings, best = None, list[str](), None

    def points() -> tuple[Point, ...]:
        return tuple(
            Point(value, record.run_id, record.state, name, _rows_of(rows, name))
            for value, record in runs.items()
            for name in (named[record.run_id],)
        )

    for split in sorted(splits, key=SPLITS.index):
        scored = _scored(seen, protocol, split, names)
        if split == "test" and best is not None:
            scored = [name for name in scored if name == named[runs[best].run_id]]
        if scored:
            found = compare_variants(
                ws, metric=decides.name, split=split, protocol=protocol, variants=scored, bands=False
            )
            reference = found["reference"]
            rows[split] = {row["variant"]: row for row in found["rows"]}
            warnings += [line for line in found["warnings"] if line not in warnings]
        best = _best(points(), decides)
    return SweepResults(
        experiment,
        parameter,
        decides.name,
        reference,
        protocol,
        points(),
        best,
        tuple(warnings),
        more_than_there_is(ws, parameter, tuple(runs)),
    )


def sweep_results_of(ws: Workspace, sweep: Sweep, *, splits: Sequence[str] = SPLITS) -> list[SweepResults]:
    """Return the results of each of a sweep's experiments, at its values; of newcomers where it is theirs."""
    if sweep.known_share is not None:
        return newcomers_results(ws, sweep, splits=splits)
    return [
        sweep_results(ws, experiment, sweep.parameter, values=sweep.values, splits=splits)
        for experiment in sweep.experiments
    ]


def newcomers_results(ws: Workspace, sweep: Sweep, *, splits: Sequence[str] = SPLITS) -> list[SweepResults]:
    """Return each experiment's gains over the unified adapter that knows none of those who are judged.

    The runs are those that the sweep plans. A value that an experiment cannot have is a point without rows.
    Side effect: with "test" among `splits`, each experiment's value chosen on val counts as seen on test.
    """
    decides, records = metrics.chosen(ws, None), {record.run_id: record for record in scan(ws)}
    store.refresh(ws)
    seen = store.overview(ws)
    found = []
    for experiment in sweep.experiments:
        runs = _runs(ws, experiment, sweep.parameter, sweep.values, lambda spec: _is_of(spec, sweep, records))
        names = {value: _variant(ws, record, seen) for value, record in runs.items()}
        protocol = _protocol(seen, [name for name in names.values() if name])
        reference: str | None = None
        points: list[Point] = []
        for value in sweep.values:
            if value not in runs:
                points.append(Point(value, "", "not run", None, {}))
                continue
            record, name, rows = runs[value], names[value], dict[str, Row]()
            below = _below(record.spec, records)
            known = _variant(ws, below, seen) if below else None
            if name and known and below and protocol:
                reference = known
                rows = _among(ws, decides, splits, protocol, (name, known), _newcomers(ws, below.run_id))
            points.append(Point(value, record.run_id, record.state, name, rows))
        best = _best(points, decides)
        points = [_looked_at(point, best) for point in points]
        for point in points:
            if "test" in point.rows and point.variant and protocol:
                at = looks.test_set(protocol, seen.protocols, decides.name, split="test")
                whose = {seen.variants[point.variant].variant_id: point.variant}
                looks.record(ws, at, protocol, whose, {decides.name})
        found.append(
            SweepResults(
                experiment, sweep.parameter, decides.name, reference, protocol, tuple(points), best,
                remark=more_than_there_is(ws, sweep.parameter, tuple(runs)),
            )
        )  # fmt: skip
    return found


def more_than_there_is(ws: Workspace, parameter: str, values: Sequence[Any]) -> str:
    """Say how many personas have less history than the largest value: for them it is all they have."""
    most = max((one for one in values if isinstance(one, int)), default=0) if parameter == "history" else 0
    splits = load_splits(ws)
    held = Counter(
        row.persona_id
        for row in load_dataset(ws).dialogues
        if splits.assignment.get(row.dialogue_id) == "train"
    )
    few = sum(own < most for own in held.values())
    if not few:
        return ""
    whole = count(len(held), "persona")
    return f"{few} of {whole} have fewer than {most} train dialogues: for them {most} is all they have."


def _looked_at(point: Point, best: Any) -> Point:
    """A point as it is shown: of several only the one that is best on val has its test value."""
    if best is None or point.value == best:
        return point
    return replace(point, rows={split: row for split, row in point.rows.items() if split != "test"})


def _is_of(spec: RunSpec, sweep: Sweep, records: Mapping[str, RunRecord]) -> bool:
    """Whether a run is one of a sweep's: told what the sweep tells it, over a unified that knows a part."""
    below = _below(spec, records)
    told = sweep.given.get(spec.experiment, {})
    return (
        below is not None
        and below.spec is not None
        and below.spec.parameters.get("personas") is not None
        and all(spec.parameters.get(name) == value for name, value in told.items())
    )


def _below(spec: RunSpec | None, records: Mapping[str, RunRecord]) -> RunRecord | None:
    """The run of the unified adapter that lies below."""
    ids = [spec.upstream[role] for role in BELOW if role in spec.upstream] if spec else []
    return records.get(ids[0]) if ids else None


def _newcomers(ws: Workspace, run_id: str) -> set[str]:
    """The personas whom a run's adapter was not trained on."""
    trained = {one for record in read_json(ws.run_folder(run_id) / TRAINING) for one in record["personas"]}
    return {one.persona_id for one in load_dataset(ws).personas} - trained


def _among(
    ws: Workspace,
    metric: Metric,
    splits: Sequence[str],
    protocol: str,
    names: tuple[str, str],
    personas: Collection[str],
) -> dict[str, Row]:
    """One variant against another among some personas, on the splits where both are scored."""
    (name, reference), rows = names, dict[str, Row]()
    for split in splits:
        paired = paired_across(
            ws,
            metric,
            split,
            reference=(protocol, reference),
            protocol=protocol,
            names=[name],
            personas=personas,
        )
        if name in paired:
            row = compare(paired[name][0], higher_is_better=metric.higher_is_better is not False)
            rows[split] = {**replace(row, variant=name, reference=reference).as_json(), "role": ""}
    return rows


def _runs(
    ws: Workspace,
    experiment: str,
    parameter: str,
    values: Sequence[Any],
    fits: Callable[[RunSpec], bool] = lambda spec: True,
) -> dict[Any, RunRecord]:
    """The runs of the largest set that differs in the parameter alone, by value, in the values' order."""
    ground = read_ground(ws)
    sets: dict[str, dict[str, tuple[Any, RunRecord]]] = {}
    for record in sorted(scan(ws), key=lambda record: record.order):
        spec = record.spec
        if spec is None or spec.experiment != experiment or not ground.carries(spec) or not fits(spec):
            continue
        value = bare(spec.parameters.get(parameter))
        if record.state in ("succeeded", "queued", "running") and (not values or value in values):
            sets.setdefault(_rest(spec, parameter), {})[canonical(value)] = (value, record)
    if not sets:
        return {}
    largest = max(sets.values(), key=lambda found: (len(found), max(one.order for _, one in found.values())))
    ordered = sorted(largest.values(), key=lambda found: _place(found[0], values))
    return {value if not isinstance(value, list) else tuple(value): record for value, record in ordered}


def _rest(spec: RunSpec, parameter: str) -> str:
    others = {name: value for name, value in spec.parameters.items() if name != parameter}
    return canonical([others, spec.seed, spec.version, spec.protocol])


def _place(value: Any, values: Sequence[Any]) -> tuple[int, float, str]:
    """Numbers by size, the open value (no limit) last, words by alphabet; or as the sweep lists them."""
    if value in values:
        return list(values).index(value), 0.0, ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return len(values), float(value), ""
    return len(values) + 1, 0.0, "" if value is None else str(value)


def _variant(ws: Workspace, record: RunRecord, seen: store.Overview) -> str | None:
    """The name on screens of what the run made; of equal recipes the one that was made first."""
    if record.state != "succeeded":
        return None
    recipes = [normal(entry["recipe"]) for entry in declared(ws.run_folder(record.run_id), "variants", [])]
    made = [name for name, one in seen.variants.items() if one.run_id == record.run_id]
    own = seen.origins.get(record.run_id)
    alike = {run for run, one in seen.origins.items() if own is not None and one.base == own.base}
    made = made or [
        name for name, one in seen.variants.items() if one.run_id in alike and dict(one.recipe) in recipes
    ]
    return made[0] if made else None


def _protocol(seen: store.Overview, names: Sequence[str]) -> str | None:
    """The protocol under which most of the variants are scored."""
    there = seen.coverage[seen.coverage["variant"].isin(list(names))]
    counted = Counter(str(name) for name in there.drop_duplicates(["variant", "protocol"])["protocol"])
    return counted.most_common(1)[0][0] if counted else None


def _scored(seen: store.Overview, protocol: str | None, split: str, names: Sequence[str]) -> list[str]:
    there = seen.coverage[(seen.coverage["protocol"] == protocol) & (seen.coverage["split"] == split)]
    return [name for name in names if name in set(there["variant"])]


def _rows_of(rows: Mapping[str, Mapping[str, Row]], name: str | None) -> dict[str, Row]:
    return {split: found[name] for split, found in rows.items() if name is not None and name in found}


def _best(points: Sequence[Point], metric: Metric) -> Any:
    """The value with the best mean on val; None while fewer than two are scored there."""
    scored = [
        (metric.sign * point.rows["val"]["delta"], point.value)
        for point in points
        if "val" in point.rows and point.rows["val"]["delta"] is not None
    ]
    return max(scored, key=lambda found: found[0])[1] if len(scored) > 1 else None
