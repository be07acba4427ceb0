"""A plan frozen before test is looked at: what it says, what it refuses, and what came later."""

from __future__ import annotations

import json

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results.comparing import freezing, frozen, looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.pairings import compare_within
from engine.runs.runfolder import fingerprint
from tests.steps_for_tests import PERSONAS
from tests.workspaces import finish


@pytest.fixture
def ws(ws: Workspace) -> Workspace:
    finish(ws, "gain")
    finish(ws, "after")
    return ws


def at(ws: Workspace) -> looks.TestSet:
    return looks.at(compare_variants(ws, reference="count", split="val"))


def test_a_plan_says_variants_metrics_margins_and_tests_and_looks_at_nothing(ws: Workspace) -> None:
    made = freezing.freeze(ws, reference="count", further=["device_f1"], margin=0.01)
    assert set(made.variants.values()) == {"gain", "after"}
    assert (made.primary, made.further) == ("embedding_similarity", ("device_f1",))
    assert made.margins["better"] == 0.01
    assert made.tests["alpha"] == 0.05
    assert (len(made.hash), made.is_whole, made.looks) == (16, True, 0)
    assert looks.seen(ws, at(ws)) == []
    assert frozen.plans(ws, at(ws)) == [made]


def test_a_changed_plan_is_known_by_its_hash(ws: Workspace) -> None:
    freezing.freeze(ws, reference="count")
    path = ws.data / "frozen.jsonl"
    row = json.loads(path.read_text())
    row["variants"] = {one: name for one, name in row["variants"].items() if name == "gain"}
    path.write_text(json.dumps(row) + "\n")
    (found,) = frozen.plans(ws, at(ws))
    assert not found.is_whole


def test_a_plan_of_before_which_names_its_reference_only_is_whole(ws: Workspace) -> None:
    freezing.freeze(ws, reference="count", further=["device_f1"])
    path = ws.data / "frozen.jsonl"
    row = json.loads(path.read_text())
    told = {name: value for name, value in row.items() if name not in ("reference_id", "hash")}
    path.write_text(json.dumps({**told, "hash": fingerprint(told, 16)}) + "\n")
    (found,) = frozen.plans(ws, at(ws))
    assert (found.is_whole, found.reference_id) == (True, "")
    assert {one.variant for one in freezing.outcomes(ws, found) if one.row is not None} == {"gain", "after"}


def test_what_was_seen_can_be_planned_no_longer(ws: Workspace) -> None:
    compare_variants(ws, reference="count", variants=["gain"])
    with pytest.raises(EngineError, match="gain in Embedding similarity"):
        freezing.freeze(ws, reference="count")
    assert freezing.freeze(ws, reference="count", variants=["after"]).looks == 1
    assert freezing.freeze(ws, reference="count", variants=["gain"], primary="device_f1").looks == 1


def test_further_metrics_are_one_family_with_their_variants(ws: Workspace) -> None:
    made = freezing.freeze(ws, reference="count", further=["device_f1", "device_recall"])
    found = freezing.outcomes(ws, made)
    assert [one.metric for one in found[:2]] == ["embedding_similarity"] * 2
    rows = {(one.variant, one.metric): one for one in found}
    assert len(rows) == 6
    for one in found:
        if one.row is None or one.p is None:
            continue
        family = 2 if one.metric == made.primary else 4
        assert one.row["p_strict"] <= one.p <= min(1.0, family * one.row["p_strict"]) + 1e-12
    assert rows["gain", "embedding_similarity"].verdict == "better"


def test_what_came_later_is_what_no_plan_names(ws: Workspace) -> None:
    made = freezing.freeze(ws, reference="count", variants=["gain"])
    freezing.outcomes(ws, made)
    seen = looks.seen(ws, at(ws))
    assert [look.variant for look in seen] == ["gain"]
    assert frozen.later(seen, [made]) == []
    compare_variants(ws, reference="count")
    assert [look.variant for look in frozen.later(looks.seen(ws, at(ws)), [made])] == ["after"]


def test_names_nobody_knows_and_metrics_without_a_direction(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="no variant that competes on val named 'gian'"):
        freezing.freeze(ws, reference="count", variants=["gian"])
    with pytest.raises(EngineError, match="neither better nor worse"):
        freezing.freeze(ws, reference="count", further=["length_ratio"])


def test_a_metric_that_was_not_declared_answers_for_all_that_could_have_been_shown(ws: Workspace) -> None:
    def corrected(metric: str | None = None) -> tuple[float, float]:
        rows = compare_variants(ws, reference="count", metric=metric, split="val")["rows"]
        row = next(row for row in rows if row["variant"] == "gain")
        return row["p_strict"], row["p_holm"]

    p, p_holm = corrected()
    assert p <= p_holm <= 2 * p  # two variants, one metric
    p, p_holm = corrected("device_f1")
    assert p_holm >= min(1.0, 10 * p)
    assert frozen.among_metrics(ws, at(ws), "device_f1") == 10
    assert frozen.among_metrics(ws, at(ws), "embedding_similarity") == 1
    freezing.freeze(ws, reference="count", primary="device_f1", further=["param_f1", "device_recall"])
    assert frozen.among_metrics(ws, at(ws), "device_f1") == 1
    assert frozen.among_metrics(ws, at(ws), "param_f1") == 2
    assert frozen.among_metrics(ws, at(ws), "embedding_similarity") == 10


def test_a_metric_that_was_not_declared_answers_for_the_others_among_some_personas_too(ws: Workspace) -> None:
    found = compare_variants(ws, reference="count", metric="device_f1", split="val")
    within = compare_within(ws, found, PERSONAS)
    for row, whole in zip(within["rows"], found["rows"], strict=True):
        assert (row["variant"], row["p_holm"]) == (whole["variant"], whole["p_holm"])
