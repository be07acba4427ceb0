"""Clustering, merging and routing as runs, for real, over adapters trained for four personas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.data.dataset import examples, load_dataset, load_splits
from engine.lm.effects import Weights, read_recipe
from engine.lm.load import load_base
from engine.lm.merge import concatenated, stacked
from engine.lm.recipes import Shelf, read_personas
from engine.lm.respond import respond
from engine.results.store.intake import read_finished
from engine.runs import manifest
from engine.runs.runfolder import RunSpec, Status, read_log, read_status, write_spec
from engine.strategies.plan import plan
from engine.strategies.runnable import execute
from engine.strategies.steps.route import read_candidates
from tests import in_process
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 6}
do = in_process.doing(SETTINGS)
ACROSS = ("merge-average", "merge-topk", "merge-soft")
WITHIN = ("merge-cluster", "merge-weighted", "merge-moe", "merge-learned")
MERGES = (*ACROSS, *WITHIN)


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with adapters for each persona, two clusters and a unified adapter."""
    ws = prepare_study(tmp_path_factory.mktemp("study"), tiny_base, world="archetypes", dialogues=6)
    do(ws, "per-persona", epochs=1, learning_rate=0.01)
    do(ws, "clustering", k=[2])
    return ws


@pytest.fixture(scope="module")
def done(ws: Workspace) -> dict[str, RunSpec]:
    """Every merge, exact, with default parameters."""
    return {name: do(ws, name) for name in MERGES}


def said_on_val(ws: Workspace, effects: list[dict[str, Any]], row: Any) -> str:
    """What these effects answer to the message of a scored val example."""
    held = examples(load_dataset(ws), load_splits(ws), "val")
    (example,) = [one for one in held if one.example_id == row.example_id]
    told = respond(
        ws, persona_id=row.persona_id, recipe={"effects": effects}, message=example.context[-1].text,
        meta=example.meta, history=example.context[:-1], max_new_tokens=SETTINGS["max_new_tokens"],
    )  # fmt: skip
    return str(told["reply"])


def table(ws: Workspace, spec: RunSpec) -> pd.DataFrame:
    return scores_of(ws, spec.run_id)


def found(ws: Workspace, spec: RunSpec, name: str) -> Any:
    return read_json(ws.run_folder(spec.run_id) / name)


def clusters_of(ws: Workspace, spec: RunSpec) -> dict[str, int]:
    assignment: dict[str, int] = read_json(ws.run_folder(spec.upstream["clusters"]) / "clusters.json")[
        "assignment"
    ]
    return assignment


def test_a_clustering_says_who_is_where_and_exports_the_studys_form(ws: Workspace) -> None:
    record = found(ws, do(ws, "clustering", k=[2]), "clusters.json")
    people = [f"persona_{i:03d}" for i in range(4)]
    assert list(record["assignment"]) == list(record["map"]) == list(record["centroids_similarity"])
    assert sorted(set(record["assignment"].values())) == [0, 1]
    assert sum(record["sizes"]) == len(record["assignment"]) == len(people)
    assert record["candidates"] == [{"k": 2, "silhouette": record["silhouette"]}]
    assert -1 <= record["stability_ari"] <= 1
    assert read_json(ws.splits / "cluster_map.json") == {
        "n_clusters": 2,
        "silhouette_score": record["silhouette"],
        "cluster_map": record["assignment"],
        "cluster_sizes": record["sizes"],
    }


def test_a_clustering_makes_no_variant_and_is_taken_in(ws: Workspace) -> None:
    finished = read_finished(ws, do(ws, "clustering", k=[2]).run_id)
    assert finished.variants == ()
    assert finished.scores.num_rows == 0
    assert finished.summary["k"] == 2


def test_every_kind_of_features_clusters_and_adapters_name_their_run(ws: Workspace) -> None:
    for features in ("character", "both", "adapters"):
        spec = do(ws, "clustering", k=[2, 3], features=features, method="agglomerative")
        record = found(ws, spec, "clusters.json")
        assert record["features"] == features
        assert len(record["assignment"]) == 4
        assert set(spec.upstream) == ({"adapters"} if features == "adapters" else set())


def test_too_few_personas_for_the_default_numbers_are_an_error_with_a_way_out(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="4 personas cannot be split into 5 or 10 or 15") as refused:
        plan(ws, "clustering", SETTINGS)
    assert "--set k=2" in str(refused.value.hint)


@pytest.mark.parametrize("name", MERGES)
def test_an_exact_merge_leaves_weights_only(ws: Workspace, done: dict[str, RunSpec], name: str) -> None:
    spec = done[name]
    assert all(path.suffix == ".json" for path in ws.adapters(spec.run_id).iterdir())
    sums = read_personas(ws, spec.run_id)
    assert len(sums) == 4
    for parts in sums.values():
        assert sum(one.weight for one in parts) == pytest.approx(1.0)
        assert {one.run for one in parts} == {spec.upstream["adapters"]}
    weights = found(ws, spec, "weights.json")
    for persona, merge in weights["assignment"].items():
        expected = weights["merges"][merge]["weights"]
        assert {one.name: one.weight for one in sums[persona]} == pytest.approx(expected)


@pytest.mark.parametrize("name", MERGES)
def test_a_merge_is_scored_on_everybody_under_the_common_protocol(
    ws: Workspace, done: dict[str, RunSpec], name: str
) -> None:
    finished = read_finished(ws, done[name].run_id)
    assert [variant.name for variant in finished.variants] == [name]
    assert finished.variants[0].recipe["effects"] == [{"kind": "own", "run": done[name].run_id}]
    rows = table(ws, done[name])
    assert len(rows) == 4 * 2 * 2
    assert set(rows["protocol"]) == set(
        table(ws, do(ws, "per-persona", epochs=1, learning_rate=0.01))["protocol"]
    )


def test_merges_differ_where_their_weights_do(ws: Workspace, done: dict[str, RunSpec]) -> None:
    for name in WITHIN:
        clusters = clusters_of(ws, done[name])
        for persona, parts in read_personas(ws, done[name].run_id).items():
            assert {clusters[one.name] for one in parts} == {clusters[persona]}
    for name in ACROSS:
        assert {len(parts) for parts in read_personas(ws, done[name].run_id).values()} == {4}


def test_a_merged_persona_answers_with_the_weighted_sum(ws: Workspace, done: dict[str, RunSpec]) -> None:
    """The change that answers is sum w B A of the adapters on disk: computed here from PEFT's own reading."""
    spec = done["merge-soft"]
    persona, parts = next(iter(read_personas(ws, spec.run_id).items()))
    change = Shelf(ws).change(parts)
    assert change is not None
    base = load_base(spec.base).model
    run = spec.upstream["adapters"]
    model = PeftModel.from_pretrained(base, ws.adapters(run) / parts[0].name, adapter_name="0")
    for number, one in enumerate(parts[1:], start=1):
        model.load_adapter(str(ws.adapters(run) / one.name), adapter_name=str(number))
    for path, (a, b) in change.factors.items():
        module: Any = model.get_submodule(f"base_model.model.{path}")
        expected = sum(one.weight * module.get_delta_weight(str(i)) for i, one in enumerate(parts))
        torch.testing.assert_close(b @ a, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("combine", ["svd", "ties", "dare", "linear"])
def test_a_lossy_merge_leaves_adapters_that_peft_loads(ws: Workspace, combine: str) -> None:
    spec = do(ws, "merge-cluster", combine=combine, density=0.5)
    assert read_finished(ws, spec.run_id).variants[0].name == f"merge-cluster-{combine}"
    sums = read_personas(ws, spec.run_id)
    names = {parts[0].name for parts in sums.values()}
    assert names == {"cluster-0", "cluster-1"}
    merges = {name: one["weights"] for name, one in found(ws, spec, "weights.json")["merges"].items()}
    largest = max(merges, key=lambda name: len(merges[name]))
    weights = merges[largest]
    assert len(weights) > 1
    model = PeftModel.from_pretrained(load_base(spec.base).model, ws.adapters(spec.run_id) / largest)
    shelf = Shelf(ws)
    stacks = stacked([shelf.lora(spec.upstream["adapters"], name) for name in weights])
    lost = 0.0
    for path, stack in stacks.items():
        a, b = concatenated(stack, torch.tensor(list(weights.values())))
        merged = model.get_submodule(f"base_model.model.{path}").get_delta_weight("default")
        lost = max(lost, float((merged - b @ a).norm() / (b @ a).norm()))
    assert 0 < lost < (0.9 if combine == "svd" else 10.0)


def test_a_lossless_rank_gives_the_exact_merge(ws: Workspace, done: dict[str, RunSpec]) -> None:
    full = do(ws, "merge-moe", combine="svd", rank=32)
    shelf = Shelf(ws)
    for persona in read_personas(ws, full.run_id):
        exact, svd = (
            shelf.change(read_personas(ws, spec.run_id)[persona]) for spec in (done["merge-moe"], full)
        )
        assert exact is not None
        assert svd is not None
        for path, (a, b) in exact.factors.items():
            torch.testing.assert_close(svd.factors[path][1] @ svd.factors[path][0], b @ a, atol=1e-5, rtol=0)


def test_one_cluster_alone_is_merged_and_scored_for_its_members_only(ws: Workspace) -> None:
    spec = do(ws, "merge-weighted", cluster=0, quality=True)
    members = set(read_personas(ws, spec.run_id))
    assert members == {persona for persona, label in clusters_of(ws, spec).items() if label == 0}
    assert set(table(ws, spec)["persona_id"]) == members


def test_likeness_by_adapters_needs_no_clustering(ws: Workspace) -> None:
    spec = do(ws, "merge-topk", likeness="adapters", k=2, own=False)
    assert set(spec.upstream) == {"adapters"}
    for persona, parts in read_personas(ws, spec.run_id).items():
        assert len(parts) == 2
        assert persona not in {one.name for one in parts}


def test_a_routed_persona_is_answered_by_the_variant_she_is_routed_to(ws: Workspace, routed: RunSpec) -> None:
    routes = found(ws, routed, "routes.json")
    for persona, route in routes["routes"].items():
        asked = {"persona_id": persona, "message": "Turn on the lights.", "max_new_tokens": 4}
        mine = respond(ws, recipe={"route": routed.run_id}, **asked)
        theirs = respond(ws, recipe=routes["candidates"][route["variant"]]["recipe"], **asked)
        assert (mine["reply"], mine["recipe"]) == (theirs["reply"], theirs["recipe"])
    with pytest.raises(EngineError, match="no route for persona nobody"):
        Shelf(ws).sides(read_recipe({"route": routed.run_id}), "nobody")
    with pytest.raises(EngineError, match="left no routes"):
        respond(ws, recipe={"route": "routing-00000000"}, **asked)


AMONG = ["unified", "per-persona", "merge-average"]


@pytest.fixture(scope="module")
def routed(ws: Workspace, done: dict[str, RunSpec]) -> RunSpec:
    return do(ws, "routing", among=AMONG, margin=0.0)


def of_split(ws: Workspace, rows: pd.DataFrame, split: str, persona: str) -> pd.DataFrame:
    rows = rows[(rows["persona_id"] == persona) & (rows["split"] == split)]
    return rows.drop(columns="variant").reset_index(drop=True)


def test_a_routed_persona_gets_the_test_rows_of_the_variant_that_won_on_val(
    ws: Workspace, routed: RunSpec
) -> None:
    routes, rows = found(ws, routed, "routes.json"), table(ws, routed)
    assert set(rows["variant"]) == {"routing"}
    assert len(rows) == 4 * 2 * 2
    _, _, candidates = read_candidates(ws, routed.upstream)
    wide = {name: one.scored.wide() for name, one in candidates.items()}
    for persona, route in routes["routes"].items():
        means = {
            name: of_split(ws, whole, "val", persona)["embedding_similarity"].mean()
            for name, whole in wide.items()
        }
        assert means[route["variant"]] == pytest.approx(max(means.values()))
        theirs = of_split(ws, wide[route["variant"]], "test", persona)
        pd.testing.assert_frame_equal(of_split(ws, rows, "test", persona), theirs)
    assert read_finished(ws, routed.run_id).variants[0].recipe == {
        "effects": [{"kind": "own", "run": routed.run_id, "chosen": True}]
    }
    assert sum(routes["shares"].values()) == pytest.approx(1.0)


def test_a_val_dialogue_is_never_answered_by_a_choice_that_it_took_part_in(
    ws: Workspace, routed: RunSpec
) -> None:
    """With one val dialogue a persona there is nothing else to choose by: she stays with the fallback."""
    rows = table(ws, routed)
    unified = scores_of(ws, routed.upstream["unified"])
    for persona in set(rows["persona_id"]):
        mine = of_split(ws, rows, "val", persona)
        assert mine["dialogue_id"].nunique() == 1
        pd.testing.assert_frame_equal(mine, of_split(ws, unified, "val", persona))


def test_weights_fitted_to_a_val_dialogue_do_not_answer_it(ws: Workspace, done: dict[str, RunSpec]) -> None:
    spec = do(ws, "merge-learned", epochs=6, learning_rate=0.5)
    folder = ws.adapters(spec.run_id)
    fold_of = read_json(folder / "folds.json")
    rows, fitted = table(ws, spec), read_personas(ws, spec.run_id)
    val = rows[rows["split"] == "val"]
    assert set(val["dialogue_id"]) <= set(fold_of)
    for row in val.itertuples():
        fold = fold_of[row.dialogue_id]
        without = read_personas(ws, spec.run_id, name=f"personas-without-{fold}.json")[row.persona_id]
        assert {one.name for one in without} == {one.name for one in fitted[row.persona_id]}
        shares, of_all = (
            {one.name: one.weight for one in parts} for parts in (without, fitted[row.persona_id])
        )
        assert sum(shares.values()) == pytest.approx(1.0)
        assert shares != of_all
        effects = [
            {"kind": one.kind, "run": one.run, "name": one.name, "weight": one.weight}
            for one in without
            if isinstance(one, Weights)
        ]
        assert said_on_val(ws, effects, row) == row.reply


def test_routes_never_depend_on_test(ws: Workspace, routed: RunSpec) -> None:
    """With test scores of pure noise nothing that routing leaves about its choice changes."""
    before = found(ws, routed, "routes.json")
    kept = {}
    try:
        for number, run_id in enumerate(routed.upstream.values()):
            path = ws.run_folder(run_id) / "scores.parquet"
            kept |= {one: one.read_bytes() for one in (path, path.with_name(manifest.NAME))}
            scores = pd.read_parquet(path)
            noise = np.random.default_rng(number).random(len(scores))
            is_kept = (scores["split"] == "val") | (scores["metric"] != "embedding_similarity")
            scores["value"] = scores["value"].where(is_kept, noise)
            scores.to_parquet(path, index=False)
            manifest.write(ws, run_id)  # as if the run had scored so
        execute(ws, routed.run_id)
        after = found(ws, routed, "routes.json")
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
            manifest.write(ws, path.parent.name)
    assert after == before
    told = " ".join(read_log(ws.run_folder(routed.run_id)))
    assert "test" not in told


def test_a_wide_margin_leaves_everybody_with_unified(ws: Workspace, done: dict[str, RunSpec]) -> None:
    spec = do(ws, "routing", among=AMONG, margin=1.0)
    assert found(ws, spec, "routes.json")["shares"] == {"unified": 1.0}
    unified = scores_of(ws, spec.upstream["unified"])
    pd.testing.assert_frame_equal(table(ws, spec).drop(columns="variant"), unified.drop(columns="variant"))


def test_upstreams_of_routing_are_those_of_the_same_settings(ws: Workspace, routed: RunSpec) -> None:
    other = plan(ws, "routing", {**SETTINGS, "among": AMONG, "max_new_tokens": 5})
    assert not set(other.target.spec.upstream.values()) & set(routed.upstream.values())
    assert {run.purpose for run in other.runs} >= {"upstream", "asked"}


def test_scores_of_other_protocols_are_not_routed_among(ws: Workspace, routed: RunSpec) -> None:
    run_id = routed.upstream["per-persona"]
    folder = ws.run_folder(run_id)
    before = (folder / "replies.parquet").read_bytes()
    replies = pd.read_parquet(folder / "replies.parquet")
    replies.assign(protocol="0" * 12).to_parquet(folder / "replies.parquet")
    try:
        with pytest.raises(EngineError, match="2 protocols"):
            read_candidates(ws, routed.upstream)
    finally:
        (folder / "replies.parquet").write_bytes(before)


def test_nobody_is_routed_to_a_bound_or_to_routing_itself(ws: Workspace) -> None:
    for name in ("ceiling", "routing", "clustering"):
        with pytest.raises(EngineError, match=rf"among\.\d+: {name} must be"):
            plan(ws, "routing", {**SETTINGS, "among": ["unified", name]})


def test_a_clustering_of_other_personas_is_refused(ws: Workspace) -> None:
    spec = plan(ws, "merge-cluster", {**SETTINGS, "density": 0.9}).target.spec
    path = ws.run_folder(spec.upstream["clusters"]) / "clusters.json"
    before = read_json(path)
    told = ("assignment", "map", "centroids_similarity")
    write_json(path, {**before, **{name: dict(list(before[name].items())[1:]) for name in told}})
    manifest.write(ws, path.parent.name)
    try:
        write_spec(ws.run_folder(spec.run_id), spec)
        execute(ws, spec.run_id, Status(state="running", order=200, attempt=1))
        status = read_status(ws.run_folder(spec.run_id))
        assert status.state == "failed"
        assert "leaves out 1 personas, persona_000 among them" in str(status.error)
    finally:
        write_json(path, before)
        manifest.write(ws, path.parent.name)
