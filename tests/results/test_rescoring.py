"""Metrics of replies that are there: each computed as a run computes it, by the scorer of its protocol."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.domains import metrics
from engine.domains.metrics import METRICS
from engine.lm import scorer_choice
from engine.lm.measure import measure
from engine.lm.scorer import Scorer
from engine.results import rescoring, store
from engine.runs import answers
from tests.sample_study import finish, prepare_world

NEWER = ("rouge_l", "rouge_1", "meteor", "bleu", "chrf", "label_accuracy", "label_macro_f1")
NEWER += ("rating_mae", "rating_rmse")
SIMILARITY = "embedding_similarity"


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A study whose domain asks for every metric there is, and whose run was scored in those of before."""
    ws = prepare_world(tmp_path / "study", personas=4, dialogues=8)
    finish(ws, "base", per_persona=3)
    store.refresh(ws)
    every = dict.fromkeys((*metrics.of_study(ws), *NEWER))
    monkeypatch.setattr(metrics, "of_study", lambda _: {name: METRICS[name] for name in every})
    return ws


def run_of(ws: Workspace) -> str:
    return store.variants(ws)[0].run_id


def test_each_newer_metric_is_computed_for_replies_of_before_as_a_run_would(ws: Workspace) -> None:
    assert set(NEWER) <= set(store.missing(ws))
    done = {one.metric: one for one in rescoring.rescore(ws)}
    assert set(NEWER) <= set(done)
    assert store.missing(ws) == {}
    said = answers.replies(ws.run_folder(run_of(ws)))
    wanted = measure(
        [METRICS[name] for name in NEWER], said["reply"].tolist(), said["reference"].tolist(), scorer=Scorer
    )
    later = answers.read(ws, run_of(ws)).scores.to_pandas()
    for name in NEWER:
        mine = later[later["metric"] == name]
        theirs = wanted[wanted["metric"] == name]
        assert sorted(mine["value"].fillna(-1)) == pytest.approx(sorted(theirs["value"].fillna(-1)))
        assert set(mine["version"]) == {METRICS[name].version}
    assert done["rouge_l"].replies == len(said)
    assert done["rating_mae"].undefined == len(said)  # no reference is a rating


def another(ws: Workspace, folder: Path) -> str:
    """Choose another encoder for the workspace; return its identity."""
    shutil.copytree(scorer_choice.usual().folder, folder)
    told = read_json(folder / "config.json")
    (folder / "config.json").write_text(json.dumps({**told, "comment": "another"}))
    write_json(ws.config, {**ws.read_config(), scorer_choice.SETTING: str(folder)})
    return scorer_choice.encoder_of(ws).identity


def declare(ws: Workspace, scorer: str) -> None:
    """Let the run's protocol name a scorer."""
    path = ws.run_folder(run_of(ws)) / "done.json"
    done = read_json(path)
    done["protocols"] = {name: {**held, "scorer": scorer} for name, held in done["protocols"].items()}
    write_json(path, done)


def test_similarity_is_of_the_scorer_that_the_protocol_names_or_none(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = scorer_choice.usual().identity
    run_id = run_of(ws)
    monkeypatch.setattr(store, "missing", lambda _: {SIMILARITY: (run_id,), "chrf": (run_id,)})
    said = answers.replies(ws.run_folder(run_id))
    wanted = Scorer().similarity(said["reply"].tolist(), said["reference"].tolist())
    chosen = another(ws, tmp_path / "another")
    assert chosen != usual

    declare(ws, usual)
    rescoring.rescore(ws)  # today's is another: the usual one is here, and is taken
    (held,) = [path for path in answers.later_files(ws, run_id) if path.stem == SIMILARITY]
    assert sorted(pd.read_parquet(held)["value"]) == pytest.approx(sorted(wanted), abs=1e-6)

    declare(ws, "gone@12345678")
    done: list[str] = []
    with pytest.raises(EngineError, match="names the scorer gone@12345678, and today's is") as refused:
        rescoring.rescore(ws, on_run=lambda one: done.append(one.metric))
    assert chosen in refused.value.message
    assert done == ["chrf"]  # what needs no scorer is computed all the same
