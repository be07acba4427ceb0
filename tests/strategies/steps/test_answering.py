"""Retrieval over any variant, mixtures and placebos as runs, for real, over adapters of four personas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.core.types import Example
from engine.data.dataset import examples, load_dataset, load_splits
from engine.lm.effects import Logits, read_recipe
from engine.lm.respond import respond
from engine.results.store.intake import read_finished
from engine.runs.runfolder import RunSpec, read_events, read_status
from engine.strategies.steps import mix
from tests import in_process
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 6}
attempt = in_process.doing(SETTINGS, in_process.attempt)
do = in_process.doing(SETTINGS)
ROWS = 4 * 2 * 2  # personas, splits, examples


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with adapters for everybody, for each of two clusters and for each persona."""
    ws = prepare_study(tmp_path_factory.mktemp("study"), tiny_base, world="archetypes", dialogues=6)
    do(ws, "per-persona", epochs=1, learning_rate=0.02)
    do(ws, "clustering", k=[2])
    do(ws, "cluster", epochs=1, learning_rate=0.02)
    return ws


def table(ws: Workspace, spec: RunSpec) -> pd.DataFrame:
    return scores_of(ws, spec.run_id)


def upstream(ws: Workspace, spec: RunSpec, role: str) -> pd.DataFrame:
    return scores_of(ws, spec.upstream[role])


def found(ws: Workspace, spec: RunSpec, name: str) -> Any:
    return read_json(ws.run_folder(spec.run_id) / name)


def variant_ids(ws: Workspace, run_id: str) -> dict[str, str]:
    return {one.name: one.variant_id for one in read_finished(ws, run_id).variants}


def history(ws: Workspace) -> dict[str, str]:
    """Training interaction -> whose it is."""
    return {one.example_id: one.persona_id for one in examples(load_dataset(ws), load_splits(ws), "train")}


def said(ws: Workspace, recipe: Any, row: Any) -> str:
    """What the playground answers to the message of a scored example."""
    (example,) = [one for one in _tested(ws) if one.example_id == row.example_id]
    told = respond(
        ws,
        persona_id=row.persona_id,
        recipe=recipe,
        message=example.context[-1].text,
        meta=example.meta,
        history=example.context[:-1],
        max_new_tokens=SETTINGS["max_new_tokens"],
    )
    return str(told["reply"])


def _tested(ws: Workspace) -> tuple[Example, ...]:
    return examples(load_dataset(ws), load_splits(ws), "test")


# --- mixture


@pytest.mark.parametrize(("weight", "role", "name"), [(1.0, "first", "unified"), (0.0, "second", "cluster")])
def test_with_all_the_weight_on_one_side_a_mixture_is_that_variant(
    ws: Workspace, weight: float, role: str, name: str
) -> None:
    spec = do(ws, "mixture", weights=weight)
    rows, theirs = table(ws, spec), upstream(ws, spec, role)
    same = ["split", "protocol", "example_id", "reply", "prompt_tokens", "reply_tokens"]
    pd.testing.assert_frame_equal(rows[same], theirs[same])
    (mine,) = variant_ids(ws, spec.run_id).values()
    assert mine == variant_ids(ws, spec.upstream[role])[name]


@pytest.fixture(scope="module")
def swept(ws: Workspace) -> RunSpec:
    return do(ws, "mixture", weights=[0.0, 0.3, 0.6, 1.0])


def test_the_best_weight_on_val_is_kept_and_every_weight_can_be_seen(ws: Workspace, swept: RunSpec) -> None:
    sweep = found(ws, swept, "sweep.json")
    points = {float(point["value"]): point["mean"] for point in sweep["points"]}
    assert list(points) == [0.0, 0.3, 0.6, 1.0]
    assert points[sweep["best"]] == max(points.values())
    told = [event for event in read_events(ws.run_folder(swept.run_id)) if event["kind"] == "weight"]
    assert {float(event["weight"]): event["val"] for event in told} == points
    rows = table(ws, swept)
    assert set(rows["variant"]) == {"mixture"}
    assert len(rows) == ROWS
    val = upstream(ws, swept, "first").query("split == 'val'")
    mean = val.groupby("persona_id")["embedding_similarity"].mean().mean()
    assert mean == pytest.approx(points[1.0], abs=1e-6)


def test_a_chosen_weight_is_judged_on_val_by_what_its_other_dialogues_choose(
    ws: Workspace, swept: RunSpec
) -> None:
    """Test is answered with the kept weight; each val dialogue with the one that was chosen without it."""
    sweep = found(ws, swept, "sweep.json")
    assert len(sweep["by_fold"]) == 5
    alone = {
        weight: table(ws, do(ws, "mixture", weights=weight)).set_index("example_id")["reply"]
        for weight in {sweep["best"], *sweep["by_fold"]}
    }
    for row in table(ws, swept).itertuples():
        weight = sweep["best"]
        if row.split == "val":
            weight = sweep["by_fold"][sweep["folds"][row.dialogue_id]]
        assert row.reply == alone[weight][row.example_id]
    (chosen,) = variant_ids(ws, swept.run_id).values()
    fixed = variant_ids(ws, do(ws, "mixture", weights=sweep["best"]).run_id)
    assert chosen not in fixed.values()


def test_a_mixture_stopped_at_every_chance_ends_like_one_left_alone(ws: Workspace) -> None:
    spec = do(ws, "mixture", weights=[0.2, 0.7])
    folder = ws.run_folder(spec.run_id)
    left_alone, sweep = table(ws, spec), found(ws, spec, "sweep.json")
    assert in_process.do_stopping(ws, spec, mix.run) > 2  # in the sweep, in the replies, and to the end
    assert found(ws, spec, "sweep.json") == sweep
    assert not list(folder.glob("*.jsonl"))[1:]  # events only
    pd.testing.assert_frame_equal(table(ws, spec).drop(columns="seconds"), left_alone.drop(columns="seconds"))


def test_a_mixture_in_between_is_a_variant_of_its_own_and_the_playground_says_the_same(ws: Workspace) -> None:
    spec = do(ws, "mixture", weights=0.5, first="per-persona")
    (variant,) = read_finished(ws, spec.run_id).variants
    assert (variant.name, variant.family) == ("mixture-0.5-per-persona-cluster", "mixture")
    rows = table(ws, spec)
    assert len(rows) == ROWS
    assert (rows["reply"] != upstream(ws, spec, "first")["reply"]).any()
    assert (rows["reply"] != upstream(ws, spec, "second")["reply"]).any()
    for row in rows[rows["split"] == "test"].itertuples():
        assert said(ws, variant.recipe, row) == row.reply


def test_the_sides_may_read_different_prompts(ws: Workspace) -> None:
    """Of the retrieval run's variants the one that is best on val takes part, with its memories."""
    spec = do(ws, "mixture", first="retrieval", second="profile-prompt", weights=0.5)
    theirs = upstream(ws, spec, "first")
    val = theirs[theirs["split"] == "val"].groupby(["variant", "persona_id"])["embedding_similarity"].mean()
    best = val.groupby("variant").mean().idxmax()
    (variant,) = read_finished(ws, spec.run_id).variants
    assert variant.name == f"mixture-0.5-{best}-profile-prompt"
    (together,) = read_recipe(variant.recipe).effects
    assert isinstance(together, Logits)
    assert together.first.prompt.memories == int(best.rpartition("-")[2])
    assert (together.second.prompt.profile, together.second.prompt.memories) == (True, 0)
    rows, own = table(ws, spec), history(ws)
    for row in rows.itertuples():
        shown = json.loads(row.retrieved)
        assert {own[memory["example_id"]] for memory in shown} == {row.persona_id}


# --- retrieval


def test_retrieval_reads_over_any_variant_and_at_nought_it_is_that_variant(ws: Workspace) -> None:
    spec = do(ws, "retrieval", over="cluster", k=[0, 2])
    ids = variant_ids(ws, spec.run_id)
    assert list(ids) == ["cluster+retrieval-0", "cluster+retrieval-2"]
    assert ids["cluster+retrieval-0"] == variant_ids(ws, spec.upstream["over"])["cluster"]
    rows, own = table(ws, spec), history(ws)
    assert set(rows["variant"]) == {"cluster+retrieval-2"}
    assert len(rows) == ROWS
    for row in rows.itertuples():
        shown = json.loads(row.retrieved)
        assert len(shown) == 2
        assert {own[memory["example_id"]] for memory in shown} == {row.persona_id}
    (recipe,) = [
        one.recipe for one in read_finished(ws, spec.run_id).variants if one.name == "cluster+retrieval-2"
    ]
    row = next(rows[rows["split"] == "test"].itertuples())
    assert said(ws, recipe, row) == row.reply


def test_recency_is_part_of_the_variant(ws: Workspace) -> None:
    spec = do(ws, "retrieval", over="per-persona", k=1, recency=1.0)
    rows, own = table(ws, spec), history(ws)
    assert set(rows["variant"]) == {"per-persona+retrieval-recent-1-1"}
    newest = do(ws, "retrieval", over="per-persona", k=1, retriever="newest")
    assert variant_ids(ws, newest.run_id) == variant_ids(ws, spec.run_id)
    by_words = do(ws, "retrieval", over="per-persona", k=1, retriever="bm25")
    assert set(variant_ids(ws, by_words.run_id)) == {"per-persona+retrieval-bm25-1"}
    newest = {persona: example for example, persona in own.items()}  # in order of time, so the last one stays
    for row in rows.itertuples():
        assert [memory["example_id"] for memory in json.loads(row.retrieved)] == [newest[row.persona_id]]


# --- placebo


def test_a_placebo_answers_with_another_personas_adapter(ws: Workspace) -> None:
    spec = do(ws, "placebo", of="per-persona")
    (variant,) = read_finished(ws, spec.run_id).variants
    assert (variant.name, variant.family) == ("per-persona~placebo", "placebo")
    pairs = found(ws, spec, "placebo.json")
    donors = pairs["donors"]
    assert pairs["is_permutation"]
    assert sorted(donors) == sorted(donors.values())
    assert all(persona != donor for persona, donor in donors.items())
    rows, theirs = table(ws, spec), upstream(ws, spec, "of")
    assert set(rows["protocol"]) == set(theirs["protocol"])
    assert (rows["reply"] != theirs["reply"]).any()
    for row in rows[rows["split"] == "test"].itertuples():
        other = {"adapters": [{"run": spec.upstream["of"], "name": donors[row.persona_id]}]}
        assert said(ws, other, row) == row.reply == said(ws, variant.recipe, row)


def test_a_placebo_of_retrieval_shows_the_others_training_interactions(ws: Workspace) -> None:
    do(ws, "retrieval")
    spec = do(ws, "placebo", of="retrieval", k=3)
    donors, own = found(ws, spec, "placebo.json")["donors"], history(ws)
    rows = table(ws, spec)
    assert all(name.endswith("+retrieval-3~placebo") for name in set(rows["variant"]))
    for row in rows.itertuples():
        shown = json.loads(row.retrieved)
        assert {own[memory["example_id"]] for memory in shown} == {donors[row.persona_id]}
        assert donors[row.persona_id] != row.persona_id


def test_a_placebo_of_clusters_comes_from_another_cluster(ws: Workspace) -> None:
    cluster = do(ws, "cluster", epochs=1, learning_rate=0.02)
    labels = read_json(ws.run_folder(cluster.upstream["clusters"]) / "clusters.json")["assignment"]
    mixture = do(ws, "mixture", weights=0.5, upstream={"second": cluster.run_id})
    for of, run in (("cluster", cluster), ("mixture", mixture)):
        spec = do(ws, "placebo", of=of, upstream={"of": run.run_id})
        donors = found(ws, spec, "placebo.json")["donors"]
        assert set(donors) == set(labels)
        assert all(labels[persona] != labels[donor] for persona, donor in donors.items())


def test_where_all_are_answered_alike_there_is_no_placebo(ws: Workspace) -> None:
    one = do(ws, "cluster", epochs=1, learning_rate=0.02, cluster=0)
    spec = attempt(ws, "placebo", of="cluster", upstream={"of": one.run_id})
    status = read_status(ws.run_folder(spec.run_id))
    assert status.state == "failed"
    assert "answers these" in str(status.error)


def test_one_of_a_retrieval_runs_variants_must_be_there(ws: Workspace) -> None:
    do(ws, "retrieval")
    with pytest.raises(EngineError, match="no variant with 7 memories"):
        attempt(ws, "placebo", of="retrieval", k=7)


# --- all together


def test_routing_is_among_everything_and_its_placebo_follows_the_other_persona(ws: Workspace) -> None:
    do(ws, "mixture", weights=0.5, first="per-persona")
    spec = do(ws, "routing", among=["unified", "per-persona", "mixture", "retrieval"], margin=0.0)
    routes = found(ws, spec, "routes.json")
    assert any(name.startswith("mixture") for name in routes["candidates"])
    assert any("+retrieval-" in name for name in routes["candidates"])
    rows = table(ws, spec)
    for row in rows[rows["split"] == "test"].itertuples():
        assert said(ws, {"route": spec.run_id}, row) == row.reply
    placebo = do(ws, "placebo", of="routing")
    donors = found(ws, placebo, "placebo.json")["donors"]
    assert all(persona != donor for persona, donor in donors.items())
    assert set(table(ws, placebo)["variant"]) == {"routing~placebo"}
