"""Place, route and merge of a persona as finished runs left them; routines in words; valid charts."""

from __future__ import annotations

from typing import Any

import altair as alt
import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.domains.metrics import METRICS
from engine.domains.smart_home import SMART_HOME
from engine.results import store
from engine.show.persona import charts
from engine.show.persona.route import merge_of, merged_variants, read_routes, route_of, routing_runs
from engine.show.persona.table import scored, wide
from engine.strategies.clusterings import newest_clusters, read_clusters
from engine.strategies.plan import look, plan
from tests.persona_study import leave_clusters, make_study
from tests.sample_study import prepare_world

SCORE = METRICS["embedding_similarity"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study with everything of a persona. Tests only look at it."""
    return make_study(tmp_path_factory.mktemp("persona") / "study", personas=5, dialogues=6)


def scores(ws: Workspace, split: str) -> Any:
    return wide(store.score_table(ws, metric="embedding_similarity", split=split))


def test_the_newest_clustering_is_read(study: Workspace) -> None:
    found = newest_clusters(study, look(study))
    assert found is not None
    assert found.sizes == {0: 2, 1: 2, 2: 1}
    assert set(found.places) == set(found.assignment)


def test_without_a_clustering_there_is_no_map(tmp_path: Any) -> None:
    ws = prepare_world(tmp_path / "world", personas=5, dialogues=6)
    assert newest_clusters(ws, look(ws)) is None
    run_id = leave_clusters(ws)
    write_json(ws.run_folder(run_id) / "clusters.json", {"assignment": 3})
    with pytest.raises(EngineError, match=r"clusters\.json was changed"):
        read_clusters(ws, run_id)


def test_a_route_tells_the_val_scores_behind_it(study: Workspace) -> None:
    variants = store.variants(study)
    ((name, run_id),) = routing_runs(study, variants).items()
    assert name == "routing"
    routes, val = read_routes(study, run_id, variants), scores(study, "val")
    kept = read_json(study.run_folder(run_id) / "routes.json")
    for persona, entry in kept["routes"].items():
        found = route_of(run_id, routes, persona, val)
        assert found is not None
        assert (found.variant, found.stays) == (entry["variant"], entry["variant"] == "unified")
        gains = {one.variant: one.gain for one in found.candidates}
        assert gains["unified"] == 0.0
        assert gains[found.variant] == pytest.approx(entry["gain_val"])
        assert found.variant == max(gains, key=lambda one: (gains[one] or 0.0, one == "unified"))
    assert route_of(run_id, routes, "nobody", val) is None


def test_merge_weights_are_the_largest_first_and_sum_to_one(study: Workspace) -> None:
    known = merged_variants(study, store.variants(study))
    assert known == {"merge-moe": plan(study, "merge-moe").target.run_id}
    found = merge_of(study, "merge-moe", known["merge-moe"], "persona_002")
    assert found is not None
    assert found.weights[0] == ("persona_002", 0.6)
    assert sum(weight for _, weight in found.weights) == pytest.approx(1.0)
    assert merge_of(study, "merge-moe", known["merge-moe"], "nobody") is None


def test_every_chart_is_valid_vega_lite_and_holds_every_row(study: Workspace) -> None:
    clusters, variants = newest_clusters(study, look(study)), store.variants(study)
    assert clusters is not None
    rows = scored(scores(study, "test"), "persona_001", "unified")
    ((name, run_id),) = routing_runs(study, variants).items()
    route = route_of(run_id, read_routes(study, run_id, variants), "persona_001", scores(study, "val"))
    merge = merge_of(study, "merge-moe", plan(study, "merge-moe").target.run_id, "persona_001")
    assert route is not None
    assert merge is not None
    drawn = {
        len(rows): charts.score_chart(
            rows, reference="unified", looked_at=name, bounds=["ceiling-persona"], metric=SCORE
        ),
        5: charts.map_chart(clusters, "persona_001"),
        2: charts.route_chart(route),
        3: charts.weight_chart(merge, "persona_001"),
    }
    for held, spec in drawn.items():
        tables = spec.pop("datasets")
        assert len(tables["rows"]) == held
        named = {key: table.to_dict("records") for key, table in tables.items()}
        alt.Chart.from_dict({**spec, "datasets": named}).to_dict()


def test_a_filled_chart_leaves_its_template_alone(study: Workspace) -> None:
    rows = scored(scores(study, "test"), "persona_001", "unified")
    first = charts.score_chart(rows, reference="unified", looked_at="routing", metric=SCORE)
    second = charts.score_chart(rows[:2], reference="unified", looked_at="unified", metric=SCORE)
    values = [[one["value"] for one in spec["params"] if "value" in one] for spec in (first, second)]
    assert values == [["routing"], ["unified"]]
    assert (len(first["datasets"]["rows"]), len(second["datasets"]["rows"])) == (len(rows), 2)


def test_routines_are_told_in_words() -> None:
    (told,) = SMART_HOME.routines(
        [
            {
                "triggers": {"time_of_day": "night", "day_of_week": "weekend", "outdoor_temp": "mild"},
                "actions": {"ac": {"fan_speed": 2, "mode": None}, "security": {"armed": True}, "tv": None},
            }
        ]
    )
    assert told.when == "Weekend, night, mild outside"
    assert told.then == (("AC", "fan speed 2"), ("Security", "armed"))
    assert SMART_HOME.routines([{}])[0].when == "At any time"
