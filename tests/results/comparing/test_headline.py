"""What a comparison comes down to: val chooses, test judges that one, and the highest on test is named so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.core.paths import Workspace
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.headline import Headline, headline, opening_split
from engine.stats.verdicts import BETTER, UNCLEAR
from tests.workspaces import finish, make_workspace


@pytest.fixture
def ws(ws: Workspace) -> Workspace:
    """`after` is the best on one split, a lifted `gain` on the other."""
    finish(ws, "gain")
    finish(ws, "after")
    means = {split: _means(ws, split) for split in ("val", "test")}
    ahead = [of["after"] - of["gain"] for of in means.values()]
    finish(ws, "gain", {"lift": sum(ahead) / 2})
    return ws


def _means(ws: Workspace, split: str) -> dict[str, float]:
    rows = compare_variants(ws, reference="count", split=split, bands=False)["rows"]
    return {row["variant"]: row["mean"] for row in rows}


def best(ws: Workspace, split: str) -> str:
    means = _means(ws, split)
    return max((name for name in means if name != "count"), key=lambda name: means[name])


def of(ws: Workspace, split: str) -> Headline:
    return headline(ws, compare_variants(ws, reference="count", split=split))


def test_the_choice_is_vals_and_its_number_is_tests(ws: Workspace) -> None:
    assert best(ws, "val") != best(ws, "test")
    found = of(ws, "test")
    assert found.chosen is not None
    assert found.tested is not None
    assert found.chosen["variant"] == found.tested["variant"] == best(ws, "val")
    on_test = compare_variants(ws, reference="count", split="test")["rows"]
    assert found.tested["delta"] == next(row["delta"] for row in on_test if row["variant"] == best(ws, "val"))
    assert found.verdict == BETTER
    assert "on test it is better" in found.choice_words
    assert "one test" in found.choice_words


def test_a_gain_that_the_second_metric_holds_back_says_by_what(ws: Workspace) -> None:
    found = of(ws, "test")
    second = {"metric": "exact_action", "label": "Exact action match", "words": ("similarity", "action")}
    second |= {"delta": -0.02, "ci_low": -0.2, "ci_high": 0.1, "margin": 0.05}
    assert found.tested is not None
    held = replace(found, tested={**found.tested, "co_primary": second})
    assert held.verdict == UNCLEAR
    assert held.choice_words.endswith(
        "Exact action match −2.0 (−20.0 to +10.0): not shown to stay above −5.0."
    )
    assert "Exact action match" not in found.choice_words
    before = replace(held, tested=None, chosen={**found.chosen, "co_primary": second})  # type: ignore[dict-item]
    assert "not shown to stay above −5.0. Test has not judged it yet." in before.choice_words


def test_a_clear_word_within_the_noise_of_training_says_so(ws: Workspace) -> None:
    found = of(ws, "test")
    assert found.tested is not None
    assert "noise of training" not in found.choice_words
    noisy = replace(found, tested={**found.tested, "above_noise": False})
    assert noisy.choice_words == f"{found.choice_words} That is within the noise of training."
    unclear = replace(found, tested={**found.tested, "above_noise": False, "p_alone": 0.5})
    assert "noise of training" not in unclear.choice_words


def test_where_luck_makes_nothing_nothing_flatters(ws: Workspace) -> None:
    found = of(ws, "test")
    assert found.luck is not None
    assert "flatters" in found.highest_words
    assert "flatters" not in replace(found, luck=replace(found.luck, overshoot=0.0)).highest_words


def test_a_choice_in_a_metric_that_was_not_declared_answers_for_the_others(ws: Workspace) -> None:
    found = headline(ws, compare_variants(ws, reference="count", metric="device_f1"))
    assert found.among == 10
    assert found.tested is not None
    assert found.tested["p_alone"] < 0.05 < 10 * found.tested["p_alone"]
    assert found.verdict == UNCLEAR
    assert "one of 10 metrics" in found.choice_words


def test_who_serves_fewer_than_half_of_the_personas_is_not_chosen_for_all(ws: Workspace) -> None:
    first = best(ws, "val")

    def few(ws: Workspace, **asked: Any) -> dict[str, Any]:
        table = compare_variants(ws, **asked)
        rows = [{**row, "n_paired": 2} if row["variant"] == first else row for row in table["rows"]]
        return {**table, "rows": rows}

    found = headline(ws, few(ws, reference="count", split="val"), compared=few)
    assert found.chosen is not None
    assert found.chosen["variant"] != first


def test_the_highest_on_test_is_named_with_what_luck_alone_makes(ws: Workspace) -> None:
    found = of(ws, "test")
    assert found.highest is not None
    assert found.luck is not None
    assert found.highest["variant"] == best(ws, "test")
    assert f"Highest on test of {found.luck.n}: {best(ws, 'test')}" in found.highest_words
    assert found.luck.overshoot > 0
    assert 0.5 < found.luck.coverage < 0.975
    assert "too much" in found.highest_words


def test_on_val_nobody_looks_at_test_before_it_is_asked_for(tmp_path: Path, ws: Workspace) -> None:
    (ws.data / "looks.jsonl").unlink()
    found = of(ws, "val")
    assert (found.tested, found.highest) == (None, None)
    assert "not judged" in found.choice_words
    there = looks.at(compare_variants(ws, reference="count", split="val"))
    assert looks.seen(ws, there) == []
    compare_variants(ws, reference="count", split="test", variants=[best(ws, "val")], bands=False)
    assert of(ws, "val").verdict == BETTER
    assert [look.variant for look in looks.seen(ws, there)] == [best(ws, "val")]
    assert of(ws, "val").tested is not None  # seen by now


def test_where_nothing_is_above_the_reference_nothing_is_chosen(ws: Workspace) -> None:
    found = headline(ws, compare_variants(ws, reference=best(ws, "val"), split="test"))
    assert (found.chosen, found.tested) == (None, None)
    assert "nothing is chosen" in found.choice_words


def test_a_comparison_opens_on_val_unless_only_test_is_scored(ws: Workspace, tmp_path: Path) -> None:
    assert opening_split(ws) == "val"
    other = make_workspace(tmp_path / "other")
    finish(other, "gain", {"splits": ["test"]})
    assert opening_split(other) == "test"
    found = headline(other, compare_variants(other, reference="count"))
    assert (found.on_val, found.chosen) == (False, None)
    assert found.words[0].startswith("Highest on test of 1: gain")
    assert "of 3:" in replace(found, competing=3).highest_words  # two personas tell of no luck: it stays 3


def test_who_did_just_as_well_on_val_is_named_and_the_first_by_name_chosen(ws: Workspace) -> None:
    def tied(_: Workspace, **asked: Any) -> Any:
        found = compare_variants(ws, **asked)
        rows = [{**row, "delta": 0.25} if row["delta"] else row for row in found["rows"]]
        return {**found, "rows": rows}

    found = headline(ws, compare_variants(ws, reference="count", split="val"), compared=tied)
    assert found.chosen is not None
    assert found.chosen["variant"] == "after" < "gain" in found.alike
    assert "gain did just as well; of such the first by name is chosen." in found.choice_words
    assert of(ws, "val").alike == ()
