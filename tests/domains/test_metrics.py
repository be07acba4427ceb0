"""The metrics: the cases that define them, and what must hold for any pair of replies."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.domains.metrics import METRICS, chosen, primary
from engine.domains.smart_home import SMART_HOME
from engine.domains.smart_home.actions import ACTIONS_VERSION
from engine.stats.pairing import pair
from tests.scores_for_tests import SIMILARITY, score_texts
from tests.stats.cases import GROUPS
from tests.workspaces import make_workspace

REPLIES = st.sampled_from([text for rows in GROUPS.values() for text, _ in rows])

# reference, prediction -> device precision, device recall, numerical recall
DEFINING = [
    (
        "Setting the AC to 22 degrees and lights to 50% brightness.",
        "I'll set the AC to 20 degrees and the lights to 50%.",
        (1, 1, 1 / 2),
    ),
    (
        "Setting the lights to 50% brightness with a warm color.",
        "I'll set the lights to 50%, turn on the TV to volume 30, and adjust the curtains.",
        (1 / 3, 1, 1),
    ),
    (
        "Setting the lights to 70% brightness and the AC to 22 degrees in heat mode.",
        "I'll turn on the lights to 70% brightness.",
        (1, 1 / 2, 1 / 2),
    ),
    (
        "Setting the bedroom lights to 30% brightness with warm color, AC to 20 degrees in heat mode with "
        "fan speed 2, and arming the security system at volume 50.",
        "I'll set the lights to 30 percent warm, AC to 20 degrees heat mode fan speed 1, and arm security at "
        "volume 50.",
        (1, 1, 3 / 4),
    ),
]


@pytest.mark.parametrize(("reference", "prediction", "expected"), DEFINING)
def test_the_defining_cases(reference: str, prediction: str, expected: tuple[float, float, float]) -> None:
    scores = score_texts(prediction, reference)
    assert (scores["device_precision"], scores["device_recall"], scores["numerical_recall"]) == expected


NOTHING = "Good night, sleep well."
LIGHTS = "The lights are at 40% in a warm tone."
QUESTION = "What temperature would you like?"

# prediction, reference -> metric: value
VALUES = [
    (NOTHING, LIGHTS, {"device_precision": 0, "device_recall": 0, "device_f1": 0, "param_precision": 0}),
    (NOTHING, LIGHTS, {"numerical_precision": 0, "numerical_recall": 0, "numerical_mae": None}),
    (LIGHTS, NOTHING, {"device_precision": 0, "device_recall": 0, "device_f1": 0}),
    (LIGHTS, NOTHING, {"numerical_recall": 0, "param_recall": 0, "exact_action_match": 0}),
    (NOTHING, "Any time.", {"device_precision": 1, "device_recall": 1, "device_f1": 1}),
    (NOTHING, "Any time.", {"param_f1": 1, "numerical_precision": 1, "exact_action_match": 1}),
    (NOTHING, "Any time.", {"numerical_mae": None}),
    (LIGHTS, QUESTION, {"device_precision": 0, "device_recall": 0, "numerical_recall": 0}),
    (LIGHTS, QUESTION, {"numerical_precision": 0, "param_recall": 0, "param_precision": 0}),
    (QUESTION, QUESTION, {"param_precision": 1, "param_recall": 1, "param_f1": 1}),
    (QUESTION, "And the AC?", {"device_precision": 1, "param_precision": 1, "exact_action_match": 1}),
    (LIGHTS, "Lights warm, 40%.", {"param_precision": 1, "param_recall": 1, "exact_action_match": 1}),
    ("Lights to 50.", LIGHTS, {"numerical_mae": 10, "numerical_recall": 0, "param_recall": 0}),
    ("TV volume 40.", "TV brightness 40.", {"numerical_precision": 0, "numerical_recall": 0}),
    ("TV volume 40.", "TV brightness 40.", {"numerical_mae": None, "device_f1": 1}),
    ("Lights at 20%, lights at 80%.", "Lights at 70%.", {"numerical_mae": 10, "numerical_precision": 0}),
    ("AC to 20 and lights to 40.", "AC to 22 and lights to 50.", {"numerical_mae": 6}),
    ("Lights to 40.", "Lights to 40, TV off.", {"param_recall": 1 / 2, "param_f1": 2 / 3}),
    ("a b c", "a b c d", {"length_ratio": 3 / 4}),
    ("", "a b", {"length_ratio": 0}),
    ("a", "", {"length_ratio": None}),
]


@pytest.mark.parametrize(("prediction", "reference", "expected"), VALUES)
def test_values(prediction: str, reference: str, expected: dict[str, float | None]) -> None:
    scores = score_texts(prediction, reference)
    assert {name: scores[name] for name in expected} == expected


@settings(max_examples=200, deadline=None)
@given(REPLIES, REPLIES)
def test_scores_are_within_bounds_and_never_nan(prediction: str, reference: str) -> None:
    scores = score_texts(prediction, reference)
    json.dumps(scores, allow_nan=False)
    for name, value in scores.items():
        assert value is None or (math.isfinite(value) and value >= 0)
        assert value is None or METRICS[name].unit != "fraction" or value <= 1


@settings(max_examples=200, deadline=None)
@given(REPLIES)
def test_a_reply_agrees_with_itself(text: str) -> None:
    scores = score_texts(text, text)
    for name, value in scores.items():
        assert value in (None, 0.0 if name == "numerical_mae" else 1.0)
    for kind in ("device", "param", "numerical"):
        assert scores[f"{kind}_precision"] == scores[f"{kind}_recall"] == 1


@settings(max_examples=200, deadline=None)
@given(REPLIES, REPLIES, st.sampled_from(["device", "param", "numerical"]))
def test_precision_and_recall_swap_with_the_roles(one: str, other: str, kind: str) -> None:
    forward, backward = score_texts(one, other), score_texts(other, one)
    assert forward.get(f"{kind}_f1") == backward.get(f"{kind}_f1")
    assert forward[f"{kind}_precision"] == backward[f"{kind}_recall"]


@settings(max_examples=300, deadline=None)
@given(REPLIES, REPLIES, REPLIES)
def test_no_variant_is_spared_an_example_by_its_own_reply(one: str, other: str, reference: str) -> None:
    """Of two replies both have a value or neither has; but an error needs a number of either side."""
    ours, theirs = score_texts(one, reference), score_texts(other, reference)
    assert {name for name, value in ours.items() if (value is None) != (theirs[name] is None)} <= {
        "numerical_mae"
    }


def test_who_wrongly_acts_is_paired_with_who_keeps_still() -> None:
    acting = [("e1", "p1", score_texts(LIGHTS, NOTHING)), ("e2", "p1", score_texts(LIGHTS, LIGHTS))]
    still = [("e1", "p1", score_texts(NOTHING, NOTHING)), ("e2", "p1", score_texts(LIGHTS, LIGHTS))]
    for name in ("device_f1", "param_precision", "param_recall", "param_f1", "numerical_recall"):
        pairs = [
            [(example, persona, row[name]) for example, persona, row in rows] for rows in (still, acting)
        ]
        paired = pair(*pairs)
        assert (paired.n_examples, paired.n_null_candidate, paired.n_null_reference) == (2, 0, 0)
        assert (paired.candidate[0], paired.reference[0]) == (1.0, 0.5)


@settings(max_examples=200, deadline=None)
@given(REPLIES, REPLIES, st.sampled_from(["device", "param"]))
def test_f1_is_the_harmonic_mean(one: str, other: str, kind: str) -> None:
    scores = score_texts(one, other)
    precision, recall, f1 = (scores[f"{kind}_{name}"] for name in ("precision", "recall", "f1"))
    if precision and recall:
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_the_registry_names_every_score_in_order() -> None:
    assert list(SMART_HOME.metrics) == [SIMILARITY, *score_texts("", "")]
    assert set(SMART_HOME.metrics) <= set(METRICS)
    assert all(name == record.name and record.help.endswith(".") for name, record in METRICS.items())
    assert METRICS["device_f1"].version == ACTIONS_VERSION


def test_a_score_cannot_be_changed_by_its_reader() -> None:
    score_texts(LIGHTS, LIGHTS)["device_f1"] = 7.0
    assert score_texts(LIGHTS, LIGHTS)["device_f1"] == 1.0


def test_an_unknown_metric_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="device_recall"):
        chosen(make_workspace(tmp_path), "device_recal")


def test_the_primary_metric_decides_where_none_is_named(tmp_path: Path) -> None:
    ws = make_workspace(tmp_path)
    assert chosen(ws, None) == primary(ws) == METRICS[SIMILARITY]
