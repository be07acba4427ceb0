"""Networks over the embedded base: on whom they are trained, whom they serve, and what stops them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.data.dataset import load_dataset
from engine.lm.effects import Weights
from engine.lm.load import load_base
from engine.lm.recipes import read_personas
from engine.lm.train import Lesson, Trainer
from engine.runs.context import Cancelled
from engine.runs.runfolder import RunSpec
from engine.strategies.budgets import own_budget
from engine.strategies.steps.lessons import dialogues_of
from tests import in_process
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

SETTINGS = {"examples_per_persona": 1, "max_new_tokens": 8}
KINDS = ("projected-profile", "hypernetwork-trained")
SMALL = {"epochs": 2, "code": 3, "held_out": 0.25}
PERSONAS, KNOWN = 6, 4


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return prepare_study(tmp_path_factory.mktemp("study"), Path("embedded"), personas=PERSONAS, dialogues=6)


@pytest.fixture(scope="module")
def unified(ws: Workspace) -> RunSpec:
    """It knows four of the six personas; the others are newcomers."""
    return in_process.do(ws, "unified", {**SETTINGS, "epochs": 1, "personas": KNOWN}, beside=False)


def do(ws: Workspace, unified: RunSpec, experiment: str, **parameters: Any) -> RunSpec:
    given = {**SETTINGS, **SMALL, **parameters}
    return in_process.do(ws, experiment, given, upstream={"unified": unified.run_id}, beside=False)


@pytest.fixture(scope="module")
def lessons(ws: Workspace, unified: RunSpec) -> dict[str, tuple[RunSpec, Lesson]]:
    """Each network's run, and what its trainer was given."""
    found, init = {}, Trainer.__init__
    with pytest.MonkeyPatch.context() as patch:
        for kind in KINDS:
            seen: list[Lesson] = []

            def spied(self: Trainer, *given: Any, seen: list[Lesson] = seen, **more: Any) -> None:
                seen.extend(given[3])
                init(self, *given, **more)

            patch.setattr(Trainer, "__init__", spied)
            spec = do(ws, unified, kind)
            (lesson,) = seen
            found[kind] = spec, lesson
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_neither_who_is_held_out_nor_a_newcomer_reaches_the_trainer(
    ws: Workspace, unified: RunSpec, lessons: dict[str, tuple[RunSpec, Lesson]], kind: str
) -> None:
    spec, lesson = lessons[kind]
    who = read_json(ws.run_folder(spec.run_id) / "trained.json")
    known = set(read_json(ws.run_folder(unified.run_id) / "training.json")[0]["personas"])
    everybody = {one.persona_id for one in load_dataset(ws).personas}
    assert (len(who["trained"]), len(who["held_out"]), len(everybody)) == (3, 1, PERSONAS)
    assert {*who["trained"], *who["held_out"]} == known

    base, context = load_base("embedded"), SimpleNamespace(workspace=ws)
    said: dict[str, set[tuple[int, ...]]] = {persona: set() for persona in everybody}
    in_split: dict[str, set[tuple[int, ...]]] = {}
    for split in ("train", "val", "test"):
        for (persona, _), rows in dialogues_of(context, base, everybody, split).items():  # type: ignore[arg-type]
            said[persona] |= {row.ids for row in rows}
            in_split.setdefault(split, set()).update(row.ids for row in rows)
    trained_on = {row.ids for row in lesson.train}
    judged_on = {row.ids for row in lesson.val}
    for persona in everybody - set(who["trained"]):
        assert not trained_on & said[persona], persona
    for persona in everybody - set(who["held_out"]):
        assert not judged_on & said[persona], persona
    (held_out,) = who["held_out"]
    assert trained_on <= set().union(*(said[persona] for persona in who["trained"]))
    assert judged_on <= said[held_out]
    assert judged_on <= in_split["val"]  # which unified below was not trained on either


@pytest.mark.parametrize("kind", KINDS)
def test_everybody_is_served_apart_and_has_a_placebo(
    ws: Workspace, lessons: dict[str, tuple[RunSpec, Lesson]], kind: str
) -> None:
    spec, _ = lessons[kind]
    rows = scores_of(ws, spec.run_id)
    assert rows["persona_id"].nunique() == PERSONAS
    own = read_personas(ws, spec.run_id)
    assert len(set(own.values())) == PERSONAS
    if kind == "hypernetwork-trained":
        assert all(len(parts) == SMALL["code"] for parts in own.values())
        assert all(isinstance(part, Weights) for parts in own.values() for part in parts)
    told = own_budget(ws, spec.run_id)
    assert (told.adapters, told.judged) == (1, 1)
    placebo = in_process.do(
        ws, "placebo", {**SETTINGS, "of": kind}, upstream={"of": spec.run_id}, beside=False
    )
    assert set(scores_of(ws, placebo.run_id)["variant"]) == {f"{kind}~placebo"}


def test_stopped_while_it_answers_it_trains_nothing_again(
    ws: Workspace,
    unified: RunSpec,
    lessons: dict[str, tuple[RunSpec, Lesson]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The network lies on disk: an attempt that was stopped while it answered trains nothing again."""
    from engine.strategies.steps import network

    def stopped(*_: Any, **__: Any) -> None:
        raise Cancelled

    given = {**SETTINGS, **SMALL, "code": 2}
    below = {"unified": unified.run_id}
    with monkeypatch.context() as patch:
        patch.setattr(network, "score_variants", stopped)
        spec = in_process.attempt(ws, "projected-profile", given, upstream=below, beside=False)
    before = (ws.adapters(spec.run_id) / network.NETWORK).read_bytes()
    monkeypatch.setattr(network, "_train", stopped)
    in_process.start(ws, spec)
    in_process.assert_succeeded(ws, spec.run_id)
    assert (ws.adapters(spec.run_id) / network.NETWORK).read_bytes() == before
    assert scores_of(ws, spec.run_id)["persona_id"].nunique() == PERSONAS


def test_of_no_history_her_character_alone_is_read(ws: Workspace, unified: RunSpec) -> None:
    spec = do(ws, unified, "hypernetwork-trained", history=0)
    assert len(set(read_personas(ws, spec.run_id).values())) == PERSONAS
    with pytest.raises(EngineError, match="nothing can be read"):
        do(ws, unified, "hypernetwork-trained", history=0, features="history")


def test_too_few_to_hold_somebody_out_is_refused(ws: Workspace) -> None:
    two = in_process.do(ws, "unified", {**SETTINGS, "epochs": 1, "personas": 2}, beside=False)
    given = {**SETTINGS, **SMALL}
    with pytest.raises(EngineError, match="too few to train on"):
        in_process.attempt(ws, "projected-profile", given, upstream={"unified": two.run_id}, beside=False)
