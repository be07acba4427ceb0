"""The walk through a tree from findings alone: states, deciding numbers, what if, words and times."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.results.trees.tree import Gate, Tree, move_thresholds
from engine.results.trees.tree_check import read_tree
from engine.results.trees.tree_time import remaining
from engine.results.trees.tree_walk import Finding, Measured, NodeState, judge, walk
from engine.results.trees.tree_words import (
    LOOKS,
    confirmation,
    deciding_words,
    decision,
    gate_words,
    moved,
    remaining_words,
    verdict_words,
)
from engine.stats.compare import compare
from engine.stats.pairing import pair
from engine.stats.verdicts import verdict
from engine.strategies.costs import Estimate
from tests.results.trees.test_tree import SMALL
from tests.stats.test_co_primary import beside

GATE = Gate(over_reference=0.02, share_improved=0.6)
DONE = Finding(run_id="r", run_state="succeeded", runs=("r",), seconds=60.0)


def measured(delta: float | None = 0.03, **changed: object) -> Measured:
    plain = Measured(
        variant="new", reference="unified", metric="embedding_similarity", split="val",
        delta=delta, ci_low=0.01, ci_high=0.05, p=0.001, mean=0.85, reference_mean=0.82,
        share_improved=0.7, min_detectable_effect=0.015, n_paired=200, wins=140, ties=0, losses=60,
    )  # fmt: skip
    return replace(plain, **changed)  # type: ignore[arg-type]


def small() -> Tree:
    return read_tree(SMALL, name="small")


def done(**changed: object) -> Finding:
    return replace(DONE, measured=measured(**changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "state", "number"),
    [
        ({}, "passed", "gain"),
        ({"delta": 0.02}, "passed", "gain"),
        ({"delta": 0.019}, "failed", "gain"),
        ({"share_improved": 0.59}, "failed", "share improved"),
        ({"delta": -0.03, "ci_low": -0.05, "ci_high": -0.01}, "failed", "gain"),
        ({"p": 0.06, "ci_low": -0.001}, "not significant", "p"),
        ({"p": 0.04, "ci_low": -0.001}, "not significant", "interval"),
        ({"p": 0.04, "ci_low": 0.0}, "not significant", "interval"),
        ({"p": 0.04, "ci_low": -0.001, "share_improved": 0.59}, "failed", "share improved"),
        ({"p": 0.04, "ci_low": -0.001, "delta": 0.01}, "failed", "gain"),
        ({"p": 0.06, "ci_low": -0.001, "min_detectable_effect": 0.04}, "underpowered", "detectable gain"),
        ({"p": 0.5, "delta": 0.001, "ci_low": -0.01, "ci_high": 0.012}, "failed", "gain"),
        ({"p": 0.5, "delta": 0.0, "ci_high": 0.01, "min_detectable_effect": 0.04}, "failed", "gain"),
        ({"p": 0.5, "share_improved": 0.4, "ci_low": -0.001}, "failed", "share improved"),
        ({"co_primary": beside(-0.09, -0.03)}, "failed", "second metric"),
        ({"co_primary": beside(-0.09, 0.03)}, "passed", "gain"),
        ({"delta": 0.03, "p": None, "n_paired": 1}, "underpowered", "personas"),
        ({"delta": None, "p": None, "n_paired": 0}, "underpowered", "personas"),
    ],
)
def test_a_gate_says_what_and_why(changed: dict[str, object], state: str, number: str) -> None:
    found, deciding = judge(GATE, measured(**changed))  # type: ignore[arg-type]
    assert (found, deciding.number) == (state, number)
    assert deciding_words(deciding)


SKEWED = (
    *(0.032, 0.039, 0.018, 0.026, 0.041, 0.032, 0.035, -0.027, 0.031, -0.081),
    *(0.042, 0.042, 0.041, 0.010, 0.038, -0.043, 0.013, 0.038, 0.034, -0.013),
)


def test_a_skewed_gain_that_the_bootstrap_does_not_confirm_is_not_significant() -> None:
    """16 of 20 personas gain a little and 4 lose much: the t-test passes it, the interval holds 0."""
    pairs = [(f"p{place:02d}", value) for place, value in enumerate(SKEWED)]
    found = compare(
        pair([(name, name, value) for name, value in pairs], [(name, name, 0.0) for name, _ in pairs])
    )
    assert found.p is not None
    assert found.p < 0.05
    told = measured(
        delta=found.delta, p=found.p, ci_low=found.ci_low, ci_high=found.ci_high,
        share_improved=found.share_improved, min_detectable_effect=found.min_detectable_effect, n_paired=20,
    )  # fmt: skip
    state, deciding = judge(Gate(over_reference=0.01, share_improved=0.6), told)
    assert (state, deciding.number, deciding.value) == ("not significant", "interval", found.ci_low)


def test_a_gate_that_asks_for_less_than_the_interval_is_decided_by_p() -> None:
    gate = Gate(over_reference=0.0, alpha=0.1)
    assert judge(gate, measured(p=0.08, ci_low=-0.001))[0] == "passed"


def test_the_interval_that_decided_is_told() -> None:
    _, deciding = judge(GATE, measured(p=0.04, ci_low=-0.0012))
    assert deciding_words(deciding) == "95 % interval from \N{MINUS SIGN}0.1, needed above 0"


@pytest.mark.parametrize(("low", "open_"), [(-0.09, True), (-0.03, False)])
def test_a_gate_says_what_its_verdict_still_lacks(low: float, open_: bool) -> None:
    told = measured(co_primary=beside(low, 0.03))
    state, deciding = judge(GATE, told)
    row = {"ci_low": told.ci_low, "ci_high": told.ci_high, "p_holm": told.p, "co_primary": told.co_primary}
    assert (state, verdict(row)) == ("passed", "not clear" if open_ else "better")
    assert ("no verdict yet" in deciding_words(deciding)) == open_
    assert ("not shown to stay above" in deciding_words(deciding)) == open_


def test_an_absolute_gate_looks_at_the_mean() -> None:
    gate = Gate(at_least=0.85)
    assert judge(gate, measured())[0] == "passed"
    assert judge(gate, measured(mean=0.84, delta=0.02))[0] == "failed"
    assert judge(gate, measured(mean=0.84, delta=0.02))[1].needed == pytest.approx(0.03)


def test_above_unified_still_needs_a_gain() -> None:
    gate = Gate(over_reference=0.0)
    assert judge(gate, measured(delta=-0.02, ci_low=-0.03, ci_high=-0.01))[0] == "failed"
    assert judge(Gate(over_reference=-0.05), measured(delta=-0.02, ci_high=-0.01))[0] == "failed"


@given(
    delta=some.floats(-1, 1), p=some.floats(0, 1), share=some.floats(0, 1), half=some.floats(0, 1),
    detectable=some.floats(0, 1), threshold=some.floats(-1, 1), alpha=some.floats(0.001, 0.2),
)  # fmt: skip
def test_passing_means_all_of_it_and_an_easier_gate_still_passes(
    delta: float, p: float, share: float, half: float, detectable: float, threshold: float, alpha: float
) -> None:
    gate = Gate(over_reference=threshold, share_improved=0.6, alpha=alpha)
    one = measured(
        delta=delta, p=p, share_improved=share, ci_low=delta - half, ci_high=delta + half,
        min_detectable_effect=detectable,
    )  # fmt: skip
    state, deciding = judge(gate, one)
    sure = alpha > 0.05 or delta - half > 0
    reached = delta >= threshold - 1e-12 and delta > 0 and p < alpha and share >= 0.6 and sure
    assert (state == "passed") == reached
    assert deciding.value is not None
    if reached:
        easier = Gate(
            over_reference=max(-1.0, threshold - 0.1), share_improved=0.5, alpha=min(0.9, alpha * 2)
        )
        assert judge(easier, one)[0] == "passed"


def test_nothing_run_waits_at_the_start() -> None:
    found = walk(small(), {})
    assert (found.path, found.next, found.result) == (("unified",), "unified", None)
    assert found.standings["unified"].state == "ready"
    assert {found.standings[name].state for name in ("retrieval", "use", "open")} == {"blocked"}


def test_a_passed_gate_skips_what_it_saves() -> None:
    found = walk(small(), {"unified": done(), "retrieval": done()})
    assert (found.path, found.result) == (("unified", "retrieval", "use"), "use")
    states = {name: one.state for name, one in found.standings.items()}
    assert states == {
        "unified": "passed", "retrieval": "passed", "use": "reached",
        "last": "skipped", "use-last": "skipped", "open": "skipped",
    }  # fmt: skip


def test_a_gate_not_passed_goes_on_to_the_next_step() -> None:
    found = walk(small(), {"unified": done(), "retrieval": done(delta=0.001)})
    assert (found.next, found.standings["retrieval"].state) == ("last", "failed")
    assert (found.standings["use"].state, found.standings["open"].state) == ("skipped", "blocked")
    assert decision(found, "retrieval").startswith("retrieval: not passed; new +0.1")
    assert decision(found, "retrieval").endswith("gain +0.1, needed +2.0 -> last")


@pytest.mark.parametrize(
    ("finding", "state", "goes_on"),
    [
        (Finding(run_id="r", run_state="running", progress=0.5), "running", False),
        (Finding(run_id="r", run_state="queued"), "running", False),
        (Finding(run_id="r", run_state="failed", run_error="No memory.\nat"), "stopped", False),
        (Finding(run_id="r", run_state="lost"), "stopped", False),
        (replace(DONE, unmeasured="Another protocol."), "stopped", False),
        (Finding(unavailable="Not here."), "not available", True),
    ],
)
def test_what_gives_no_number_waits_or_is_passed_over(finding: Finding, state: str, goes_on: bool) -> None:
    found = walk(small(), {"unified": done(), "retrieval": finding})
    assert found.standings["retrieval"].state == state
    assert found.next == ("last" if goes_on else "retrieval")


def test_a_step_without_gate_needs_no_number() -> None:
    assert walk(small(), {"unified": DONE}).next == "retrieval"


def test_a_result_over_missing_steps_settles_nothing() -> None:
    gone = Finding(unavailable="Not here.")
    found = walk(small(), {"unified": done(), "retrieval": gone, "last": gone})
    assert found.result == "open"
    reason = found.standings["open"].reason
    assert reason == "Nothing is settled: not available on the way were retrieval, last."
    found = walk(small(), {"unified": done(), "retrieval": done(delta=0.001), "last": gone})
    assert found.standings["open"].reason == "Not tried, because not available: last."


def test_what_runs_by_hand_ahead_is_seen() -> None:
    found = walk(small(), {"last": Finding(run_id="r", run_state="running")})
    assert (found.next, found.standings["last"].state, found.standings["last"].on_path) == (
        "unified",
        "running",
        False,
    )


def test_what_if_shows_another_path_and_changes_no_finding() -> None:
    findings = {"unified": done(), "retrieval": done(delta=0.015)}
    before = walk(small(), findings)
    changed = move_thresholds(small(), {"retrieval": 0.01})
    after = walk(changed, findings)
    assert (before.next, after.result) == ("last", "use")
    assert "retrieval: not passed becomes passed" in moved(changed, before, after)
    assert moved(small(), before, walk(small(), findings)) == []


def test_every_state_has_a_word_a_tone_and_a_sign_of_its_own() -> None:
    assert set(get_args(NodeState)) == set(LOOKS)
    assert len({look.sign for look in LOOKS.values()}) == len(LOOKS)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, "confirmed"),
        ({"ci_low": -0.01}, "not confirmed"),
        ({"p": 0.2}, "not confirmed"),
        ({"delta": -0.02, "ci_low": -0.03, "ci_high": -0.01}, "worse"),
        ({"ci_low": None, "ci_high": None, "p": None}, "not confirmed"),
        ({"co_primary": beside(-0.02, 0.03)}, "confirmed"),
        ({"co_primary": beside(-0.09, 0.03)}, "not confirmed"),
        ({"co_primary": beside(-0.09, -0.03)}, "wording up, actions down"),
    ],
)
def test_what_val_chose_test_confirms_or_not(changed: dict[str, object], word: str) -> None:
    assert confirmation(measured(split="test", **changed)) == word  # type: ignore[arg-type]
    assert verdict_words(measured(split="test", **changed)).endswith(f"against unified: {word}")  # type: ignore[arg-type]


def test_a_gate_is_worded_in_points() -> None:
    assert (
        gate_words(GATE, "unified") == "+2.0 points over unified on val, 60 % of personas improve, p < 0.05"
    )
    assert gate_words(Gate(at_least=0.85, alpha=0.01), "unified") == "at least 85.0 points on val, p < 0.01"
    assert gate_words(Gate(over_reference=0.0, metric="param_f1", split="test"), "unified").startswith(
        "Parameter F1: above unified on test"
    )


UNIFIED, GUESSED = Estimate(60.0, is_guess=False), Estimate(10.0, is_guess=True)
COSTS = {
    "unified": {"u": UNIFIED},
    "retrieval": {"u": UNIFIED, "r": Estimate(30.0, is_guess=False)},
    "last": {"p": GUESSED, "b": None},
}


def test_the_time_left_counts_each_run_once() -> None:
    left = remaining(walk(small(), {}), COSTS)
    assert (left.best_seconds, left.worst_seconds) == (90.0, 100.0)
    assert (left.best_unknown, left.worst_unknown) == (False, True)
    assert remaining_words(left) == "at least 1 min 30 s"


def test_what_is_decided_costs_nothing_more() -> None:
    left = remaining(walk(small(), {"unified": done(), "retrieval": done(delta=0.001)}), COSTS)
    assert (left.best_seconds, left.worst_seconds, left.rough) == (10.0, 10.0, True)
    ended = remaining(walk(small(), {"unified": done(), "retrieval": done()}), COSTS)
    assert (ended.best_seconds, ended.worst_seconds) == (0.0, 0.0)
    assert remaining_words(ended) == "nothing left to run"


def test_results_ahead_of_the_walk_count_as_decided() -> None:
    findings = {"retrieval": done()}
    assert remaining(walk(small(), findings), COSTS).worst_seconds == 90.0
