"""What a variant is compared with: the reference that was chosen once, or the run that it is built on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results import store
from engine.results.comparing import grounds, scene
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.freezing import freeze, outcomes
from engine.results.comparing.grounds import mean_over_seeds, over_seeds
from engine.results.comparing.pairings import compare_within, pairings
from engine.results.comparing.remarks import without_repeats
from engine.results.variants import Variant
from engine.runs import manifest
from engine.stats.compare import effects_of
from engine.stats.paired_tests import holm
from engine.stats.pairing import Pairing, pair
from engine.stats.seeds import training_noise
from engine.strategies import reference, registry
from engine.strategies.ground import read_ground
from tests.seeded_study import MADE, register, run
from tests.steps_for_tests import PERSONAS
from tests.workspaces import make_workspace


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    register(monkeypatch)
    return make_workspace(tmp_path)


def compared(ws: Workspace, **asked: object) -> dict[str, dict[str, object]]:
    return {row["run_id"]: row for row in compare_variants(ws, **asked)["rows"]}  # type: ignore[arg-type]


def chosen(ws: Workspace) -> str:
    found = reference.reference_on(ws, read_ground(ws))
    assert found is not None
    return found.run_id


def test_no_newer_run_and_no_repeat_becomes_the_reference(ws: Workspace) -> None:
    first = run(ws, "unified", ticks=4)
    store.refresh(ws)
    again = run(ws, "unified", seed=4, ticks=4, lift=0.05)
    other = run(ws, "unified", ticks=5, lift=0.1)
    usual = run(ws, "unified")
    assert compared(ws)[first]["role"] == "reference"
    assert chosen(ws) == first
    names = {row["run_id"]: row["variant"] for row in compared(ws).values()}
    assert names[first] == "unified"
    assert all(names[one].startswith("unified@") for one in (again, other, usual))
    store.rebuild(ws)
    assert compared(ws)[first]["role"] == "reference"


def test_before_anybody_looked_the_one_with_defaults_is_chosen_else_what_is_built_on(ws: Workspace) -> None:
    run(ws, "unified", ticks=4)
    stood_on = run(ws, "unified", ticks=5)
    run(ws, "hybrid", on=stood_on)
    store.refresh(ws)
    assert chosen(ws) == stood_on


def test_it_is_changed_on_purpose_and_that_is_remembered(ws: Workspace) -> None:
    first, other = run(ws, "unified"), run(ws, "unified", ticks=5)
    store.refresh(ws)
    before = store.version(ws)
    made = reference.choose(ws, other)
    assert (made.by, made.instead_of) == ("choice", first)
    assert store.version(ws) != before
    assert compared(ws)[other]["role"] == "reference"
    hybrid = run(ws, "hybrid", on=other)
    with pytest.raises(EngineError, match="cannot be the reference"):
        reference.choose(ws, hybrid)


def test_new_runs_are_built_on_the_reference(ws: Workspace) -> None:
    first = run(ws, "unified", ticks=4)
    store.refresh(ws)
    run(ws, "unified")
    hybrid = run(ws, "hybrid")
    assert store.overview(ws).origins[hybrid].upstream["unified"] == first


def test_a_variant_is_compared_with_the_unified_that_it_is_built_on(ws: Workspace) -> None:
    run(ws, "unified", ticks=4)
    store.refresh(ws)
    other = run(ws, "unified", ticks=5, lift=0.03)
    hybrid = run(ws, "hybrid", on=other, lift=0.001)
    row = compared(ws)[hybrid]
    assert row["delta"] == pytest.approx(0.001, abs=0.0005)  # and not 0.031
    assert row["built_on"] == row["reference"] == compared(ws)[other]["variant"]
    assert compared(ws)[other]["role"] == "ground"
    assert compared(ws)[other]["p_holm"] is None
    assert row["p_holm"] == row["p"]  # what it stands on is no rival of it
    found = compare_variants(ws)
    judged = found["criteria"][row["variant"]][0]
    assert judged["conditions"][0]["found"] == pytest.approx(row["delta"])
    mean = float(pairings(ws, found)[str(row["variant"])].differences.mean())
    assert mean == pytest.approx(row["delta"])
    within = compare_within(ws, found, PERSONAS[:4])["rows"]
    assert next(one for one in within if one["run_id"] == hybrid)["delta"] < 0.01


def test_who_asks_for_a_reference_by_name_gets_it_for_all(ws: Workspace) -> None:
    run(ws, "unified", ticks=4)
    store.refresh(ws)
    other = run(ws, "unified", ticks=5, lift=0.03)
    hybrid = run(ws, "hybrid", on=other, lift=0.001)
    names = {row["run_id"]: row["variant"] for row in compared(ws).values()}
    asked = compared(ws, reference="base" if "base" in names.values() else names[hybrid])
    assert {row["reference"] for row in asked.values()} == {names[hybrid]}


def test_a_frozen_plan_keeps_its_reference_when_another_is_chosen(ws: Workspace) -> None:
    first = run(ws, "unified")
    per_persona = run(ws, "per-persona", lift=0.02)
    store.refresh(ws)
    plan = freeze(ws)
    assert list(plan.variants.values()) == ["per-persona"]
    reference.choose(ws, run(ws, "unified", ticks=5, lift=0.05))
    assert compared(ws)[first]["variant"] != "unified" == plan.reference
    (planned,) = [one for one in outcomes(ws, plan) if one.row is not None]
    assert planned.row is not None
    assert planned.row["run_id"] == per_persona
    assert planned.row["delta"] == pytest.approx(0.02, abs=0.001)  # and not -0.03


def _lift(monkeypatch: pytest.MonkeyPatch, lifts: dict[tuple[str, int], float]) -> None:
    from tests import seeded_study

    monkeypatch.setattr(seeded_study, "OF_SEEDS", lifts)


def test_seeds_are_one_variant_with_their_mean_and_spread(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = {("unified", 0): 0.0, ("unified", 1): 0.04, ("unified", 2): -0.04}
    _lift(monkeypatch, {**levels, ("hybrid", 0): 0.01, ("hybrid", 1): 0.02, ("hybrid", 2): 0.03})
    unified = [run(ws, "unified", seed=seed) for seed in range(3)]
    hybrid = [run(ws, "hybrid", seed=seed, on=one) for seed, one in enumerate(unified)]
    alone = run(ws, "per-persona")
    rows = compared(ws)
    told = rows[hybrid[0]]["seeds"]
    assert isinstance(told, dict)
    assert told["n"] == 3
    assert told["deltas"] == pytest.approx([0.01, 0.02, 0.03], abs=0.001)
    assert told["deviation"] == pytest.approx(0.01, abs=0.001)
    assert rows[hybrid[0]]["delta"] == pytest.approx(0.02, abs=0.001)
    assert rows[hybrid[0]]["delta"] == pytest.approx(np.mean(told["deltas"]))
    assert (rows[hybrid[1]]["role"], rows[hybrid[2]]["role"]) == ("repeat", "repeat")
    assert rows[unified[0]]["seeds"]["means"] == pytest.approx([0.5005, 0.5405, 0.4605], abs=0.001)  # type: ignore[index]
    assert rows[alone]["delta"] == pytest.approx(0.0, abs=0.001)  # against the mean of the three
    assert rows[alone]["seeds"]["n"] == 3  # type: ignore[index]
    spread = np.std([0.0, 0.04, -0.04], ddof=1)  # it was trained once, and the reference three times
    assert rows[alone]["noise_limit"] == pytest.approx(4.303 * spread * np.sqrt(1 + 1 / 3), rel=0.02)
    assert rows[hybrid[0]]["noise_limit"] == pytest.approx(4.303 * 0.01 / np.sqrt(3), rel=0.1)
    low, high = rows[hybrid[0]]["ci_low"], rows[hybrid[0]]["ci_high"]
    assert low < 0 < high  # type: ignore[operator]  # three seeds from 1 to 3 points: t with 2 degrees of freedom
    assert rows[hybrid[0]]["above_noise"] is False
    table = list(rows.values())
    folded = without_repeats(table)
    assert [row["run_id"] for row in folded] == [row["run_id"] for row in table if not row["repeat_of"]]
    assert not any(row["settings"] for row in folded)  # "seed 0" tells nothing where there is no other
    linked = str(rows[hybrid[2]]["variant"])
    assert linked in {row["variant"] for row in without_repeats(table, but=linked)}


def test_who_is_compared_over_fewer_seeds_than_there_are_is_said(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference's row is the mean over its seeds; who stands on one of them is compared with that one."""
    _lift(monkeypatch, {("unified", 1): 0.04, ("unified", 2): -0.04})
    unified = [run(ws, "unified", seed=seed) for seed in range(3)]
    hybrid = run(ws, "hybrid", on=unified[0])
    for seed in range(4):
        run(ws, "per-persona", seed=seed)
    (said,) = (line for line in compare_variants(ws)["warnings"] if line.startswith("Compared seed beside"))
    assert "hybrid (1 of unified's 3)" in said
    assert "per-persona (3 of its 4)" in said
    assert compared(ws)[hybrid]["seeds"] is None
    unified.append(run(ws, "unified", seed=3))
    for seed in (1, 2, 3):
        run(ws, "hybrid", seed=seed, on=unified[seed])
    assert not any(line.startswith("Compared seed beside") for line in compare_variants(ws)["warnings"])


def test_one_training_of_the_reference_is_noise_unless_it_is_in_both(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("hybrid", "per-persona")
    _lift(monkeypatch, {(name, seed): 0.01 * seed for name in names for seed in range(3)})
    once = run(ws, "unified")
    hybrid = [run(ws, "hybrid", seed=seed, on=once) for seed in range(3)]
    alone = [run(ws, "per-persona", seed=seed) for seed in range(3)]
    rows = compared(ws)
    assert rows[hybrid[0]]["noise_limit"] == pytest.approx(4.303 * 0.01 / np.sqrt(3), rel=0.1)
    assert rows[alone[0]]["noise_limit"] == pytest.approx(4.303 * 0.01 * np.sqrt(1 + 1 / 3), rel=0.1)


def test_seeds_differ_by_training_and_not_by_whom_they_have() -> None:
    gains = np.linspace(0.0, 0.2, 10)

    def seed(people: int) -> Pairing:
        rows = [(f"e{who}", f"p{who}", 0.5 + float(gain)) for who, gain in enumerate(gains[:people])]
        return pair(rows, [(example, who, 0.5) for example, who, _ in rows])

    row, seeds = over_seeds([seed(10), seed(5)], higher_is_better=True, equal_margin=0.01)
    assert (row.n_paired, row.delta) == (10, pytest.approx(0.1))
    assert seeds.deltas == pytest.approx([np.mean(gains[:5])] * 2)
    assert seeds.deviation == pytest.approx(0.0)


def test_all_pairs_of_repeats_say_what_training_alone_does() -> None:
    two = training_noise([[0.0, 0.01]])
    assert two is not None
    assert two.limit == pytest.approx(0.127, abs=0.001)  # one repeat: t with one degree of freedom, 12.7
    four = training_noise([[0.0, 0.01, -0.01, 0.02]])
    assert four is not None
    assert (four.pairs, four.largest) == (6, pytest.approx(0.03))
    assert four.limit == pytest.approx(3.182 * np.sqrt(2) * np.std([0, 0.01, -0.01, 0.02], ddof=1), abs=1e-4)
    assert training_noise([[0.0]]) is None
    rng = np.random.default_rng(1)
    beyond = [
        abs(sample[0] - sample[1]) > found.limit
        for sample in rng.normal(0, 1, (4000, 5))
        if (found := training_noise([sample[2:]])) is not None
    ]
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.012)


def test_the_gain_over_a_control_is_over_the_same_seeds(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lift(monkeypatch, {("hybrid", seed): 0.01 * seed for seed in range(3)})
    unified = [run(ws, "unified", seed=seed) for seed in range(3)]
    hybrid = [run(ws, "hybrid", seed=seed, on=one) for seed, one in enumerate(unified)]
    control = [run(ws, "per-persona", seed=seed) for seed in range(3)]

    def matched(variants: Iterable[Variant], _: object) -> dict[str, str]:
        of = {one.run_id: one.variant_id for one in variants}
        return {of[one]: of[other] for one, other in zip(hybrid, control, strict=True)}

    monkeypatch.setattr(scene, "matched", matched)
    rows = compared(ws)
    assert rows[hybrid[0]]["delta"] == pytest.approx(0.01, abs=0.001)
    over = rows[hybrid[0]]["above_matched"]
    assert over["delta"] == pytest.approx(0.01, abs=0.001)  # type: ignore[index]  # and not 0, the first seed's
    assert over["ci_low"] < 0 < over["ci_high"]  # type: ignore[index]  # three seeds from 0 to 2 points
    assert rows[hybrid[2]]["above_matched"]["delta"] == pytest.approx(0.02, abs=0.001)  # type: ignore[index]


def _of_luck(values: Any) -> tuple[float, float]:
    """The variance of a persona's mean by luck, of [personas, examples, seeds] with seeds crossed with both,
    and its degrees of freedom: mean squares put together as their expectations are (Satterthwaite)."""
    personas, examples, seeds = values.shape
    by_example, cells, by_persona = values.mean(axis=2), values.mean(axis=1), values.mean(axis=(1, 2))
    a = ((by_example - by_persona[:, None]) ** 2).sum() / (personas * (examples - 1)) / examples
    rest = cells - by_persona[:, None] - cells.mean(axis=0) + cells.mean()
    c = (rest**2).sum() / ((personas - 1) * (seeds - 1)) / seeds
    left = values - by_example[:, :, None] - cells[:, None, :] + by_persona[:, None, None]
    e = (left**2).sum() / (personas * (examples - 1) * (seeds - 1)) / (examples * seeds)
    free = personas * (examples - 1), (personas - 1) * (seeds - 1)
    again = max(0.0, c - e)
    own = a + again
    return own, own**2 / (a**2 / free[0] + (c**2 / free[1] if again else 0.0))


@pytest.mark.parametrize("truly", [0.0, 0.05])
def test_who_gains_in_one_training_alone_does_not_truly_differ(truly: float) -> None:
    """Each seed has others who gain: that is no trait of theirs, however many seeds show it at once."""
    rng = np.random.default_rng(3)
    found, held = [], []
    for _ in range(60):
        gains = truly * rng.normal(size=40)
        values = (
            gains[:, None, None] + 0.05 * rng.normal(size=(40, 3, 1)) + 0.05 * rng.normal(size=(40, 3, 8))
        )
        of_seeds = [
            [(f"e{who}/{n}", f"p{who:02}", values[who, seed, n]) for who in range(40) for n in range(8)]
            for seed in range(3)
        ]
        paired = [pair(rows, [(example, who, 0.0) for example, who, _ in rows]) for rows in of_seeds]
        over = values.mean(axis=1)
        single = effects_of(
            mean_over_seeds(paired, {f"p{who:02}": (8, over[who].var(ddof=1)) for who in range(40)})
        )
        assert single is not None
        found.append(single.p < 0.05)
        held.append(((single.low <= gains) & (gains <= single.high)).mean())
    assert np.mean(found) > 0.9 if truly else np.mean(found) < 0.15
    assert np.mean(held) > 0.9


def test_for_whom_it_helps_is_read_off_examples_averaged_over_seeds(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The luck of training is averaged out in examples as it is in personas' means."""
    unified = [run(ws, "unified", seed=seed) for seed in range(3)]
    hybrid = [run(ws, "hybrid", seed=seed, on=one) for seed, one in enumerate(unified)]
    found = compare_variants(ws)
    row = compared(ws)[hybrid[0]]
    table = store.score_table(ws, metric="embedding_similarity", split="test", protocol=found["protocol"])
    of = {one.run_id: one.variant for one in store.overview(ws).variants.values()}
    wide = table.pivot(index=["persona_id", "example_id"], columns="variant", values="value")
    apart = sum(wide[of[one]] - wide[of[other]] for one, other in zip(hybrid, unified, strict=True)) / 3
    by_persona = apart.groupby("persona_id")
    own, freedom = _of_luck(
        np.stack([wide[of[a]] - wide[of[b]] for a, b in zip(hybrid, unified, strict=True)], axis=-1).reshape(
            6, 4, 3
        )
    )
    between = by_persona.mean().var()
    assert row["p_between"] == pytest.approx(f.sf(between / own, 5, freedom))
    assert row["reliability"] == pytest.approx(max(0.0, 1 - own / between))
    (alone,) = pairings(ws, found, variants=[str(row["variant"])]).values()
    assert alone.variances == pytest.approx(by_persona.var().to_numpy())
    monkeypatch.setitem(registry.EXPERIMENTS, "base", replace(MADE["hybrid"], name="base", makes="base"))
    run(ws, "base", on=unified[0])
    found = compare_variants(ws, reference="base")  # against unified, too, for the criteria
    row = next(one for one in found["rows"] if one["run_id"] == hybrid[0])
    paired = pairings(ws, found, variants=[row["variant"], "unified"])
    told = {name: effects_of(one) for name, one in paired.items()}
    assert row["seeds"]["n"] == 3
    family = holm([one and one.p for one in told.values()])  # hybrid, and unified itself
    assert row["p_between"] == pytest.approx(dict(zip(told, family, strict=True))[row["variant"]])


def test_some_personas_are_judged_over_seeds_as_all_are(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = {("hybrid", 0): 0.01, ("hybrid", 1): 0.02, ("hybrid", 2): 0.03}
    _lift(monkeypatch, levels)
    unified = [run(ws, "unified", seed=seed) for seed in range(3)]
    hybrid = [run(ws, "hybrid", seed=seed, on=one) for seed, one in enumerate(unified)]
    found = compare_variants(ws)
    whole = compared(ws)[hybrid[0]]
    within = compare_within(ws, found, PERSONAS[:5])["rows"]
    row = next(one for one in within if one["run_id"] == hybrid[0])
    assert (row["ci_kind"], row["seeds"]["n"], row["n_paired"]) == ("crossed", 3, 5)
    assert row["ci_low"] < 0 < row["ci_high"]  # as over all: three seeds from 1 to 3 points say little
    same = next(one for one in compare_within(ws, found, PERSONAS)["rows"] if one["run_id"] == hybrid[0])
    assert {name: same[name] for name in ("ci_low", "ci_high", "p_holm", "seeds", "wins")} == {
        name: whole[name] for name in ("ci_low", "ci_high", "p_holm", "seeds", "wins")
    }


def test_what_is_said_over_seeds_is_kept_until_a_run_under_it_changes(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    computed = grounds._computed

    def counting(ws: Workspace, place: tuple[str, str], wanted: list[Any], groups: Any) -> list[Any]:
        counted.append(len(wanted))
        return computed(ws, place, wanted, groups)

    monkeypatch.setattr(grounds, "_computed", counting)
    _lift(monkeypatch, {("hybrid", seed): 0.01 * seed for seed in range(4)})
    unified = [run(ws, "unified", seed=seed) for seed in range(3)]
    hybrid = [run(ws, "hybrid", seed=seed, on=one) for seed, one in enumerate(unified)]

    def whole(**asked: object) -> dict[str, object]:
        counted.clear()
        row = compared(ws, **asked)[hybrid[0]]
        return {name: row[name] for name in row if name not in ("p_holm", "family_size")}

    first = whole()
    assert counted == [4]  # unified and hybrid, in the table's metric and in the one beside it
    assert whole() == first
    assert not counted
    path = ws.run_folder(hybrid[1]) / "scores.parquet"
    scores = pd.read_parquet(path)
    scores.assign(embedding_similarity=scores["embedding_similarity"] + 0.1).to_parquet(path)
    manifest.write(ws, hybrid[1])
    changed = whole()
    assert counted
    assert changed["delta"] == pytest.approx(first["delta"] + 0.1 / 3)  # type: ignore[operator]
    run(ws, "hybrid", seed=3, on=unified[0])
    assert whole()["seeds"]["n"] == 4  # type: ignore[index]
    kept = whole()
    assert not counted
    store.rebuild(ws)
    assert [whole()[name] for name in ("delta", "ci_low", "p", "seeds")] == [
        kept[name] for name in ("delta", "ci_low", "p", "seeds")
    ]
