"""The table that command line and app share."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.runs import manifest
from engine.strategies import registry
from tests.experiments_for_tests import EXPERIMENTS
from tests.workspaces import finish

CONTRACT = {
    *("variant", "mean", "delta", "ci_low", "ci_high", "p", "p_holm"),
    *("n_paired", "wins", "ties", "losses", "share_improved"),
}


def test_the_form_and_the_arithmetic(ws: Workspace) -> None:
    finish(ws, "gain")
    found = compare_variants(ws, reference="count", metric="device_f1")
    json.dumps(found, allow_nan=False)
    assert {"reference", "metric", "split", "protocol", "rows"} <= set(found)
    assert (found["reference"], found["metric"], found["split"]) == ("count", "device_f1", "test")
    reference, gain = found["rows"]
    assert set(gain) >= CONTRACT
    assert (reference["variant"], reference["delta"], reference["p"]) == ("count", 0.0, 1.0)
    assert gain["variant"] == "gain"
    assert gain["mean"] == pytest.approx(0.6)
    assert gain["delta"] == pytest.approx(0.1)
    assert (gain["n_paired"], gain["wins"], gain["ties"], gain["losses"]) == (6, 6, 0, 0)
    assert gain["share_improved"] == 1.0


def test_who_answers_fewer_examples_is_told_with_how_many(ws: Workspace) -> None:
    """Its difference is not that of the means in the table: those are over other examples."""
    finish(ws, "gain")
    assert not any("both have" in line for line in compare_variants(ws, reference="count")["warnings"])
    for run in (one for one in ws.runs.iterdir() if one.name.startswith("gain")):
        scores = pd.read_parquet(run / "scores.parquet")
        lost = scores.index[(scores["split"] == "test") & (scores["variant"] == "gain")][0]
        scores.drop(index=lost).to_parquet(run / "scores.parquet")
        manifest.write(ws, run.name)
    store.refresh(ws)
    found = compare_variants(ws, reference="count")
    n = found["rows"][0]["n_examples"]
    (line,) = [line for line in found["warnings"] if "both have" in line]
    assert line.endswith(f": gain ({n - 1} of {n}).")


def test_protocols_are_never_mixed_and_the_others_are_named(ws: Workspace) -> None:
    finish(ws, "gain")
    finish(ws, "count", {"max_new_tokens": 32})
    both = compare_variants(ws, reference="gain")
    assert [row["variant"] for row in both["rows"]] == ["gain", "count"]
    newest = compare_variants(ws, reference="count")
    assert [row["variant"] for row in newest["rows"]] == ["count"]
    assert newest["other_protocols"] == [both["protocol"]]
    older = compare_variants(ws, reference="count", protocol=both["protocol"])
    assert len(older["rows"]) == 2
    assert older["other_protocols"] == [newest["protocol"]]


def test_an_undefined_metric_says_so_without_numbers(ws: Workspace) -> None:
    finish(ws, "gain")
    for row in compare_variants(ws, reference="count", metric="param_f1")["rows"]:
        assert row["mean"] is None
        assert row["p"] is None
        assert row["n_paired"] == 0
        assert row["reason"]


def test_without_unified_and_base_the_first_variant_is_the_reference(ws: Workspace) -> None:
    finish(ws, "gain")
    assert compare_variants(ws)["reference"] == "count"
    assert compare_variants(ws, reference="gain-alias")["reference"] == "gain"


def test_unknown_names_and_missing_scores_are_clear_errors(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="Nothing is scored on test yet"):
        compare_variants(ws)
    finish(ws, "count", {"splits": ["val"]})
    with pytest.raises(EngineError, match="Nothing is scored on test yet"):
        compare_variants(ws)
    for wrong, message in (
        ({"reference": "coutn"}, "no scored variant named 'coutn'"),
        ({"metric": "f1"}, "no metric named 'f1'"),
        ({"protocol": "000"}, "no protocol named '000'"),
    ):
        with pytest.raises(EngineError, match=message):
            compare_variants(ws, split="val", **wrong)


def test_val_scores_that_a_run_chose_by_show_and_compete_with_nobody(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run of an earlier version left them; on test, which chose nothing, it competes."""
    finish(ws, "gain")
    finish(ws, "after")

    def roles(split: str) -> dict[str, tuple[str, bool]]:
        rows = compare_variants(ws, reference="count", split=split)["rows"]
        return {row["variant"]: (row["role"], row["p_holm"] is None) for row in rows}

    assert roles("val")["gain"] == ("", False)
    newer = replace(EXPERIMENTS["gain"], version=2, val_since=2)
    monkeypatch.setitem(registry.EXPERIMENTS, "gain", newer)
    assert roles("val")["gain"] == ("chosen here", True)
    assert roles("val")["after"] == ("", False)
    assert roles("test")["gain"] == ("", False)
