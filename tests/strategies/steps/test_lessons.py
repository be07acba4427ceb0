"""What adapters are trained on and start from: history, the online slice, unified's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.data import load_dataset, load_splits
from engine.lm.load import load_base
from engine.lm.recipes import read_personas
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec
from engine.strategies.steps import lessons
from tests.strategies.steps.test_steps import do
from tests.tiny_base import prepare_study

FEW = {"epochs": 1, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four personas with twelve dialogues each: seven of train, the last two of them online."""
    return prepare_study(tmp_path_factory.mktemp("lessons"), tiny_base, dialogues=12)


def weights(ws: Workspace, run_id: str, name: str) -> dict[str, torch.Tensor]:
    return load_file(ws.adapters(run_id) / name / "adapter_model.safetensors")


def recipe(ws: Workspace, spec: RunSpec) -> Any:
    (variant,) = read_json(ws.run_folder(spec.run_id) / "done.json")["variants"]
    return variant["recipe"]["effects"]


def own(spec: RunSpec) -> dict[str, Any]:
    return {"kind": "own", "run": spec.run_id}


def test_dialogues_are_encoded_once_for_all_runs_on_the_same_base(ws: Workspace) -> None:
    """They are read where they were kept, made anew where that is damaged or of other data."""
    base = load_base(str(read_json(ws.config)["base"]))
    one, other, nobodys = (
        RunContext(ws, RunSpec("per-persona", 1, parameters, 0, "", "", base_fingerprint=mark))
        for parameters, mark in (({}, "a"), ({"history": 3}, "a"), ({}, ""))
    )
    personas = {row.persona_id for row in load_dataset(ws).personas}

    def kept() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in ws.cache.glob("encoded-*")}

    wanted = lessons.training_dialogues(nobodys, base, personas)
    assert not kept()
    assert lessons.training_dialogues(one, base, personas) == wanted
    ((name, written),) = kept().items()
    (ws.cache / name).write_bytes(written.replace(b"true", b"false", 1))
    assert lessons.training_dialogues(one, base, personas) == wanted
    assert kept() == {name: written}
    assert lessons.training_dialogues(other, base, personas) != wanted
    assert len(kept()) == 2
    assert lessons.training_dialogues(one, base, personas) == wanted


@pytest.mark.parametrize(
    ("parameters", "orders"),
    [
        ({}, range(7)),
        ({"history": 3}, range(4, 7)),
        ({"history": 99}, range(7)),
        ({"use_online": False}, range(5)),
        ({"use_online": False, "history": 2}, range(3, 5)),
        ({"train_on": "online"}, range(5, 7)),
    ],
)
def test_history_is_the_end_of_train(
    ws: Workspace, parameters: dict[str, Any], orders: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = RunSpec("per-persona", 1, {"by": "persona", **parameters}, 0, "", "")
    base = load_base(str(read_json(ws.config)["base"]))
    seen = []
    monkeypatch.setattr(lessons, "_encode", lambda _base, _domain, row: seen.append(row) or _row())
    personas = {persona.persona_id for persona in load_dataset(ws).personas}
    rows = lessons.training_dialogues(RunContext(ws, spec), base, personas)
    splits = load_splits(ws)
    train = [row for row in seen if splits.assignment[row.dialogue_id] == "train"]
    assert [row.order for row in train] == list(orders) * 4
    assert {len(own["train"]) for own in rows.values()} == {len(orders)}
    assert {len(own["val"]) for own in rows.values()} == {2}
    assert not any(splits.assignment[row.dialogue_id] == "test" for row in seen)


def _row() -> Any:
    from engine.lm.encode import Encoded

    return [Encoded((1, 2, 3), (False, True, True))]


def test_micro_updates_go_on_from_the_adapter_trained_without_the_slice(ws: Workspace) -> None:
    spec = do(ws, "online", learning_rate=1e-5)
    earlier = spec.upstream["start"]
    assert read_json(ws.run_folder(earlier) / "spec.json")["parameters"]["use_online"] is False
    training = read_json(ws.run_folder(spec.run_id) / "training.json")
    assert {record["train_dialogues"] for record in training} == {2}
    assert recipe(ws, spec) == [own(spec)]
    for (one,) in read_personas(ws, spec.run_id).values():
        name = one.name
        before, after = weights(ws, earlier, name), weights(ws, spec.run_id, name)
        moved = max(float((after[key] - before[key]).abs().max()) for key in before)
        assert 0 < moved < 1e-3, "it began elsewhere, or never moved"


def test_micro_updates_of_a_delta_keep_its_unified_below(ws: Workspace) -> None:
    spec = do(ws, "online", over="hybrid")
    hybrid = read_json(ws.run_folder(spec.upstream["start"]) / "spec.json")
    below = {"kind": "weights", "run": hybrid["upstream"]["unified"], "name": "unified"}
    assert recipe(ws, spec) == [below, own(spec)]


def test_a_cluster_can_begin_as_unifieds_weights(ws: Workspace) -> None:
    clusters = do(ws, "clustering", k=[2]).run_id
    spec = do(ws, "cluster-from-unified", start="weights", epochs=1, learning_rate=1e-6)
    assert spec.upstream["clusters"] == clusters
    assert recipe(ws, spec) == [own(spec)]
    unified = weights(ws, spec.upstream["start"], "unified")
    names = {one.name for (one,) in read_personas(ws, spec.run_id).values()}
    assert names == {"cluster-0", "cluster-1"}
    for name in names:
        for key, tensor in weights(ws, spec.run_id, name).items():
            torch.testing.assert_close(tensor, unified[key], atol=1e-3, rtol=0)
    delta = do(ws, "cluster-from-unified", epochs=1)
    assert recipe(ws, delta)[0] == {"kind": "weights", "run": delta.upstream["unified"], "name": "unified"}


def test_weights_of_another_shape_are_refused_with_what_fits(ws: Workspace) -> None:
    do(ws, "clustering", k=[2])
    with pytest.raises(EngineError, match="another shape") as refused:
        do(ws, "cluster-from-unified", start="weights", rank=4, **FEW)
    assert "--set rank=8" in str(refused.value.hint)


def test_a_pull_toward_unified_ends_nearer_to_it(ws: Workspace) -> None:
    def distance(**parameters: Any) -> float:
        spec = do(ws, "per-persona", personas=1, epochs=4, learning_rate=0.02, **parameters)
        ((one,),) = read_personas(ws, spec.run_id).values()
        run, name = one.run, one.name
        own, unified = weights(ws, run, name), weights(ws, goal, "unified")
        return sum(
            float((2 * own[b] @ own[a] - 2 * unified[b] @ unified[a]).square().sum())
            for a in own
            if "lora_A" in a
            for b in (a.replace("lora_A", "lora_B"),)
        )

    goal = do(ws, "unified").run_id
    assert distance(l2=5.0, l2_toward="unified") < 0.7 * distance()
