"""The comparison table that command line and app both show. Owns its form and whom Holm's correction spans.

The statistics are read as they were kept when the scores came in. Scores under different protocols never
meet in one table unasked: the others are named with what differs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core import cuts
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.domains.registry import domain_of
from engine.results import store
from engine.results.comparing import criteria, frozen, looks
from engine.results.comparing.beside import beside, second_metric, unheld
from engine.results.comparing.pairings import Other, compared_across, ordered, others, with_margin
from engine.results.comparing.protocol_guard import base_words, told
from engine.results.comparing.scene import (
    IS_BOUND,
    IS_ELSEWHERE,
    IS_IN_SAMPLE,
    IS_PLACEBO,
    IS_REFERENCE,
    IS_YARDSTICK,
    Scene,
    refuse_strangers,
    set_scene,
)
from engine.results.store.statistics import DEFAULT_REFERENCES, Question
from engine.results.variants import Variant, above, distinctions, resolve
from engine.runs.runfolder import declared, read_spec
from engine.stats.compare import Comparison, corrected
from engine.stats.verdicts import verdict
from engine.strategies.cloning import command_of

__all__ = ["DEFAULT_REFERENCES", "compare_variants"]

Named = dict[str, Comparison]  # by the variant's name on screens
Row = dict[str, Any]


def compare_variants(
    ws: Workspace,
    *,
    reference: str | None = None,
    metric: str | None = None,
    split: str = "test",
    protocol: str | None = None,
    family: str | None = None,
    variants: Sequence[str] = (),
    across_protocols: bool = False,
    margin: float = 0.0,
    bands: bool = True,
) -> dict[str, Any]:
    """Return the leaderboard of one protocol as one JSON object, fractions throughout.

    Keys: reference, metric, split, protocol, rows (the reference first, then the best, bounds last),
    other_protocols (hashes), others (protocol, variants scored there only, differs, words), older (hashes
    under which its runs wrote the protocol in an older form), base (words, todays), unscored (variants
    without scores in this metric), warnings, test_looks (verdicts on these test dialogues by now), test_set
    (name, protocols, primary: as `looks.TestSet`), noise (repeats, floor, command), criteria (variant
    -> bands), margin, among_metrics (how many metrics p_holm answers for: 1 for the primary one). A row
    holds the fields of `Comparison` and variant_id, family, run_id, aliases, role, verdict, co_primary
    (beside.py, or None), repeat_of, noise_floor, above_noise, above_placebo (variants.py, or None), protocol,
    paired_by, settings (what tells it from others of its plain name, in words).

    `metric` is by default the study's primary one. `reference` is by default unified where it is scored, else
    base. `family` and `variants` choose the rows shown; Holm's correction is over all that compete.
    `across_protocols` adds variants that were scored elsewhere only, marked and without a verdict. A win is
    better by more than `margin`, in the metric's unit; criteria, tests and intervals know no margin. Without
    `bands` there are no criteria, and their further metrics are not looked at. Raises
    EngineError for names nobody knows, where nothing is scored, for a metric that was not computed for the
    reference (NotComputed), and for variants scored under another protocol only, with the fields that differ.
    Side effect: on test, the variants that compete are recorded as seen.
    """
    scene = set_scene(ws, metric=metric, split=split, protocol=protocol, reference=reference)
    _check_family(scene, family)
    names = refuse_strangers(scene, variants, across_protocols=across_protocols)
    at = looks.test_set(scene.protocol, scene.fields, metrics.primary(ws).name)
    among = frozen.among_metrics(ws, at, scene.metric.name)
    compared = _among(_read(ws, scene), among)
    known = {row.variant for row in compared.rows}
    unscored = [one.variant for one in scene.under(scene.protocol) if one.variant not in known]
    if scene.reference.variant in unscored:
        can_be = not scene.fields[scene.protocol].get("imported")
        raise NotComputed(scene.metric, scene.reference.variant, can_be=can_be)
    second = second_metric(ws, scene.metric)
    rows = [
        _row(scene, row, compared, beside(ws, second, compared.second.get(row.variant)))
        for row in compared.rows
    ]
    elsewhere = others(scene)
    if across_protocols:
        rows += [row for other in elsewhere for row in _rows_across(ws, scene, other)]
    apart = distinctions([scene.variants[row["variant"]] for row in rows], scene.origins)
    rows = [{**row, "settings": apart.get(row["variant_id"], "")} for row in rows]
    shown = [row for row in ordered(rows, scene.metric) if _is_shown(row, family=family, names=names)]
    judged = _criteria(scene, compared.against_unified, domain_of(ws).also_up, shown) if bands else {}
    read = compared.against_unified if judged else ()
    found = {
        "reference": scene.reference.variant,
        "metric": scene.metric.name,
        "split": split,
        "protocol": scene.protocol,
        "rows": shown,
        "other_protocols": [name for name in scene.protocols if name != scene.protocol],
        "others": [other.as_json() for other in elsewhere],
        "older": list(scene.older),
        "base": {"words": base_words(scene.fields[scene.protocol]), "todays": scene.on_todays_base},
        "unscored": unscored,
        "warnings": [
            *_warnings(scene, rows, unscored),
            *unheld(ws, second, compared.second),
            *_cut(ws, shown),
        ],
        "test_looks": _look(ws, scene, shown, at, {scene.metric.name, *read}),
        "test_set": {"name": at.name, "protocols": sorted(at.protocols), "primary": at.primary},
        "noise": _noise(ws, scene, compared.controls),
        "criteria": judged,
        "margin": margin,
        "among_metrics": among,
    }
    return with_margin(ws, found, margin) if margin else found


class NotComputed(EngineError):
    """A metric not computed for replies that are there (`can_be`), or that a publication leaves out."""

    def __init__(self, metric: Metric, variant: str, *, can_be: bool) -> None:
        hint = _rescore(metric) if can_be else "The published files do not say it: choose another metric."
        super().__init__(f"{variant} is not scored in {metric.label}.", hint)
        self.metric, self.can_be = metric, can_be


def _rescore(metric: Metric) -> str:
    return f"Compute it for the replies that are there: python -m engine rescore --metric {metric.name}"


def _check_family(scene: Scene, family: str | None) -> None:
    known = sorted({variant.family for variant in scene.variants.values()})
    if family is not None and family not in known:
        raise unknown_name("family", family, known)


def _is_shown(row: Row, *, family: str | None, names: set[str]) -> bool:
    if row["role"] == IS_REFERENCE:
        return True
    return (family is None or row["family"] == family) and (not names or row["variant"] in names)


@dataclass(frozen=True, slots=True)
class _Compared:
    """What is read for one table. `rows` are against the reference, with Holm's p; `against_unified` is by
    metric; `controls` are repeats against what they repeat, `above` variants against their placebos; `second`
    are `rows` in the metric that must hold beside this one."""

    rows: list[Comparison]
    against_unified: dict[str, Named]
    controls: Named
    above: Named
    second: Named


def _read(ws: Workspace, scene: Scene) -> _Compared:
    place, asked = (scene.protocol, scene.split), (scene.metric,)
    there = {variant.variant_id: variant.variant for variant in scene.under(scene.protocol)}
    unified = scene.find(DEFAULT_REFERENCES[0])
    controls = {again: first for again, first in scene.repeated.items() if again in there and first in there}
    second = second_metric(ws, scene.metric)
    both = asked if second is None else (*asked, second)
    questions = [Question(*place, scene.reference.variant_id, both)]
    pairs = [
        *controls.items(),
        *((one, own) for one, own in scene.placebos.items() if {one, own} <= set(there)),
    ]
    questions += [Question(*place, against, asked, frozenset({one})) for one, against in pairs]
    if unified is not None:
        shown = metrics.of_study(ws)
        needed = tuple(shown[name] for name in (criteria.DECIDES, *domain_of(ws).also_up) if name in shown)
        questions.append(Question(*place, unified.variant_id, needed))
    answers = [
        {metric: _named(found, there) for metric, found in one.items()} for one in store.paired(ws, questions)
    ]
    beside_own = [answer[scene.metric.name] for answer in answers[1 : 1 + len(pairs)]]
    against_unified = {} if unified is None else answers[-1]
    return _Compared(
        rows=list(_with_holm(scene, answers[0][scene.metric.name]).values()),
        against_unified={metric: _with_holm(scene, rows) for metric, rows in against_unified.items()},
        controls=_joined(beside_own[: len(controls)]),
        above=_joined(beside_own[len(controls) :]),
        second={} if second is None else answers[0][second.name],
    )


def _joined(tables: Sequence[Named]) -> Named:
    return {name: row for rows in tables for name, row in rows.items()}


def _named(found: Mapping[str, Comparison], names: Mapping[str, str]) -> Named:
    return {
        names[variant_id]: replace(row, variant=names[variant_id], reference=names[row.reference])
        for variant_id, row in found.items()
    }


def _with_holm(scene: Scene, rows: Named) -> Named:
    """Holm's family is all that compete: no reference, no bound, no placebo, no repeat of another variant."""
    outside = {
        name for name, row in rows.items() if scene.role(scene.variants[name]) or name == row.reference
    }
    return {row.variant: row for row in corrected(list(rows.values()), outside_family=outside)}


def _among(compared: _Compared, metrics_beside: int) -> _Compared:
    """A metric that was not declared beforehand answers for all that could have been shown in its place."""
    rows = [
        row if row.p_holm is None else replace(row, p_holm=min(1.0, metrics_beside * row.p_holm))
        for row in compared.rows
    ]
    return replace(compared, rows=rows)


# --- rows


def _row(scene: Scene, row: Comparison, compared: _Compared, second: Row | None) -> Row:
    variant = scene.variants[row.variant]
    role = scene.role(variant)
    floor = _floor(scene, variant, compared.controls)
    return {
        **_origin(row, variant),
        "role": role,
        "co_primary": second,
        "verdict": role
        or verdict({**row.as_json(), "co_primary": second}, higher_is_better=scene.metric.higher_is_better),
        "repeat_of": _repeated(scene, variant),
        "noise_floor": floor,
        "above_noise": None if floor is None or row.delta is None or role else abs(row.delta) > floor,
        "above_placebo": above(compared.above.get(row.variant)),
        "protocol": scene.protocol,
        "paired_by": scene.fields[scene.protocol].get("paired_by", "example"),
    }


def _origin(row: Comparison, variant: Variant) -> Row:
    origin = {"variant_id": variant.variant_id, "family": variant.family, "run_id": variant.run_id}
    return {**row.as_json(), **origin, "aliases": list(variant.aliases)}


def _rows_across(ws: Workspace, scene: Scene, other: Other) -> list[Row]:
    unknown = dict.fromkeys(("repeat_of", "noise_floor", "above_noise", "above_placebo", "co_primary"))
    extra = {**unknown, "protocol": other.protocol}
    return [
        {**_origin(row, variant), "role": IS_ELSEWHERE, "verdict": IS_ELSEWHERE, **extra, "paired_by": by}
        for variant, row, by in compared_across(ws, scene, other)
    ]


def _look(ws: Workspace, scene: Scene, rows: Sequence[Row], at: looks.TestSet, read: Collection[str]) -> int:
    """Record what is judged on test; return how many verdicts there are on these test dialogues by now."""
    told = looks.told_by_runs(ws, {one.variant_id: one.run_id for one in scene.under(scene.protocol)})
    names = {one.variant_id: one.variant for one in scene.variants.values()}
    looks.record(ws, at, scene.protocol, {one: names[one] for one in told}, {at.primary})
    judged = {row["variant_id"]: row["variant"] for row in rows if not row["role"]}
    return looks.record(ws, at, scene.protocol, judged if scene.split == "test" else {}, read)


def _warnings(scene: Scene, rows: Sequence[Row], unscored: Sequence[str]) -> list[str]:
    """What a reader must know: what the protocol itself says, who is left out, and what differs in rows from
    elsewhere."""
    found = [str(one) for one in scene.fields[scene.protocol].get("warnings", ())]
    if not scene.on_todays_base:
        words = base_words(scene.fields[scene.protocol])
        found.append(f"Made with another base model ({words}) than the workspace has today.")
    if scene.metric.version not in ("", METRICS[scene.metric.name].version):
        found.append(
            f"{scene.metric.label} is shown as version {scene.metric.version} defined it, today's is"
            f" {METRICS[scene.metric.name].version}. {_rescore(scene.metric)}"
        )
    if chosen := [row["variant"] for row in rows if row["role"] == IS_IN_SAMPLE]:
        found.append(
            f"Scored on the val that it chose by, so it looks better here and does not compete:"
            f" {', '.join(chosen)}. Run it again: its val is cross-fitted now."
        )
    if unscored:
        names = ", ".join(unscored)
        found.append(f"Not scored in {scene.metric.label}, so left out: {names}. {_rescore(scene.metric)}")
    for protocol in dict.fromkeys(row["protocol"] for row in rows if row["role"] == IS_ELSEWHERE):
        names = ", ".join(row["variant"] for row in rows if row["protocol"] == protocol)
        by = ", ".join(sorted({row["paired_by"] for row in rows if row["protocol"] == protocol}))
        words = told(scene.differences(protocol))
        found.append(f"Another protocol, so no verdict: {names}. What differs: {words}. Paired by {by}.")
    return found


def _cut(ws: Workspace, rows: Sequence[Row]) -> list[str]:
    """What the base's window cut off in the runs that made what is shown."""
    found = []
    for run_id in dict.fromkeys(row["run_id"] for row in rows):
        if words := cuts.told(declared(ws.run_folder(run_id), "summary", {})):
            names = ", ".join(row["variant"] for row in rows if row["run_id"] == run_id)
            found.append(f"Too long for the base's window, {names}: {words}.")
    return found


# --- the noise floor


def _repeated(scene: Scene, variant: Variant) -> str | None:
    first = scene.repeated.get(variant.variant_id)
    return next((one.variant for one in scene.variants.values() if one.variant_id == first), None)


def _floor(scene: Scene, variant: Variant, controls: Named) -> float | None:
    """The largest difference that another seed alone made: of this recipe, or of the reference's."""
    own = {variant.variant, scene.reference.variant}
    made = [abs(row.delta) for row in controls.values() if row.delta is not None and row.reference in own]
    return max(made, default=None)


def _noise(ws: Workspace, scene: Scene, controls: Named) -> dict[str, Any]:
    made = [abs(row.delta) for row in controls.values() if row.delta is not None]
    return {
        "floor": max(made, default=None),
        "repeats": [row.as_json() for row in controls.values()],
        "command": _second_seed(ws, scene),
    }


def _second_seed(ws: Workspace, scene: Scene) -> str | None:
    """The command that makes the reference again from another seed; None where it is not trained."""
    origin = scene.origins.get(scene.reference.run_id)
    if origin is None or not scene.reference.parameters_trained:
        return None
    return command_of(read_spec(ws.run_folder(scene.reference.run_id)), ws, seed=origin.seed + 1)


# --- criteria


def _criteria(
    scene: Scene, against_unified: Mapping[str, Named], also_up: Sequence[str], shown: Sequence[Row]
) -> dict[str, list[dict[str, Any]]]:
    """Return variant -> its bands, for those shown that compete with unified; empty where it is not
    scored."""
    rows = against_unified.get(criteria.DECIDES, {})
    wanted = {row["variant"] for row in shown}
    per_persona = _per_persona(scene, rows)
    return {
        name: [
            judged.as_json()
            for judged in criteria.judge(_standing(row, against_unified, per_persona, also_up))
        ]
        for name, row in rows.items()
        if name in wanted
        and name != row.reference
        and scene.role(scene.variants[name]) not in (IS_BOUND, IS_YARDSTICK, IS_PLACEBO)
    }


def _standing(
    row: Comparison,
    against_unified: Mapping[str, Named],
    per_persona: float | None,
    also_up: Sequence[str],
) -> criteria.Standing:
    others = {metric: against_unified.get(metric, {}).get(row.variant) for metric in also_up}
    true_share = getattr(row, "true_share", None)
    return criteria.Standing(
        variant=row.variant,
        mean=row.mean,
        gain=row.delta,
        share_improved=row.share_improved if true_share is None else true_share,
        counted_share=row.share_improved,
        p=_p(row),
        lost=row.catastrophic if row.n_paired else None,
        n_personas=row.n_paired,
        per_persona_lost=per_persona,
        gains={metric: None if one is None else one.delta for metric, one in others.items()},
        p_of_gains={metric: None if one is None else _p(one) for metric, one in others.items()},
    )


def _p(row: Comparison) -> float | None:
    return row.p if row.p_holm is None else row.p_holm


def _per_persona(scene: Scene, rows: Named) -> float | None:
    """The share of personas that lose over ten points under per-persona LoRA; None if it is not scored."""
    there = [scene.variants[name] for name in rows]
    found = resolve(criteria.PER_PERSONA, there)
    found = found or next((one for one in there if one.family == criteria.PER_PERSONA), None)
    row = None if found is None else rows[found.variant]
    return None if row is None or not row.n_paired else row.catastrophic / row.n_paired
