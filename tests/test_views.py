"""Charts and table records: what they hold, and that every chart is valid and clickable where promised."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from engine import views
from engine.stats.compare import leaderboard as compare_all

PERSONAS = [f"p{number:02d}" for number in range(10)]


def _scores(lift: float, wobble: float = 0.02) -> list[tuple[str, str, float | None]]:
    return [
        (f"{persona}/{turn}", persona, 0.5 + lift + wobble * ((number * 7 + turn * 3) % 5))
        for number, persona in enumerate(PERSONAS)
        for turn in range(3)
    ]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Four variants and a bound, compared with unified, as the comparison gives them."""
    tables = {
        "unified": _scores(0.0),
        "better": _scores(0.1, 0.03),
        "same": _scores(0.0),
        "worse": _scores(-0.2, 0.01),
        "ceiling-persona": _scores(0.3, 0.01),
    }
    found = compare_all(tables, reference="unified", outside_family=["ceiling-persona"])
    families = {"ceiling-persona": "ceiling"}
    return [{**row.as_json(), "family": families.get(row.variant, "test")} for row in found]


def test_the_leaderboard_is_in_points_and_leaves_the_reference_unjudged(rows: list[dict[str, Any]]) -> None:
    table = views.leaderboard(rows, reference="unified").set_index("variant")
    assert table.loc["unified", "verdict"] == "reference"
    assert pd.isna(table.loc["unified", "delta"])
    assert table.loc["better", "verdict"] == views.BETTER
    assert table.loc["worse", "verdict"] == views.WORSE
    assert table.loc["worse", "delta"] == pytest.approx(100 * (rows[3]["mean"] - rows[0]["mean"]))
    assert table.loc["same", "verdict"] == views.UNCLEAR
    assert table.loc["ceiling-persona", "verdict"] == "bound"
    assert list(table.index) == [row["variant"] for row in rows]


def test_a_metric_with_a_unit_of_its_own_is_not_multiplied(rows: list[dict[str, Any]]) -> None:
    table = views.leaderboard(rows, reference="unified", in_points=False).set_index("variant")
    assert table.loc["better", "mean"] == pytest.approx(rows[1]["mean"])
    assert table.loc["better", "interval"] == views.interval(
        rows[1]["ci_low"] / 100, rows[1]["ci_high"] / 100
    )


def test_a_bound_is_never_the_best(rows: list[dict[str, Any]]) -> None:
    found = views.best(rows, reference="unified")
    assert found is not None
    assert found["variant"] == "better"
    assert views.best(rows[:1], reference="unified") is None


def test_lower_can_be_better(rows: list[dict[str, Any]]) -> None:
    found = views.best(rows, reference="unified", higher_is_better=False)
    assert found is not None
    assert found["variant"] == "worse"
    assert views.verdict(rows[3], higher_is_better=False) == views.BETTER
    assert views.outcome(-1.0, higher_is_better=False) == views.BETTER
    assert views.outcome(-1.0, higher_is_better=None) == views.EQUAL


def test_an_interval_that_holds_zero_is_not_clear() -> None:
    assert views.verdict({"ci_low": -0.1, "ci_high": 0.2}) == views.UNCLEAR
    assert views.verdict({"ci_low": None, "ci_high": None}) == views.UNCLEAR
    assert views.verdict({"ci_low": 0.01, "ci_high": 0.2}) == views.BETTER
    assert views.verdict({"ci_low": 0.01, "ci_high": 0.2, "p_holm": 0.04}) == views.BETTER
    assert views.verdict({"ci_low": 0.01, "ci_high": 0.2, "p_holm": 0.09}) == views.UNCLEAR


def _score_frame() -> pd.DataFrame:
    """`a` beats `b` for p00, loses for p01, equals for p02; p03 has no value under `b`."""
    values = {"a": (0.9, 0.2, 0.5, 0.7), "b": (0.4, 0.6, 0.5, None)}
    return pd.DataFrame(
        [
            {"variant": variant, "persona_id": PERSONAS[number], "example_id": f"{number}", "value": value}
            for variant, held in values.items()
            for number, value in enumerate(held)
        ]
    )


def test_personas_are_paired_and_sorted_from_gain_to_loss() -> None:
    table = views.persona_table(_score_frame(), candidate="a", reference="b")
    assert list(table["persona_id"]) == ["p00", "p02", "p01"]
    assert list(table["outcome"]) == [views.BETTER, views.EQUAL, views.WORSE]
    assert list(table["difference"]) == pytest.approx([0.5, 0.0, -0.4])
    assert list(table["rank"]) == [1, 2, 3]


def test_where_lower_is_better_the_gains_still_come_first() -> None:
    table = views.persona_table(_score_frame(), candidate="a", reference="b", higher_is_better=False)
    assert list(table["persona_id"]) == ["p01", "p02", "p00"]
    assert list(table["outcome"]) == [views.BETTER, views.EQUAL, views.WORSE]


def _selected_fields(spec: dict[str, Any]) -> list[str]:
    return [
        parameter["select"]["fields"] for parameter in spec["params"] if parameter["name"] == views.CHOSEN
    ][0]


def test_charts_are_valid_and_select_what_they_promise(rows: list[dict[str, Any]]) -> None:
    intervals = views.interval_chart(rows, reference="unified").to_dict()
    assert _selected_fields(intervals) == ["variant"]
    drawn = intervals["datasets"]
    assert {row["variant"] for held in drawn.values() for row in held if "variant" in row} == {
        "better", "same", "worse", "ceiling-persona",
    }  # fmt: skip
    table = views.persona_table(_score_frame(), candidate="a", reference="b")
    bars = views.persona_chart(table, candidate="a", reference="b", chosen="p01").to_dict()
    assert _selected_fields(bars) == ["persona_id"]
    (drawn_bars,) = [held for held in bars["datasets"].values() if "persona_id" in held[0]]
    assert [row["opacity"] for row in drawn_bars] == [0.45, 0.45, 1.0]


def test_every_colour_word_of_a_chart_is_in_the_palette(rows: list[dict[str, Any]]) -> None:
    intervals = views.interval_chart(rows, reference="unified").to_dict()
    used = {row["verdict"] for held in intervals["datasets"].values() for row in held if "verdict" in row}
    assert used == {views.BETTER, views.WORSE, views.EQUAL}
    assert used <= set(views.PALETTE)


def test_a_comparison_without_a_second_variant_still_draws(rows: list[dict[str, Any]]) -> None:
    assert views.interval_chart(rows[:1], reference="unified").to_dict()["height"] > 0


def test_the_loss_curve_takes_loss_events_only() -> None:
    events = [
        {"kind": "loss", "step": 1, "epoch": 1, "split": "train", "loss_nats": 2.0},
        {"kind": "note", "step": 1},
        {"kind": "loss", "step": 2, "epoch": 1, "split": "val", "loss_nats": 1.5},
        {"kind": "loss", "step": 3, "epoch": 1, "split": "train", "loss_nats": None},
    ]
    table = views.loss_table(events)
    assert list(table["split"]) == ["training", "validation"]
    assert set(table["split"]) <= set(views.PALETTE)
    assert len(views.loss_chart(table).to_dict()["layer"]) == 2
    assert views.loss_table([]).empty


def test_the_loss_curve_keeps_the_last_value_of_a_step_that_was_repeated() -> None:
    losses = [("train", 1, 3.0), ("train", 2, 2.5), ("val", 2, 2.4), ("train", 2, 2.0), ("val", 2, 1.9)]
    table = views.loss_table(
        {"kind": "loss", "step": step, "epoch": 1, "split": split, "loss_nats": nats}
        for split, step, nats in losses
    )
    assert list(table.itertuples(index=False, name=None)) == [
        (1, 1, "training", 3.0),
        (2, 1, "training", 2.0),
        (2, 1, "validation", 1.9),
    ]


def test_shares_are_percent_and_sorted() -> None:
    spec = views.share_chart({"tv": 0.1, "ac": 0.25, "none": None}, title="Share").to_dict()
    (held,) = spec["datasets"].values()
    assert [(row["name"], row["words"]) for row in held] == [("ac", "25 %"), ("tv", "10 %")]


def test_lengths_leave_out_what_was_not_measured() -> None:
    table = views.lengths_table(
        {"Words": {"mean": 12.3, "p10": 4.0, "p50": 11.0, "p90": 20.0}, "Nothing": None}
    )
    assert list(table["what"]) == ["Words"]
    assert table.loc[0, "middle"] == "4 to 20"
