"""The personas behind a table of comparisons: each variant's pairing with the reference, read again.

Owns two further readings of a comparison: over some personas only (a cluster; exploratory, since nobody
declared it beforehand), and with a margin for wins. Both pair by the same functions as the table itself. Owns
also how a variant of another protocol is paired where the user asks for it (example by example where the
examples are the same, else persona by persona), and that it gets no verdict.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from engine.core.paths import Workspace
from engine.core.types import Row
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.results import store
from engine.results.comparing import grounds, protocol_guard, row_role, sharing
from engine.results.comparing.beside import beside, second_metric
from engine.results.comparing.scene import Scene
from engine.results.store.statistics import equal_margin
from engine.results.variants import Variant
from engine.stats.compare import Comparison, compare, corrected, outcomes, over_metrics
from engine.stats.pairing import Pairing, Table, by_persona, index, pair, valued
from engine.stats.verdicts import verdict, why

Found = Mapping[str, Any]
_UNKNOWN_WITHIN = (
    "noise_floor",
    "noise_limit",
    "above_noise",
    "above_placebo",
    "above_matched",
)  # they were measured over all personas


def pairings(
    ws: Workspace, found: Found, *, personas: Collection[str] | None = None, variants: Collection[str] = ()
) -> dict[str, Pairing]:
    """Return variant -> its pairing with the reference, for the rows of `found` (of `compare_variants`).

    `personas` leaves out all others, `variants` names the rows wanted. Rows of another protocol are paired
    as their `paired_by` says. A variant without a common example has an empty pairing.
    """
    rows = [row for row in found["rows"] if not variants or row["variant"] in variants]
    metric = metrics.chosen(ws, found["metric"])
    here = {row["variant_id"]: row["compared"] for row in rows if row["protocol"] == found["protocol"]}
    paired = grounds.pairings_of(ws, (found["protocol"], found["split"]), metric, here, personas)
    beside: dict[str, tuple[Pairing, str]] = {}
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        if protocol != found["protocol"]:
            names = [row["variant"] for row in rows if row["protocol"] == protocol]
            own = (found["protocol"], found["reference"])
            beside |= paired_across(
                ws, metric, found["split"], reference=own, protocol=protocol, names=names, personas=personas
            )
    nothing = pair([], [])
    return {
        row["variant"]: beside[row["variant"]][0]
        if row["variant"] in beside
        else paired.get(row["variant_id"], nothing)
        for row in rows
    }


def differences(paired: Mapping[str, Pairing]) -> pd.DataFrame:
    """Return one row a variant and persona: variant, persona_id, candidate, reference, difference."""
    frames = [
        pd.DataFrame(
            {
                "variant": name,
                "persona_id": list(one.personas),
                "candidate": one.candidate,
                "reference": one.reference,
                "difference": one.differences,
            }
        )
        for name, one in paired.items()
    ]
    columns = ["variant", "persona_id", "candidate", "reference", "difference"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def compare_within(
    ws: Workspace, found: Found, personas: Collection[str], *, margin: float = 0.0
) -> dict[str, Any]:
    """Return the same table over some personas only: same protocol, metric, reference and roles.

    Holm's correction is over all that compete in `found`; it knows nothing of how the personas were chosen,
    so every verdict here is exploratory. Noise floor, placebo and criteria belong to the whole study and are
    left out. Rows without any of these personas are dropped.
    """
    metric = metrics.chosen(ws, found["metric"])
    described = {row["variant"]: row for row in found["rows"]}
    wins = {name: one for name, one in pairings(ws, found, personas=personas).items() if one.n_paired}
    own, seeds = _judged_within(ws, found, metric, personas)
    rows = []
    for name, one in wins.items():
        row = own[name] if name in own else _compared(one, metric)  # else: of another protocol
        row = replace(
            row, **outcomes(one, margin=margin, higher_is_better=metric.higher_is_better is not False)
        )
        rows.append(replace(row, variant=name, reference=described[name]["reference"]))
    outside = {name for name, row in described.items() if row.get("role")} | {found["reference"]}
    second = second_metric(ws, metric)
    held = {} if second is None else _judged_within(ws, found, second, personas)[0]
    told = [
        _within(described[row.variant], row, metric, beside(ws, second, held.get(row.variant)), seeds)
        for row in over_metrics(corrected(rows, outside_family=outside), found["among_metrics"])
    ]
    noise = {**found.get("noise", {}), "floor": None, "limit": None, "pairs": 0, "repeats": []}
    return {**found, "rows": ordered(told, metric), "criteria": {}, "noise": noise, "unseen": None}


def _judged_within(
    ws: Workspace, found: Found, metric: Metric, personas: Collection[str]
) -> tuple[dict[str, Comparison], dict[str, grounds.Seeds]]:
    """The comparisons over some personas and the seeds' records, by variant, made as those over all are: over
    seeds and by what is shared. Personas who all share what was trained are no groups any more."""
    here = {row["variant_id"]: row for row in found["rows"] if row["protocol"] == found["protocol"]}
    whom = {own: row["compared"] for own, row in here.items()}
    paired = grounds.seed_by_seed(ws, (found["protocol"], found["split"]), metric, whom, personas)
    known = {one.variant_id: one for one in store.overview(ws).variants.values()}
    sides = {one for pairs in whom.values() for pair in pairs for one in pair}
    shared = sharing.groups(ws, [known[one] for one in sorted(sides)], among=personas)
    rows, seeds = dict[str, Comparison](), dict[str, grounds.Seeds]()
    for own, (of_seeds, singles) in paired.items():
        there = [one for one in of_seeds if one.n_paired]
        if there:
            name = here[own]["variant"]
            rows[name], record = grounds.judged(there, metric, grounds.shared_by(shared, whom[own]), singles)
            if record is not None:
                seeds[name] = record
    return rows, seeds


def with_margin(ws: Workspace, found: Found, margin: float) -> dict[str, Any]:
    """Return the table with wins, ties, losses and share improved counted anew: better by more than `margin`.

    `margin` is in the metric's unit. Tests, intervals, verdicts and criteria stay as they are.
    """
    metric = metrics.chosen(ws, found["metric"])
    paired = pairings(ws, found)
    better = metric.higher_is_better is not False
    return {
        **found,
        "rows": [
            {**row, **outcomes(paired[row["variant"]], margin=margin, higher_is_better=better)}
            for row in found["rows"]
        ],
    }


def ordered(rows: Sequence[Row], metric: Metric) -> list[dict[str, Any]]:
    """Return the rows as every table shows them: the reference, then the best, then repeats and grounds of
    others, controls, and bounds last."""
    sign = 1.0 if metric.higher_is_better is False else -1.0

    def place(row: Row) -> tuple[bool, int, float, str]:
        level = sign * row["mean"] if row["mean"] is not None else float("inf")
        return not row_role.is_reference(row), row_role.place(row), level, row["variant"]

    return [dict(row) for row in sorted(rows, key=place)]


def _compared(one: Pairing, metric: Metric) -> Comparison:
    better = metric.higher_is_better is not False
    return compare(one, higher_is_better=better, equal_margin=equal_margin(metric))


def _within(
    described: Row,
    row: Comparison,
    metric: Metric,
    second: dict[str, Any] | None,
    seeds: Mapping[str, grounds.Seeds],
) -> dict[str, Any]:
    own = seeds.get(row.variant)
    told = {**described, **row.as_json(), "co_primary": second, "seeds": own and own.as_json()}
    unknown = {name: None for name in _UNKNOWN_WITHIN if name in described}
    told, role, higher = {**told, **unknown}, described.get("role", ""), metric.higher_is_better
    reason = why(told, higher_is_better=higher, in_points=metric.unit == "fraction")
    word = role or verdict(told, higher_is_better=higher)
    return {**told, "role": role, "verdict": word, "why": "" if role else reason}


@dataclass(frozen=True, slots=True)
class Other:
    """Another protocol: the variants that only it has scores of, and what differs from the chosen one."""

    protocol: str
    variants: tuple[Variant, ...]
    differs: tuple[protocol_guard.Difference, ...]

    @property
    def words(self) -> str:
        """What differs, in one line."""
        return protocol_guard.told(self.differs)

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        differs = [{"field": one.field, "here": one.here, "there": one.there} for one in self.differs]
        names = [one.variant for one in self.variants]
        return {"protocol": self.protocol, "variants": names, "differs": differs, "words": self.words}


def others(scene: Scene) -> list[Other]:
    """Return every other protocol, newest first; a variant counts for the newest it is scored under."""
    known = {variant.variant_id for variant in scene.under(scene.protocol)}
    found = []
    for protocol in scene.protocols:
        if protocol == scene.protocol:
            continue
        fresh = [variant for variant in scene.under(protocol) if variant.variant_id not in known]
        known |= {variant.variant_id for variant in fresh}
        found.append(Other(protocol, tuple(fresh), tuple(scene.differences(protocol))))
    return found


def compared_across(ws: Workspace, scene: Scene, other: Other) -> list[tuple[Variant, Comparison, str]]:
    """Return each variant of another protocol against the reference, and what it was paired by.

    No comparison gets a `p_holm`: across protocols there is no family, and no verdict.
    """
    names = [one.variant for one in other.variants]
    here = (scene.protocol, scene.reference.variant)
    found = paired_across(ws, scene.metric, scene.split, reference=here, protocol=other.protocol, names=names)
    better = scene.metric.higher_is_better is not False
    told = []
    for variant in other.variants:
        if variant.variant in found:
            pairing, by = found[variant.variant]
            row = compare(pairing, higher_is_better=better)
            told.append(
                (variant, replace(row, variant=variant.variant, reference=scene.reference.variant), by)
            )
    return told


def paired_across(
    ws: Workspace,
    metric: Metric,
    split: str,
    *,
    reference: tuple[str, str],
    protocol: str,
    names: Collection[str],
    personas: Collection[str] | None = None,
) -> dict[str, tuple[Pairing, str]]:
    """Return each named variant of another protocol against the reference (its protocol and name), and what
    it was paired by; only those that are scored in the metric. `personas` leaves out all others."""
    ours = _tables(ws, metric, split, reference[0], [reference[1]], personas).get(reference[1], Table({}))
    theirs = _tables(ws, metric, split, protocol, names, personas)
    return {name: _pair(table, ours) for name, table in theirs.items()}


def _pair(candidate: Table, reference: Table) -> tuple[Pairing, str]:
    if any(
        example in reference.rows and reference.rows[example][0] == persona
        for example, (persona, _) in candidate.rows.items()
    ):
        return pair(candidate, reference), "example"
    return pair(by_persona(candidate), by_persona(reference)), "persona"


def _tables(
    ws: Workspace,
    metric: Metric,
    split: str,
    protocol: str,
    names: Collection[str],
    personas: Collection[str] | None,
) -> dict[str, Table]:
    if not names:
        return {}
    scores = store.score_table(ws, metric=metric.name, split=split, protocol=protocol)
    if personas is not None:
        scores = scores[scores["persona_id"].isin(list(personas))]
    return {
        str(name): index(valued(table), name=str(name))
        for name, table in scores.groupby("variant", sort=False)
        if name in names
    }
