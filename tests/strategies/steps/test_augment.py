"""Augmentation as a run, and training on what it makes: for real, over a tiny base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.data.augment.growing import numbers
from engine.data.dataset import load_dataset, load_splits
from engine.domains.smart_home.actions import extract
from engine.lm.scorer import Scorer
from engine.results.store.intake import read_finished
from engine.runs import manifest
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec, read_status, write_spec
from engine.strategies import registry
from engine.strategies.plan import plan
from engine.strategies.steps import augment
from tests import in_process
from tests.tiny_base import prepare_study
from tests.workspaces import count_as_taken_in

SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 6}
do = in_process.doing(SETTINGS)
QUICK = {"epochs": 1, "batch_size": 4}


def lines(ws: Workspace, run_id: str) -> list[dict[str, Any]]:
    text = (ws.run_folder(run_id) / augment.DIALOGUES).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def report(ws: Workspace, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(ws.run_folder(run_id) / augment.REPORT)
    return found


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of four personas with ten dialogues, six of them train."""
    return prepare_study(tmp_path_factory.mktemp("study"), tiny_base, dialogues=10)


@pytest.fixture(scope="module")
def made(ws: Workspace) -> RunSpec:
    return do(ws, "augmentation", target=14)


def test_the_run_leaves_dialogues_and_says_what_it_refused(ws: Workspace, made: RunSpec) -> None:
    rows, told = lines(ws, made.run_id), report(ws, made.run_id)
    assert len(rows) == told["made"] == 4 * 8
    assert told["total"] == told["sources"] + told["made"] == 4 * 14
    assert sum(told["rejected"].values()) > 0
    assert told["short_of_target"] == {}
    taken = sum(counts.get("taken", 0) for counts in told["by_method"].values())
    assert taken == told["made"]
    assert told["pairs"][0]["changes"]
    assert all(row["nearness"] >= 0.7 for row in rows)


def test_the_dialogues_are_an_artefact_with_a_manifest_and_no_variant(ws: Workspace, made: RunSpec) -> None:
    done = manifest.read(ws.run_folder(made.run_id))
    assert augment.DIALOGUES in done["files"]
    assert manifest.faults(ws.run_folder(made.run_id), done) == []
    finished = read_finished(ws, made.run_id)
    assert finished.variants == ()
    assert finished.scores.num_rows == 0
    assert finished.summary["augmented_dialogues"] == 32
    assert not (ws.run_folder(made.run_id) / augment.CHECKPOINT).exists()


def test_all_it_makes_keeps_the_replies_actions_and_numbers(ws: Workspace, made: RunSpec) -> None:
    by_id = {one.dialogue_id: one for one in load_dataset(ws).dialogues}
    for row in lines(ws, made.run_id):
        source = by_id[row["source_id"]]
        assert row["persona_id"] == source.persona_id
        assert len(row["messages"]) == len(source.messages)
        for before, after in zip(source.messages, row["messages"], strict=True):
            assert after["role"] == before.role
            assert numbers(after["text"]) == numbers(before.text)
            if before.role == "assistant":
                assert extract(after["text"]) == extract(before.text)


def test_sources_are_train_dialogues_only(ws: Workspace, made: RunSpec) -> None:
    assignment = load_splits(ws).assignment
    rows = lines(ws, made.run_id)
    assert {assignment[row["source_id"]] for row in rows} == {"train"}
    assert not {row["dialogue_id"] for row in rows} & set(assignment)
    assert len({row["dialogue_id"] for row in rows}) == len(rows)


def test_val_and_test_have_no_say(ws: Workspace, made: RunSpec, tiny_base: Path, tmp_path: Path) -> None:
    """With every val and test dialogue replaced by noise, the same dialogues are made, letter by letter."""
    other = prepare_study(tmp_path, tiny_base, dialogues=10)
    path, assignment = other.dataset / "dialogues.jsonl", load_splits(other).assignment
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if assignment[row["dialogue_id"]] != "train":
            row["messages"] = [
                {"role": line["role"], "text": f"Zebra {place}: xylophones at 99."}
                for place, line in enumerate(row["messages"])
            ]
            row["meta"] = dict.fromkeys(row["meta"], "zebra")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    count_as_taken_in(other)
    spec = do(other, "augmentation", target=14)
    assert lines(other, spec.run_id) == lines(ws, made.run_id)
    assert "ebra" not in (other.run_folder(spec.run_id) / augment.DIALOGUES).read_text()


def test_a_run_again_gives_the_same_and_another_seed_others(ws: Workspace, made: RunSpec) -> None:
    before = lines(ws, made.run_id)
    shutil.rmtree(ws.run_folder(made.run_id))
    in_process.start(ws, made)
    assert lines(ws, made.run_id) == before
    other = plan(ws, "augmentation", {**SETTINGS, "target": 14}, seed=1).target.spec
    in_process.start(ws, other)
    assert [row["messages"] for row in lines(ws, other.run_id)] != [row["messages"] for row in before]
    shutil.rmtree(ws.run_folder(other.run_id))


class _Stopping(RunContext):
    """Asks itself to stop when two personas are behind."""

    def progress(self, stage: str, done: int, total: int, *, unit: str = "") -> None:
        super().progress(stage, done, total, unit=unit)
        if stage == "augment" and done == 2:
            self.request_stop()


@pytest.fixture
def stopped(ws: Workspace) -> Iterator[RunSpec]:
    spec = plan(ws, "augmentation", {**SETTINGS, "target": 9}).target.spec
    write_spec(ws.run_folder(spec.run_id), spec)
    yield spec
    shutil.rmtree(ws.run_folder(spec.run_id))


def test_a_stopped_run_goes_on_where_it_was(ws: Workspace, stopped: RunSpec) -> None:
    with _Stopping(ws, stopped) as context, pytest.raises(augment.Cancelled):
        augment.run(context)
    part = ws.run_folder(stopped.run_id) / augment.CHECKPOINT / "personas.jsonl"
    kept = part.read_text().splitlines()
    assert len(kept) == 2
    part.write_text("\n".join(kept) + '\n{"persona_id": "persona_002", "made": [')  # torn by a kill
    in_process.start(ws, stopped)
    rows = lines(ws, stopped.run_id)
    assert len(rows) == 4 * 3
    assert rows[:3] == json.loads(kept[0])["made"]


def test_a_multiple_of_the_data(ws: Workspace) -> None:
    spec = do(ws, "augmentation", multiple=2, methods=["paraphrase", "synonyms"])
    told = report(ws, spec.run_id)
    assert told["total"] == 2 * told["sources"]
    assert set(told["by_method"]) == {"paraphrase", "synonyms"}
    shutil.rmtree(ws.run_folder(spec.run_id))


def test_a_model_rewrites_and_the_guards_judge(ws: Workspace, tiny_base: Path) -> None:
    """The tiny base knows nothing: all it says is refused, and the report says why."""
    spec = plan(ws, "augmentation", {**SETTINGS, "target": 7, "methods": ["lm-paraphrase"]}).target.spec
    in_process.start(ws, spec)
    told = report(ws, spec.run_id)
    assert told["made"] == 0
    assert sum(told["rejected"].values()) > 0
    assert set(told["short_of_target"]) == {f"persona_{number:03d}" for number in range(4)}
    shutil.rmtree(ws.run_folder(spec.run_id))


def test_missing_translators_fail_before_any_work(ws: Workspace) -> None:
    asked = {"methods": ["back-translation"], "translators": ["./no-there", "./no-back"]}
    spec = plan(ws, "augmentation", {**SETTINGS, **asked}).target.spec
    in_process.start(ws, spec)
    status = read_status(ws.run_folder(spec.run_id))
    assert status.state == "failed"
    assert "out of reach" in str(status.error)
    assert "hf download" in str(status.hint)
    shutil.rmtree(ws.run_folder(spec.run_id))


def test_the_embedded_base_is_not_asked_to_paraphrase(ws: Workspace) -> None:
    before = ws.read_config()
    write_json(ws.config, {**before, "base": "embedded"})
    try:
        with pytest.raises(EngineError, match="follows no instructions") as caught:
            plan(ws, "augmentation", {"methods": ["lm-paraphrase"]})
        assert "language_model=" in caught.value.hint
    finally:
        write_json(ws.config, before)


# --- training on them


@pytest.fixture(scope="module")
def trained(ws: Workspace, made: RunSpec) -> RunSpec:
    do(ws, "per-persona", **QUICK)
    return do(ws, "per-persona", use_augmented=True, **QUICK)


def test_training_adds_them_to_train_and_to_nothing_else(
    ws: Workspace, made: RunSpec, trained: RunSpec
) -> None:
    assert trained.upstream["augmented"] == made.run_id
    plain = do(ws, "per-persona", **QUICK)
    assert "augmented" not in plain.upstream
    with_more, without = (
        read_json(ws.run_folder(spec.run_id) / "training.json") for spec in (trained, plain)
    )
    assert [one["train_dialogues"] for one in without] == [6] * 4
    assert [one["train_dialogues"] for one in with_more] == [14] * 4
    assert [one["val_losses"] for one in with_more] != [one["val_losses"] for one in without]
    assert with_more[0]["steps"] > without[0]["steps"]


def test_the_variant_has_a_name_of_its_own_under_the_same_protocol(ws: Workspace, trained: RunSpec) -> None:
    finished, plain = (
        read_finished(ws, trained.run_id),
        read_finished(ws, do(ws, "per-persona", **QUICK).run_id),
    )
    assert [one.name for one in finished.variants] == ["per-persona+augmented"]
    assert [one.name for one in plain.variants] == ["per-persona"]
    for column in ("protocol", "example_id", "reference"):
        assert finished.answers.column(column).to_pylist() == plain.answers.column(column).to_pylist()


def test_less_history_never_gets_more_of_it_by_augmentation(ws: Workspace, made: RunSpec) -> None:
    spec = do(ws, "per-persona", use_augmented=True, history=2, **QUICK)
    kept: dict[str, int] = {}
    train = [
        one for one in load_dataset(ws).dialogues if load_splits(ws).assignment[one.dialogue_id] == "train"
    ]
    for persona in {one.persona_id for one in train}:
        last = {one.dialogue_id for one in train if one.persona_id == persona}
        recent = sorted(last)[-2:]
        kept[persona] = 2 + sum(row["source_id"] in recent for row in lines(ws, made.run_id))
    records = read_json(ws.run_folder(spec.run_id) / "training.json")
    assert {one["personas"][0]: one["train_dialogues"] for one in records} == kept


def test_clusters_train_on_them_too(ws: Workspace, made: RunSpec) -> None:
    do(ws, "clustering", k=[2])
    spec = do(ws, "cluster", use_augmented=True, **QUICK)
    records = read_json(ws.run_folder(spec.run_id) / "training.json")
    assert sum(one["train_dialogues"] for one in records) == 4 * 14
    assert read_finished(ws, spec.run_id).variants[0].name == "cluster+augmented"


def test_every_training_experiment_can_and_needs_augmentation_only_then(ws: Workspace) -> None:
    wanted = {
        "per-persona",
        "hybrid",
        "constrained",
        "cluster",
        "cluster-from-unified",
        "prefix",
        "prefix-unified",
    }
    able = {
        name for name, one in registry.EXPERIMENTS.items() if "use_augmented" in one.parameters.model_fields
    }
    assert wanted <= able
    for name in able:
        entry = registry.get(name)
        plain = {need.role for need in entry.needs(entry.parameters())}
        more = {need.role for need in entry.needs(entry.parameters(use_augmented=True))}
        assert more - plain == {"augmented"}


def test_missing_augmentation_is_planned_first(ws: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    other = prepare_study(tmp_path, tiny_base, dialogues=6)
    planned = plan(other, "per-persona", {"use_augmented": True})
    purposes = {run.spec.experiment: run.purpose for run in planned.runs}
    assert purposes["augmentation"] == "upstream"
    assert planned.target.spec.changed == ("use_augmented",)


def test_likeness_is_the_scorers(ws: Workspace, made: RunSpec) -> None:
    by_id = {one.dialogue_id: one for one in load_dataset(ws).dialogues}
    for row in lines(ws, made.run_id)[:6]:
        pairs = zip(by_id[row["source_id"]].messages, row["messages"], strict=True)
        changed = [(before.text, after["text"]) for before, after in pairs if before.text != after["text"]]
        if changed:
            assert min(abs(one - row["nearness"]) for one in Scorer(ws).nearness(changed)) < 1e-3
        else:
            assert row["nearness"] == 1.0
