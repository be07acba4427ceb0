"""Published results become variants like any other, whole or not at all."""

from __future__ import annotations

import io
import json
import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import DataError, EngineError
from engine.core.paths import Workspace
from engine.data import load_dataset
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.results.imported import import_study, import_upload
from engine.results.study import standing
from engine.results.trees.tree_check import read_tree
from engine.runs.jobs import list_runs
from engine.show.report.gathering import gather
from engine.strategies.plan import plan
from tests.results.imported.published import CLUSTERED, PERSONAS, put, write_study
from tests.sample_study import finish, prepare_world
from tests.workspaces import make_workspace


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "published")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "space")


def change(path: Path, edit: Callable[[Any], Any]) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()


def test_every_file_is_a_variant_of_its_own_and_copies_are_one(ws: Workspace, study: Path) -> None:
    found = import_study(ws, study)
    rows = {row["variant"]: row for row in found.rows}
    assert set(rows) == {
        *("unified", "hybrid", "cluster_lora", "moe_sparse", "weighted_merge", "selective_routing"),
        *("weighted_merge/weighted_merge_cluster0_results", "selective_routing+best-of-all"),
    }
    assert rows["moe_sparse"]["file"] == "moe_sparse/moe_comprehensive.json"
    assert "moe_sparse/moe_results" in rows["moe_sparse"]["aliases"]
    assert "unified/per_persona_summary" in rows["unified"]["aliases"]
    assert rows["weighted_merge/weighted_merge_cluster0_results"]["examples"] == "average only"
    assert found.left_aside == ("data/split_stats.json",)
    assert {one.variant for one in store.variants(ws)} == set(rows)


def test_the_protocol_says_on_how_many_examples_each_was_scored(ws: Workspace, study: Path) -> None:
    found = import_study(ws, study)
    words = {row["variant"]: row["examples"] for row in found.rows}
    assert (words["unified"], words["moe_sparse"], words["cluster_lora"]) == ("4 to 9", "10", "20")
    assert words["hybrid"] == "10*"  # from the lengths of its references
    (fields,) = store.protocols(ws)["fields"]
    assert fields["imported"] is True
    assert fields["paired_by"] == "persona"
    assert fields["scored_on"]["unified"]["said_by"] == "file"
    assert fields["scored_on"]["hybrid"]["said_by"] == "inferred"
    assert fields["decoding"] == "sampled, temperature 0.7, top_p 0.9"
    told = "\n".join(found.warnings)
    for sign in ("Not scored on the same examples", "6 of 12 personas only", "sampled", "count as 0"):
        assert sign in told
    assert "average only (71.0 over 6 personas): it cannot be paired" in told
    means = store.persona_means(ws, metric="embedding_similarity", split="test")
    assert means[means["variant"] == "unified"]["n"].tolist() == [4 + place % 6 for place in range(12)]


def test_scores_pair_by_persona(ws: Workspace, study: Path) -> None:
    import_study(ws, study)
    found = compare_variants(ws)
    assert found["reference"] == "unified"
    rows = {row["variant"]: row for row in found["rows"]}
    assert rows["hybrid"]["n_paired"] == len(PERSONAS)
    assert rows["cluster_lora"]["n_paired"] == len(CLUSTERED)
    published = json.loads((study / "results/unified/per_persona_results.json").read_text())
    values = [record["metrics"]["embedding_similarity"] for record in published.values()]
    assert rows["unified"]["mean"] == pytest.approx(math.fsum(values) / len(values))
    assert store.example_rows(ws, split="test").empty  # nobody published what was said


def test_published_scores_stand_for_what_was_trained_as_they_were(ws: Workspace, study: Path) -> None:
    results = study / "results"
    (results / "personalized").mkdir()
    shutil.copy(results / "hybrid/hybrid_summary.json", results / "personalized/personalized_summary.json")
    import_study(ws, study)
    text = """
title: Own adapters
reference: unified
nodes:
  - {id: plain, experiment: per-persona, then: augmented}
  - {id: augmented, experiment: per-persona, parameters: {use_augmented: true}, then: end}
  - {id: end, result: Done, use: [plain]}
"""
    findings = standing.stand(ws, read_tree(text, name="own")).walk.findings
    measured = findings["plain"].measured
    assert measured is not None
    assert measured.variant == "personalized"
    assert findings["augmented"].measured is None


def test_a_router_is_given_each_personas_own_score(ws: Workspace, study: Path) -> None:
    found = import_study(ws, study)
    scores = store.score_table(ws, metric="embedding_similarity", split="test")
    value = scores.pivot(index="persona_id", columns="variant", values="value")
    decisions = json.loads((study / "results/selective_routing/routing_decisions.json").read_text())
    for decision in decisions["routing_decisions"]:
        persona = value.loc[decision["persona_id"]]
        assert persona["selective_routing"] == persona[decision["best_model"]]
    assert (value["selective_routing+best-of-all"] == value[["unified", "hybrid"]].max(axis=1)).all()
    assert any("a mean" not in one and "is set aside" in one for one in found.warnings)
    rows = {row["variant"]: row for row in compare_variants(ws)["rows"]}
    assert rows["selective_routing+best-of-all"]["p_holm"] is None  # a bound never competes


def test_a_router_without_its_candidates_keeps_its_own_scores(ws: Workspace, study: Path) -> None:
    shutil.rmtree(study / "results" / "hybrid")
    found = import_study(ws, study)
    assert "selective_routing+best-of-all" not in {row["variant"] for row in found.rows}
    assert any(
        one.startswith("selective_routing: ") and "hold the same score" in one for one in found.warnings
    )


def test_names_of_this_product_find_the_study(ws: Workspace, study: Path) -> None:
    import_study(ws, study)
    for name, variant in (("merge-moe", "moe_sparse"), ("cluster", "cluster_lora")):
        assert compare_variants(ws, reference=name)["reference"] == variant


def test_an_import_is_a_finished_run_that_rebuilding_keeps(ws: Workspace, study: Path) -> None:
    found = import_study(ws, study)
    before = store.score_table(ws, metric="embedding_similarity", split="test")
    (record,) = list_runs(ws)
    assert (record.run_id, record.state, record.pid) == (found.run_id, "succeeded", None)
    assert not store.rebuild(ws).torn
    after = store.score_table(ws, metric="embedding_similarity", split="test")
    assert before.equals(after)


@pytest.mark.parametrize("way", ["again", "from below", "zip", "upload"])
def test_the_same_files_are_the_same_run(ws: Workspace, study: Path, tmp_path: Path, way: str) -> None:
    first = import_study(ws, study)
    if way in ("zip", "upload"):
        packed = shutil.make_archive(str(tmp_path / "packed"), "zip", study.parent, study.name)
        content = Path(packed).read_bytes()
        second = import_study(ws, packed) if way == "zip" else import_upload(ws, {"packed.zip": content})
    else:
        second = import_study(ws, study if way == "again" else study / "results")
    assert (second.run_id, second.protocol, second.unchanged) == (first.run_id, first.protocol, True)
    assert len(list_runs(ws)) == 1


def test_an_empty_folder_becomes_a_workspace_in_which_nothing_can_be_trained(
    ws: Workspace, study: Path
) -> None:
    assert import_study(ws, study).created_workspace
    assert [persona.persona_id for persona in load_dataset(ws).personas] == list(PERSONAS)
    with pytest.raises(EngineError, match="no dialogues") as caught:
        plan(ws, "unified")
    assert "init" in caught.value.hint


def test_a_workspace_with_other_personas_is_warned_and_keeps_its_own_apart(
    tmp_path: Path, study: Path
) -> None:
    ws = make_workspace(tmp_path / "own")
    before = ws.config.read_bytes()
    found = import_study(ws, study)
    assert not found.created_workspace
    assert ws.config.read_bytes() == before
    assert any("12 of the study's 12 personas are not in this workspace" in one for one in found.warnings)


def test_what_was_scored_here_is_shown_before_what_was_published_later(tmp_path: Path, study: Path) -> None:
    ws = prepare_world(tmp_path / "own", personas=5, dialogues=6)
    finish(ws, "unified", "retrieval", per_persona=2)
    own = compare_variants(ws, split="test")
    published = import_study(ws, study)
    later = compare_variants(ws, split="test")
    assert later["protocol"] == own["protocol"]
    assert [row["variant"] for row in later["rows"]] == [row["variant"] for row in own["rows"]]
    assert [one.protocol for one in gather(ws).compared] == [own["protocol"], published.protocol]
    there = compare_variants(ws, split="test", protocol=published.protocol)
    assert there["reference"].startswith("unified@")


# --- bad input


def test_every_fault_of_every_file_is_told_at_once_and_nothing_is_left(ws: Workspace, study: Path) -> None:
    results = study / "results"
    change(results / "hybrid/hybrid_summary.json", lambda one: one["per_persona_metrics"].pop())
    change(results / "unified/per_persona_results.json", lambda one: one.pop("persona_003"))
    doubled = results / "cluster_lora/cluster_lora_results.json"
    change(doubled, lambda one: one["per_persona_results"].append(one["per_persona_results"][0]))
    moe = results / "moe_sparse/moe_results.json"
    moe.write_text(moe.read_text()[:200])
    table = results / "unified/per_persona_summary.csv"
    table.write_text(table.read_text().replace("persona_004,8", "persona_004,-8") + "persona_099,nan,nan\n")
    change(
        results / "moe_sparse/moe_comprehensive.json",
        lambda one: one["per_persona_results"][1].update(embedding_similarity=float("nan"), param_f1="high"),
    )
    with pytest.raises(DataError) as caught:
        import_study(ws, study)
    told = [str(fault) for fault in caught.value.faults]
    for sign in (
        "hybrid/hybrid_summary.json: says 12 personas, holds 11",
        "unified_results.json says 12 personas, this file holds 11",
        "cluster_lora_results.json: persona_000: is given twice",
        "moe_results.json:1: not valid JSON",
        "per_persona_summary.csv:6: persona_004: the number of examples must be 1 to 1,000,000,000, is -8",
        "per_persona_summary.csv:14: persona_099: embedding_similarity is NaN",
        "moe_comprehensive.json: persona_001: embedding_similarity is NaN",
        "moe_comprehensive.json: persona_001: param_f1 must be a number, is text",
    ):
        assert any(sign in fault for fault in told), (sign, told)
    assert files_below(ws.root) == set()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 100_000, "not valid JSON"),
        (
            b'{"p1": {"embedding_similarity": 0.5}, "p1": {"embedding_similarity": 0.6}}',
            "'p1' is given twice",
        ),
        (b'{"p1": {"embedding_similarity": 1.7}}', "is 1.7, outside -1 to 1"),
        (b'{"p1": {"embedding_similarity": 1e999}}', "is infinite"),
        (b'{"p1": {"embedding_similarity": true}}', "must be a number, is true/false"),
        (b'{"../p": {"embedding_similarity": 0.5}}', "is not an id"),
        (b'{"per_persona_metrics": [3, {"persona_id": "p1", "avg": 2}]}', "holds none of the known metrics"),
        (b'[{"persona_id": null, "param_f1": 0.5}]', "persona_id: must be text, is missing"),
    ],
)
def test_bad_files_are_refused_with_their_place(
    ws: Workspace, tmp_path: Path, content: bytes, told: str
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "scores.json").write_bytes(content)
    with pytest.raises(DataError, match="was not imported") as caught:
        import_study(ws, folder)
    assert any(told in str(fault) and "scores.json" in str(fault) for fault in caught.value.faults)
    assert files_below(ws.root) == set()


def test_undefined_metrics_are_null_and_stay_undefined(ws: Workspace, tmp_path: Path) -> None:
    record = {"embedding_similarity": 0.5, "numerical_mae": None}
    put(tmp_path / "results" / "x" / "scores.json", {"p1": record, "p2": {**record, "numerical_mae": 2.0}})
    import_study(ws, tmp_path / "results")
    means = store.persona_means(ws, metric="numerical_mae", split="test")
    assert means["n"].tolist() == [0, 1]
    assert means["n_undefined"].tolist() == [1, 0]


def test_a_folder_without_results_and_archives_that_climb_are_refused(ws: Workspace, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    put(empty / "notes.json", {"title": "nothing"})
    with pytest.raises(EngineError, match="holds no results by persona"):
        import_study(ws, empty)
    with pytest.raises(EngineError, match="There is no folder"):
        import_study(ws, tmp_path / "nowhere")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../out.json", "{}")
    with pytest.raises(EngineError, match="leads out of the archive"):
        import_upload(ws, {"x.zip": packed.getvalue()})
    assert files_below(ws.root) == set()


@pytest.mark.parametrize("key", ["value", "count"])
def test_a_number_beyond_all_bounds_is_a_fault(ws: Workspace, study: Path, key: str) -> None:
    def enlarge(document: dict[str, Any]) -> None:
        record = next(iter(document.values()))
        if key == "value":
            record["metrics"]["embedding_similarity"] = 10**400
        else:
            record["num_predictions"] = 10**30

    change(study / "results/unified/per_persona_results.json", enlarge)
    with pytest.raises(DataError) as caught:
        import_study(ws, study)
    assert any("000" in fault.what for fault in caught.value.faults)
    assert not files_below(ws.root)
