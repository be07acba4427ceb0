"""Protocols: what differs is named, and nothing is compared across them unasked."""

from __future__ import annotations

import json

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.protocol_guard import differences, told
from tests.workspaces import finish


@pytest.fixture
def ws(ws: Workspace) -> Workspace:
    finish(ws, "gain", {"lift": 0.3, "max_new_tokens": 32})
    finish(ws, "count")
    return ws


def test_only_what_differs_is_named_and_consequences_are_left_out() -> None:
    here = {"max_new_tokens": 64, "decoding": "greedy", "examples_hash": "a" * 16, "warnings": ["one"]}
    there = {"max_new_tokens": 32, "decoding": "greedy", "examples_hash": "b" * 16, "imported": True}
    found = differences(here, there)
    assert [one.field for one in found] == ["examples_hash", "max_new_tokens", "imported"]
    assert told(found) == (
        "examples (aaaaaaaa here, bbbbbbbb there); longest reply in tokens (64 here, 32 there); "
        "scores published elsewhere (not said here, yes there)"
    )
    assert differences(here, here) == []


def test_a_variant_scored_otherwise_is_refused_with_what_differs(ws: Workspace) -> None:
    with pytest.raises(EngineError, match=r"longest reply in tokens \(64 here, 32 there\)") as caught:
        compare_variants(ws, reference="count", protocol=_newest(ws), variants=["gain"])
    assert "--across-protocols" in caught.value.hint
    with pytest.raises(EngineError, match="gain and the variants of .* not scored under one protocol"):
        compare_variants(ws, reference="gain", protocol=_newest(ws))


def _newest(ws: Workspace) -> str:
    return str(compare_variants(ws)["protocol"])


def test_asked_for_it_is_shown_marked_and_without_a_verdict(ws: Workspace) -> None:
    found = compare_variants(ws, reference="count", protocol=_newest(ws), across_protocols=True)
    json.dumps(found, allow_nan=False)
    row = next(row for row in found["rows"] if row["variant"] == "gain")
    assert (row["role"], row["verdict"], row["p_holm"]) == ("other protocol", "other protocol", None)
    assert row["delta"] == pytest.approx(0.4, abs=0.05)
    assert (row["paired_by"], row["n_paired"], row["n_examples"]) == ("example", 6, 24)
    assert row["protocol"] in found["other_protocols"]
    assert any("64 here, 32 there" in line for line in found["warnings"])
    assert [other["variants"] for other in found["others"]] == [["gain"]]
    assert found["test_looks"] == 0


def test_a_name_nobody_knows_is_no_question_of_protocols(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="no scored variant named 'gian'"):
        compare_variants(ws, reference="count", variants=["gian"])
    with pytest.raises(EngineError, match="no family named 'tests'"):
        compare_variants(ws, reference="count", family="tests")
