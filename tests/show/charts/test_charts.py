"""Charts of comparisons: what they hold, and that every chart is valid and clickable where promised."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import pytest

from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.show.charts.cost import cost_chart, front, tradeoff_table
from engine.show.charts.heatmap import heatmap, ordered_personas
from engine.show.charts.intervals import interval_chart
from engine.show.charts.leaderboard import leaderboard_table
from engine.show.charts.looks import BRUSHED, CHOSEN, PALETTE, parts, specification
from engine.show.charts.personas import (
    catastrophes,
    distribution_chart,
    persona_chart,
    scatter_chart,
    selected_personas,
    strip_chart,
    table_of,
)
from engine.show.charts.power import power_chart
from engine.stats.pairing import pair
from engine.stats.power import outlook
from engine.stats.verdicts import BETTER, EQUAL, UNCLEAR, WORSE, outcome, verdict
from tests.stats.leaderboards import leaderboard as compare_all

SCORE = METRICS["embedding_similarity"]
ERROR = METRICS["rating_mae"]
PERSONAS = [f"p{number:02d}" for number in range(10)]


def _scores(lift: float, wobble: float = 0.02) -> list[tuple[str, str, float | None]]:
    return [
        (f"{persona}/{turn}", persona, 0.5 + lift + wobble * ((number * 7 + turn * 3) % 5))
        for number, persona in enumerate(PERSONAS)
        for turn in range(3)
    ]


def persona_table(
    scores: pd.DataFrame, *, candidate: str, reference: str, metric: Metric = SCORE, margin: float = 0.0
) -> pd.DataFrame:
    """The table of two variants whose scores stand in a frame."""
    told = scores.assign(value=scores["value"].astype(object).where(scores["value"].notna(), None))
    rows = {
        name: list(zip(held["example_id"], held["persona_id"], held["value"], strict=True))
        for name, held in told.groupby("variant")
    }
    return table_of(pair(rows[candidate], rows[reference]), metric=metric, margin=margin)


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
    roles = {"ceiling-persona": "bound"}
    return [
        {**row.as_json(), "family": families.get(row.variant, "test"), "role": roles.get(row.variant, "")}
        for row in found
    ]


def test_the_leaderboard_is_in_points_and_leaves_the_reference_unjudged(rows: list[dict[str, Any]]) -> None:
    table = leaderboard_table(rows, reference="unified", metric=SCORE).set_index("variant")
    assert table.loc["unified", "verdict"] == "reference"
    assert pd.isna(table.loc["unified", "delta"])
    assert table.loc["better", "verdict"] == BETTER
    assert table.loc["worse", "verdict"] == WORSE
    assert table.loc["worse", "delta"] == pytest.approx(100 * (rows[3]["mean"] - rows[0]["mean"]))
    assert table.loc["same", "verdict"] == UNCLEAR
    assert table.loc["ceiling-persona", "verdict"] == "bound"
    assert list(table.index) == [row["variant"] for row in rows]


def test_a_metric_with_a_unit_of_its_own_is_not_multiplied(rows: list[dict[str, Any]]) -> None:
    table = leaderboard_table(rows, reference="unified", metric=ERROR).set_index("variant")
    assert table.loc["better", "mean"] == pytest.approx(rows[1]["mean"])
    told = ERROR.spread(rows[1]["ci_low"], rows[1]["ci_high"])
    assert table.loc["better", "interval"] == told
    assert [len(end.partition(".")[2]) for end in told.split(" to ")] == [2, 2]  # as a command words it


def test_lower_can_be_better(rows: list[dict[str, Any]]) -> None:
    assert verdict(rows[3], higher_is_better=False) == BETTER
    assert outcome(-1.0, higher_is_better=False) == BETTER
    assert outcome(-1.0, higher_is_better=None) == EQUAL


def test_an_interval_that_holds_zero_is_not_clear() -> None:
    assert verdict({"ci_low": -0.1, "ci_high": 0.2}) == UNCLEAR
    assert verdict({"ci_low": None, "ci_high": None}) == UNCLEAR
    assert verdict({"ci_low": 0.01, "ci_high": 0.2}) == BETTER
    assert verdict({"ci_low": 0.01, "ci_high": 0.2, "p_holm": 0.04}) == BETTER
    assert verdict({"ci_low": 0.01, "ci_high": 0.2, "p_holm": 0.09}) == UNCLEAR


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
    table = persona_table(_score_frame(), candidate="a", reference="b")
    assert list(table["persona_id"]) == ["p00", "p02", "p01"]
    assert list(table["outcome"]) == [BETTER, EQUAL, WORSE]
    assert list(table["difference"]) == pytest.approx([0.5, 0.0, -0.4])
    assert list(table["rank"]) == [1, 2, 3]


def test_where_lower_is_better_the_gains_still_come_first() -> None:
    table = persona_table(_score_frame(), candidate="a", reference="b", metric=ERROR)
    assert list(table["persona_id"]) == ["p01", "p02", "p00"]
    assert list(table["outcome"]) == [BETTER, EQUAL, WORSE]


def _selected_fields(spec: dict[str, Any]) -> list[str]:
    return [parameter["select"]["fields"] for parameter in spec["params"] if parameter["name"] == CHOSEN][0]


def test_charts_are_valid_and_select_what_they_promise(rows: list[dict[str, Any]]) -> None:
    intervals = interval_chart(rows, reference="unified", metric=SCORE).to_dict()
    assert _selected_fields(intervals) == ["variant"]
    drawn = intervals["datasets"]
    assert {row["variant"] for held in drawn.values() for row in held if "variant" in row} == {
        "better", "same", "worse", "ceiling-persona",
    }  # fmt: skip
    table = persona_table(_score_frame(), candidate="a", reference="b")
    bars = persona_chart(table, candidate="a", reference="b", metric=SCORE).to_dict()
    assert _selected_fields(bars) == ["persona_id"]


@pytest.mark.parametrize(("rival", "spread"), [("b", None), ("a", [-1, 1])])
def test_differences_that_are_all_nothing_have_an_axis_too(rival: str, spread: list[int] | None) -> None:
    scores = pd.concat([_score_frame(), _score_frame().query("variant == 'a'").assign(variant="c")])
    table = persona_table(scores, candidate="c", reference=rival)
    drawn = strip_chart(table, candidate="c", reference=rival, metric=SCORE).to_dict()
    marks = next(layer for layer in drawn["layer"] if "shape" in layer["encoding"])
    assert marks["encoding"]["x"].get("scale", {}).get("domain") == spread


def test_every_colour_word_of_a_chart_is_in_the_palette(rows: list[dict[str, Any]]) -> None:
    intervals = interval_chart(rows, reference="unified", metric=SCORE).to_dict()
    used = {row["verdict"] for held in intervals["datasets"].values() for row in held if "verdict" in row}
    assert used == {BETTER, WORSE, EQUAL}
    assert used <= set(PALETTE)


def test_a_chart_is_made_once_for_the_same_content_and_anew_for_any_other() -> None:
    table, again = (persona_table(_score_frame(), candidate="a", reference="b") for _ in range(2))
    told = {"candidate": "a", "reference": "b"}
    first = persona_chart(table, **told, metric=SCORE)
    assert persona_chart(again, **told, metric=SCORE) is first
    assert persona_chart(table, **told, metric=ERROR) is not first
    assert persona_chart(table, **{**told, "candidate": "c"}, metric=SCORE) is not first
    again.loc[0, "difference"] += 1e-9
    assert persona_chart(again, **told, metric=SCORE) is not first
    assert first.to_dict()["height"] > 0  # and what is made of it leaves it whole


def test_a_specification_is_the_chart_with_its_tables_beside_it(rows: list[dict[str, Any]]) -> None:
    chart = interval_chart(rows, reference="unified", metric=SCORE)
    spec = specification(chart)
    assert specification(chart) is spec
    held = {name: table.to_dict("records") for name, table in spec["datasets"].items()}
    own = alt.Chart.from_dict({**spec, "datasets": held}).to_dict()
    assert {**own, "config": None, "datasets": None} == {**spec, "config": None, "datasets": None}
    drawn = [part.data for part in parts(chart) if isinstance(part.data, pd.DataFrame)]
    assert {len(table) for table in spec["datasets"].values()} == {len(table) for table in drawn}
    bare = chart.to_dict()
    assert [set(layer) for layer in spec["layer"]] == [set(layer) for layer in bare["layer"]]


def test_a_comparison_without_a_second_variant_still_draws(rows: list[dict[str, Any]]) -> None:
    assert interval_chart(rows[:1], reference="unified", metric=SCORE).to_dict()["height"] > 0


def test_an_outcome_within_the_margin_is_equal() -> None:
    table = persona_table(_score_frame(), candidate="a", reference="b", margin=0.45)
    assert list(table["outcome"]) == [BETTER, EQUAL, EQUAL]
    assert outcome(0.02, margin=0.02) == EQUAL
    assert outcome(0.0200001, margin=0.02) == BETTER


def test_catastrophes_are_losses_of_more_than_ten_points_the_largest_first() -> None:
    frame = pd.DataFrame({"persona_id": list("abcd"), "difference": [-0.1, -0.3, 0.2, -0.11]})
    assert list(catastrophes(frame, metric=SCORE)["persona_id"]) == ["b", "d"]
    assert list(catastrophes(frame, metric=ERROR)["persona_id"]) == ["c"]


def test_a_brush_names_the_personas_within_it() -> None:
    table = persona_table(_score_frame(), candidate="a", reference="b")
    assert selected_personas(table, {"difference": [-50.0, 10.0]}, metric=SCORE) == ["p02", "p01"]
    both = {"candidate": [80.0, 100.0], "reference": [30.0, 50.0]}
    assert selected_personas(table, both, metric=SCORE) == ["p00"]
    assert selected_personas(table, {}, metric=SCORE) == ["p00", "p02", "p01"]


def test_bins_hold_every_persona_once_and_keep_gains_from_losses() -> None:
    table = persona_table(_score_frame(), candidate="a", reference="b")
    spec = distribution_chart(table, mean=float(table["difference"].mean()), metric=SCORE).to_dict()
    (bins,) = [held for held in spec["datasets"].values() if "personas" in held[0]]
    assert sum(one["personas"] for one in bins) == len(table)
    assert all((one["low"] < 0 < one["high"]) == (one["outcome"] == EQUAL) for one in bins)
    assert {one["outcome"] for one in bins if one["low"] >= 0} == {BETTER}
    assert {one["outcome"] for one in bins if one["high"] <= 0} == {WORSE}


def test_scatter_and_heatmap_select_personas_and_variants() -> None:
    table = persona_table(_score_frame(), candidate="a", reference="b")
    scatter = scatter_chart(table, candidate="a", reference="b", metric=SCORE).to_dict()
    assert _selected_fields(scatter) == ["persona_id"]
    assert BRUSHED in {one["name"] for one in scatter["params"]}
    wide = table.assign(variant="a")
    drawn = heatmap(wide, variants=["a"], personas=["p01", "p02", "p00"], metric=SCORE).to_dict()
    assert _selected_fields(drawn) == ["persona_id", "variant"]
    assert drawn["layer"][0]["encoding"]["x"]["sort"] == ["p01", "p02", "p00"]


def test_the_heatmaps_columns_are_sorted_as_asked() -> None:
    frame = pd.DataFrame(
        [
            {"variant": variant, "persona_id": persona, "difference": value}
            for variant, values in {"one": (0.1, 0.3, -0.2), "two": (0.9, 0.0, 0.1)}.items()
            for persona, value in zip("abc", values, strict=True)
        ]
    )
    clusters = {"a": 1, "b": 0, "c": 0}
    by = {
        order: ordered_personas(frame, order, candidate="one", clusters=clusters)
        for order in ("difference", "mean", "cluster", "name")
    }
    assert by == {
        "difference": ["b", "a", "c"],
        "mean": ["a", "b", "c"],
        "cluster": ["b", "c", "a"],
        "name": ["a", "b", "c"],
    }


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    assert front([(1, 1), (2, 2), (3, 1.5), (1, 0.5), (2, 2)]) == [True, True, False, False, True]


def test_costs_that_nobody_knows_and_bounds_are_left_out(rows: list[dict[str, Any]]) -> None:
    told = [{**row, "role": "bound" if row["family"] == "ceiling" else ""} for row in rows]
    costs = {"unified": 10.0, "better": 20.0, "same": 30.0, "worse": None, "ceiling-persona": 0.0}
    table = tradeoff_table(told, costs, cost="parameters", metric=SCORE).set_index("variant")
    assert list(table.index) == ["unified", "better", "same"]
    assert list(table["front"]) == ["on the front", "on the front", "beaten"]
    assert table.loc["better", "cost_words"] == "20 parameters"
    drawn = cost_chart(table.reset_index(), cost="parameters", metric=SCORE).to_dict()
    assert _selected_fields(drawn) == ["variant"]


def test_the_power_chart_marks_the_study_and_the_goal() -> None:
    spec = power_chart(outlook(n_personas=20, smallest=0.03, effect=0.01), metric=SCORE).to_dict()
    (marks,) = [held for held in spec["datasets"].values() if "what" in held[0]]
    assert [one["what"] for one in marks] == ["this study", "what you asked for"]
    assert marks[0]["personas"] == 20
    assert marks[0]["difference"] == pytest.approx(3.0)
    assert marks[1]["difference"] == pytest.approx(1.0)
