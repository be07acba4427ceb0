"""The comparison table that command line and app both show. Owns its form and whom Holm's correction spans.

The statistics are read as they were kept when the scores came in. Scores under different protocols never
meet in one table unasked: the others are named with what differs.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core.errors import unknown_name
from engine.core.paths import Workspace
from engine.core.types import Row
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.registry import domain_of
from engine.results.comparing import criteria, frozen, grounds, looks, row_role, sharing, unseen
from engine.results.comparing.beside import beside, second_metric, unheld
from engine.results.comparing.grounds import Asked, Seeds
from engine.results.comparing.noise import noise_of, noise_of_table
from engine.results.comparing.pairings import Other, compared_across, ordered, others, with_margin
from engine.results.comparing.protocol_guard import base_words
from engine.results.comparing.remarks import NotComputed, warnings
from engine.results.comparing.scene import (
    Scene,
    refuse_strangers,
    set_scene,
)
from engine.results.store.statistics import DEFAULT_REFERENCES
from engine.results.variants import Variant, above, distinctions, resolve
from engine.stats.compare import Comparison, corrected, over_metrics
from engine.stats.verdicts import verdict, why
from engine.strategies.budgets import whole_budget

Named = dict[str, Comparison]  # by the variant's name on screens
Found = dict[str, Any]
"""A comparison as one JSON object, fractions throughout. Keys: reference, metric, split, protocol, defined
(for how many personas of how many the reference has the metric), rows (the reference first, then the best,
bounds last), other_protocols (hashes), others (protocol, variants scored there only, differs, words),
older (hashes under which its runs wrote the protocol in an older form), base (words, todays), unscored
(variants without scores in this metric), warnings, test_looks (verdicts on these test dialogues by now),
test_set (name, protocols, primary: as `looks.TestSet`), noise (repeats, floor, command), criteria (variant
-> bands), margin, among_metrics (how many metrics p_holm answers for: 1 for the primary one), unseen (on
test: the same table over personas kept out of training, as unseen.py; else None).

A row holds the fields of `Comparison` and variant_id, family, run_id, aliases, role, verdict, why (what it
rests on or lacks, in a line), among_metrics (as above), co_primary (beside.py, or None), repeat_of, built_on
(the unified that it stands on and is compared with, where that is not the reference), compared (ids: whom
each of its seeds is compared with), seeds (of `grounds.Seeds`, or None), noise_floor (the largest difference
that another seed made), noise_limit (what one stays within by chance), above_noise, above_placebo and
above_matched (variants.py, or None), steps and train_tokens (of all that was trained for it), protocol,
paired_by, settings (what tells it from others of its name).
"""


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
) -> Found:
    """Return the leaderboard of one protocol.

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
    at = looks.test_set(scene.protocol, scene.fields, metrics.primary(ws).name, split=split)
    among = frozen.among_metrics(ws, at, scene.metric.name)
    compared = _read(ws, scene)
    compared = replace(compared, rows=over_metrics(compared.rows, among), among_metrics=among)
    unscored = _unscored(scene, compared.rows)
    second = second_metric(ws, scene.metric)
    elsewhere = others(scene)
    rows = _rows(ws, scene, compared, second, elsewhere if across_protocols else ())
    shown = [row for row in ordered(rows, scene.metric) if _is_shown(row, family=family, names=names)]
    judged = _criteria(ws, scene, compared.against_unified, shown) if bands else {}
    deciding = {criteria.DECIDES, *domain_of(ws).also_up}
    read = deciding & set(compared.against_unified) if judged else set[str]()
    defined = _defined(scene, compared.rows)
    found = {
        "reference": scene.reference.variant,
        "metric": scene.metric.name,
        "split": split,
        "protocol": scene.protocol,
        "defined": defined,
        "rows": shown,
        "other_protocols": [name for name in scene.protocols if name != scene.protocol],
        "others": [other.as_json() for other in elsewhere],
        "older": list(scene.older),
        "base": {"words": base_words(scene.fields[scene.protocol]), "todays": scene.on_todays_base},
        "unscored": unscored,
        "warnings": warnings(
            ws,
            scene,
            rows,
            shown,
            unscored=unscored,
            defined=defined,
            unheld=unheld(ws, second, compared.second),
        ),
        "test_looks": _look(ws, scene, shown, at, {scene.metric.name, *read}),
        "test_set": {"name": at.name, "protocols": sorted(at.protocols), "primary": at.primary},
        "noise": noise_of_table(ws, scene, compared.controls),
        "criteria": judged,
        "margin": margin,
        "among_metrics": among,
        "unseen": None,
    }
    if split == "test" and not across_protocols:
        found["unseen"] = unseen.beside_test(
            ws, scene, compare_variants, family=family, variants=sorted(names), margin=margin
        )
    return with_margin(ws, found, margin) if margin else found


def _unscored(scene: Scene, rows: Iterable[Comparison]) -> list[str]:
    """The variants without scores in this metric. Raises NotComputed where the reference is one of them."""
    known = {row.variant for row in rows}
    found = [one.variant for one in scene.under(scene.protocol) if one.variant not in known]
    if scene.reference.variant in found:
        can_be = not scene.fields[scene.protocol].get("imported")
        raise NotComputed(scene.metric, scene.reference.variant, can_be=can_be)
    return found


def _defined(scene: Scene, rows: Iterable[Comparison]) -> dict[str, int]:
    """For how many personas, of those it is scored for, the reference has the metric."""
    own = next((row.n_paired for row in rows if row.variant == scene.reference.variant), 0)
    return {"personas": own, "of": scene.served(scene.reference)}


def _check_family(scene: Scene, family: str | None) -> None:
    known = sorted({variant.family for variant in scene.variants.values()})
    if family is not None and family not in known:
        raise unknown_name("family", family, known)


def _is_shown(row: Row, *, family: str | None, names: set[str]) -> bool:
    if row_role.is_reference(row):
        return True
    return (family is None or row["family"] == family) and (not names or row["variant"] in names)


@dataclass(frozen=True, slots=True)
class _Compared:
    """What is read for one table. `rows` are against whom each is compared with, with Holm's p;
    `against_unified` is by metric; `seeds` are of what was made from several; `controls` are repeats against
    what they repeat, `above` variants against their placebos, `matched` against the unified that was trained
    on as much, both over their seeds; `second` are `rows` in the metric that must hold beside this one.
    `among_metrics` is how many metrics the p of `rows` answers for."""

    rows: list[Comparison]
    against_unified: dict[str, Named]
    seeds: Mapping[str, Seeds]
    controls: Named
    above: Named
    matched: Named
    second: Named
    among_metrics: int = 1


def _read(ws: Workspace, scene: Scene) -> _Compared:
    there = {variant.variant_id: variant.variant for variant in scene.under(scene.protocol)}
    controls = (
        grounds.singly(scene.repeated, there),
        *(grounds.with_seeds(found, scene.repeated, there) for found in (scene.placebos, scene.matched)),
    )
    controlled = [Asked((scene.metric,), whom) for whom in controls]
    unified, needed = scene.find(DEFAULT_REFERENCES[0]), list[Asked]()
    if unified is not None:
        shown, beside_it = metrics.of_study(ws), second_metric(ws, metrics.METRICS[criteria.DECIDES])
        judged = [shown[name] for name in (criteria.DECIDES, *domain_of(ws).also_up) if name in shown]
        judged += [] if beside_it is None else [beside_it]
        needed.append(Asked(tuple(judged), scene.pairs_with(unified)))
    second = second_metric(ws, scene.metric)
    both = (scene.metric,) if second is None else (scene.metric, second)
    asked = [*controlled, Asked(both, scene.pairs), *needed]
    shared = sharing.groups(ws, scene.under(scene.protocol))
    answers = grounds.read(ws, (scene.protocol, scene.split), asked, shared)
    again, above_own, over_matched, told = (
        _named(answer.rows[scene.metric.name], there) for answer in answers[:4]
    )
    return _Compared(
        rows=list(_with_holm(scene, told).values()),
        against_unified={
            metric: _with_holm(scene, _named(rows, there))
            for answer in answers[4:]
            for metric, rows in answer.rows.items()
        },
        seeds={there[own]: one for own, one in answers[3].seeds.items()},
        controls=again,
        above=above_own,
        matched=over_matched,
        second={} if second is None else _named(answers[3].rows[second.name], there),
    )


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


# --- rows


def _rows(
    ws: Workspace, scene: Scene, compared: _Compared, second: Metric | None, elsewhere: Iterable[Other]
) -> list[Row]:
    """Every row, those of variants scored `elsewhere` last; what shares a name says its settings."""
    rows: list[Row] = [
        {
            **_row(scene, row, compared, beside(ws, second, compared.second.get(row.variant))),
            **_amount(ws, row, scene),
        }
        for row in compared.rows
    ]
    rows += [row for other in elsewhere for row in _rows_across(ws, scene, other)]
    apart = distinctions([scene.variants[row["variant"]] for row in rows], scene.origins)
    return [{**row, "settings": apart.get(row["variant_id"], "")} for row in rows]


def _row(scene: Scene, row: Comparison, compared: _Compared, second: Row | None) -> Row:
    variant = scene.variants[row.variant]
    role = scene.role(variant)
    seeds = compared.seeds.get(variant.variant)
    noise = noise_of(scene, variant, seeds, compared.controls)
    own, first = scene.pairs[variant.variant_id][0][1], scene.repeated.get(variant.variant_id)
    above_noise = None if noise is None or row.delta is None or role else abs(row.delta) > noise.limit
    known = {"above_noise": above_noise, "co_primary": second, "among_metrics": compared.among_metrics}
    judged = {**row.as_json(), **known}
    higher, in_points = scene.metric.higher_is_better, scene.metric.in_points
    return {
        **_origin(row, variant),
        "role": role,
        "co_primary": second,
        "verdict": role or verdict(judged, higher_is_better=higher),
        "why": "" if role else why(judged, higher_is_better=higher, in_points=in_points),
        "among_metrics": compared.among_metrics,
        "repeat_of": next((one.variant for one in scene.variants.values() if one.variant_id == first), None),
        "compared": [list(pair) for pair in scene.pairs[variant.variant_id]],
        "built_on": row.reference if own not in (scene.reference.variant_id, variant.variant_id) else None,
        "seeds": seeds and seeds.as_json(),
        "noise_floor": noise and noise.largest,
        "noise_limit": noise and noise.limit,
        "above_noise": above_noise,
        "above_placebo": above(compared.above.get(row.variant)),
        "above_matched": above(compared.matched.get(row.variant), control="control"),
        "protocol": scene.protocol,
        "paired_by": scene.fields[scene.protocol].get("paired_by", "example"),
    }


def _origin(row: Comparison, variant: Variant) -> Row:
    origin = {"variant_id": variant.variant_id, "family": variant.family, "run_id": variant.run_id}
    return {**row.as_json(), **origin, "aliases": list(variant.aliases)}


def _rows_across(ws: Workspace, scene: Scene, other: Other) -> list[Row]:
    unknown = dict.fromkeys(
        (
            *("why", "repeat_of", "built_on", "seeds", "noise_floor", "noise_limit", "above_noise"),
            *("above_placebo", "above_matched", "steps", "train_tokens", "co_primary", "among_metrics"),
        )
    )
    elsewhere = dict.fromkeys(("role", "verdict"), row_role.ELSEWHERE)
    extra = {**elsewhere, **unknown, "protocol": other.protocol}
    return [
        {**_origin(row, variant), **extra, "paired_by": by}
        for variant, row, by in compared_across(ws, scene, other)
    ]


def _look(ws: Workspace, scene: Scene, rows: Sequence[Row], at: looks.TestSet, read: Collection[str]) -> int:
    """Record what is judged on test; return how many verdicts there are on these test dialogues by now."""
    told = looks.told_by_runs(ws, {one.variant_id: one.run_id for one in scene.under(scene.protocol)})
    names = {one.variant_id: one.variant for one in scene.variants.values()}
    looks.record(ws, at, scene.protocol, {one: names[one] for one in told}, {at.primary})
    judged = {row["variant_id"]: row["variant"] for row in rows if row_role.competes(row)}
    return looks.record(ws, at, scene.protocol, judged if scene.split != "val" else {}, read)


def _amount(ws: Workspace, row: Comparison, scene: Scene) -> Row:
    """What the variant and all that it is built on trained with, as far as the runs are still there."""
    told = whole_budget(ws, scene.variants[row.variant].run_id)
    return {"steps": told.steps or None, "train_tokens": told.tokens or None}


# --- criteria


def _criteria(
    ws: Workspace, scene: Scene, against_unified: Mapping[str, Named], shown: Sequence[Row]
) -> dict[str, list[dict[str, Any]]]:
    """Return variant -> its bands, for those shown that compete with unified; empty where it is not
    scored."""
    rows = against_unified.get(criteria.DECIDES, {})
    wanted = {row["variant"] for row in shown}
    per_persona, also_up = _per_persona(scene, rows), domain_of(ws).also_up
    second = second_metric(ws, metrics.METRICS[criteria.DECIDES])
    held = {} if second is None else against_unified.get(second.name, {})
    return {
        name: [
            judged.as_json()
            for judged in criteria.judge(
                replace(
                    _standing(row, against_unified, per_persona, also_up),
                    beside=beside(ws, second, held.get(name)),
                )
            )
        ]
        for name, row in rows.items()
        if name in wanted
        and name != row.reference
        and scene.role(scene.variants[name]) not in row_role.ORACLES | row_role.CONTROLS
    }


def _standing(
    row: Comparison,
    against_unified: Mapping[str, Named],
    per_persona: float | None,
    also_up: Sequence[str],
) -> criteria.Standing:
    others = {metric: against_unified.get(metric, {}).get(row.variant) for metric in also_up}
    return criteria.Standing(
        variant=row.variant,
        mean=row.mean,
        gain=row.delta,
        share_improved=row.share_improved if row.true_share is None else row.true_share,
        counted_share=row.share_improved,
        p=_p(row),
        lost=row.catastrophic if row.n_paired else None,
        n_personas=row.n_paired,
        per_persona_lost=per_persona,
        gains={metric: None if one is None else one.delta for metric, one in others.items()},
        p_of_gains={metric: None if one is None else _p(one) for metric, one in others.items()},
    )


def _p(row: Comparison) -> float | None:
    return row.p_strict if row.p_holm is None else row.p_holm


def _per_persona(scene: Scene, rows: Named) -> float | None:
    """The share of personas that lose over ten points under per-persona LoRA; None if it is not scored."""
    there = [scene.variants[name] for name in rows]
    found = resolve(criteria.PER_PERSONA, there)
    found = found or next((one for one in there if one.family == criteria.PER_PERSONA), None)
    row = None if found is None else rows[found.variant]
    return None if row is None or not row.n_paired else row.catastrophic / row.n_paired
