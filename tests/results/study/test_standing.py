"""Where a study stands in a tree, from real runs and their real comparisons."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.results.study import standing as study
from engine.results.trees.tree import Tree, move_thresholds
from engine.results.trees.tree_check import read_tree
from engine.results.trees.tree_words import confirmation
from engine.runs import manifest
from engine.runs.runfolder import Status, read_status, write_spec, write_status
from engine.stats.verdicts import improved
from engine.strategies import registry
from tests.experiments_for_tests import EXPERIMENTS
from tests.workspaces import finish

GATED = """
title: Counting
reference: count
gate: {over_reference: 0.05, share_improved: 0.9}
nodes:
  - {id: bar, experiment: count, then: gain}
  - {id: gain, experiment: gain, expected: [0.05, 0.15], passed: use, failed: after}
  - {id: use, result: Use the gain, use: [gain]}
  - {id: after, experiment: after, passed: use-after, failed: none}
  - {id: use-after, result: Use after, use: [gain, after]}
  - {id: none, result: Nothing, outcome: open, use: [count], record: Nothing helped.}
"""


def tree(text: str = GATED) -> Tree:
    return read_tree(text, name="counting")


def end_badly(ws: Workspace, experiment: str) -> str:
    spec = study.plan(ws, experiment).target.spec
    write_status(ws.run_folder(spec.run_id), Status(state="failed", order=9, attempt=1, error="No memory."))
    write_spec(ws.run_folder(spec.run_id), spec)
    return spec.run_id


def test_without_data_there_is_no_standing(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not a workspace yet"):
        study.stand(Workspace(tmp_path / "empty"), tree())


def test_an_empty_study_waits_for_its_reference(ws: Workspace) -> None:
    stood = study.stand(ws, tree())
    assert (stood.walk.next, stood.verdict) == ("bar", None)
    assert stood.next_plan is not None
    assert stood.next_plan.target.spec.experiment == "count"
    assert stood.remaining.worst_unknown
    assert stood.estimate_words("bar") == ""


def test_the_gate_reads_the_comparison_that_all_screens_show(ws: Workspace) -> None:
    """Its p too: that of the verdict, corrected over all that compete, not that of this pair alone."""
    run_id = finish(ws, "gain")
    finish(ws, "count", {"lift": 0.001})
    stood = study.stand(ws, tree())
    measured = stood.walk.findings["gain"].measured
    (row,) = [
        row
        for row in compare_variants(ws, reference="count", split="val")["rows"]
        if row["variant"] == "gain"
    ]
    assert measured is not None
    assert (measured.delta, measured.p, measured.share_improved) == (
        row["delta"],
        row["p_holm"],
        improved(row),
    )
    assert row["p_holm"] > row["p"]
    assert (measured.split, measured.candidates) == ("val", 1)
    assert stood.walk.findings["gain"].runs == (run_id,)
    assert (stood.walk.path, stood.walk.result) == (("bar", "gain", "use"), "use")
    assert stood.walk.standings["after"].state == "skipped"


def test_the_verdict_looks_at_test_for_its_one_variant(ws: Workspace) -> None:
    finish(ws, "gain")
    finish(ws, "after")
    verdict = study.stand(ws, tree()).verdict
    assert verdict is not None
    assert verdict.tested is not None
    assert (verdict.variant, verdict.tested.split, verdict.tested.n_paired) == ("gain", "test", 6)
    assert {look.variant for look in _seen(ws)} == {"gain"}
    assert verdict.ahead is not None
    assert (verdict.ahead.variant, verdict.ahead.split) == ("after", "val")


def test_what_val_chose_is_judged_by_one_p_as_in_the_headline(ws: Workspace) -> None:
    """Others that compete on test change nothing: it was declared by val, before test was looked at."""
    finish(ws, "gain")

    def among_many(ws: Workspace, **asked: Any) -> dict[str, Any]:
        table = compare_variants(ws, **asked)
        p = {"p_holm": 0.9, "p_strict": 0.1} if asked["split"] == "test" else {}
        return {**table, "rows": [{**row, **p} for row in table["rows"]]}

    verdict = study.stand(ws, tree(), compared=among_many).verdict
    assert verdict is not None
    assert verdict.tested is not None
    rows = compare_variants(ws, reference="count", variants=["gain"])["rows"]
    assert verdict.tested.p == next(row["p_alone"] for row in rows if row["variant"] == "gain")
    assert confirmation(verdict.tested) == "confirmed"


def test_before_the_end_nobody_looks_at_test(ws: Workspace) -> None:
    finish(ws, "count")
    assert study.stand(ws, tree()).walk.next == "gain"
    assert _seen(ws) == []


def test_the_best_of_several_runs_is_chosen_on_val(ws: Workspace) -> None:
    finish(ws, "gain")
    finish(ws, "gain", {"lift": 0.2})
    measured = study.stand(ws, tree()).walk.findings["gain"].measured
    assert measured is not None
    assert measured.candidates == 2
    assert measured.delta == pytest.approx(0.3, abs=0.06)


def test_of_those_alike_the_first_by_name_is_chosen(ws: Workspace) -> None:
    finish(ws, "gain")
    finish(ws, "gain", {"lift": 0.2})

    def alike(ws: Workspace, **asked: Any) -> dict[str, Any]:
        found = compare_variants(ws, **asked)
        return {**found, "rows": [{**row, "delta": row["delta"] and 0.1} for row in found["rows"]]}

    rows = compare_variants(ws, reference="count", split="val")["rows"]
    measured = study.stand(ws, tree(), compared=alike).walk.findings["gain"].measured
    assert measured is not None
    assert measured.variant == min(row["variant"] for row in rows if row["variant"] != "count")


def test_only_runs_with_the_nodes_own_parameters_count(ws: Workspace) -> None:
    finish(ws, "gain")
    lifted = tree(
        GATED.replace("experiment: gain, expected", "experiment: gain, parameters: {lift: 0.3}, expected")
    )
    stood = study.stand(ws, lifted)
    assert stood.walk.next == "gain"
    assert stood.next_plan is not None
    assert stood.next_plan.target.spec.parameters["lift"] == 0.3


def test_a_run_that_failed_stops_the_walk_and_can_be_launched_again(ws: Workspace) -> None:
    finish(ws, "count")
    run_id = end_badly(ws, "gain")
    stood = study.stand(ws, tree())
    assert stood.walk.standings["gain"].state == "stopped"
    assert stood.walk.standings["gain"].reason == f"Its run {run_id} failed: No memory."
    assert stood.next_plan is not None


def test_a_gate_not_passed_leads_on_and_the_end_is_on_record(ws: Workspace) -> None:
    finish(ws, "gain")
    finish(ws, "after")
    stood = study.stand(ws, move_thresholds(tree(), {"gain": 0.5, "after": 0.5}))
    assert stood.walk.result == "none"
    assert stood.walk.standings["none"].reason == "Nothing helped."
    assert stood.verdict is not None
    assert (stood.verdict.variant, stood.verdict.tested) == ("count", None)
    assert stood.verdict.ahead is not None
    assert (stood.verdict.ahead.variant, stood.verdict.ahead.split) == ("after", "val")
    assert _seen(ws) == []


def test_what_if_reads_nothing_new(ws: Workspace) -> None:
    finish(ws, "gain")
    stood = study.stand(ws, tree())
    harder = study.rewalk(stood, move_thresholds(tree(), {"gain": 0.5}))
    assert (stood.walk.result, harder.next) == ("use", "after")


def test_times_are_learned_and_guesses_are_marked(ws: Workspace) -> None:
    run_id = finish(ws, "count")
    spent = {"load": 20.0, "count": 100.0}
    took = replace(read_status(ws.run_folder(run_id)), seconds=120.0, stage_seconds=spent)
    write_status(ws.run_folder(run_id), took)
    stood = study.stand(ws, tree())
    assert stood.walk.findings["bar"].seconds == 120.0
    assert stood.estimate_words("gain") == "roughly 2 min"
    assert stood.remaining.rough
    assert (stood.remaining.best_seconds, stood.remaining.worst_seconds) == (120.0, 240.0)


def test_an_experiment_that_does_not_exist_is_passed_over(ws: Workspace) -> None:
    finish(ws, "count")
    text = GATED.replace("experiment: gain, expected", "experiment: telepathy, optional: true, expected")
    stood = study.stand(ws, tree(text))
    assert stood.walk.standings["gain"].state == "not available"
    assert "telepathy" in stood.walk.standings["gain"].reason
    assert stood.walk.next == "after"


def test_one_cluster_is_judged_on_its_own_personas(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    clustering = EXPERIMENTS["count"].__class__(
        **{**_fields(EXPERIMENTS["count"]), "name": "clustering", "makes": "clusters"}
    )
    monkeypatch.setitem(registry.EXPERIMENTS, "clustering", clustering)
    finish(ws, "gain")
    largest = tree().model_copy(update={"cluster": "largest"})
    unknown = study.stand(ws, largest)
    assert unknown.walk.findings["gain"].measured is None
    assert "cluster" in (unknown.walk.findings["gain"].unmeasured or "")
    run_id = finish(ws, "clustering")
    people = json.dumps({"assignment": {f"p{number:02d}": int(number > 1) for number in range(6)}})
    write_json(ws.run_folder(run_id) / "clusters.json", json.loads(people))
    manifest.write(ws, run_id)
    for cluster, personas in (("largest", 4), (0, 2), (1, 4)):
        found = study.stand(ws, tree().model_copy(update={"cluster": cluster}))
        measured = found.walk.findings["gain"].measured
        assert measured is not None
        assert measured.n_paired == personas


def _seen(ws: Workspace) -> list[looks.Look]:
    return looks.seen(ws, looks.at(compare_variants(ws, reference="count", split="val")))


def _fields(entry: object) -> dict[str, object]:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}  # type: ignore[attr-defined]
