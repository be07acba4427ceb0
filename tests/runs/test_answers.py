"""Answers and scores as files: long ones as they are written, older wide ones as they lie there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.runs import answers, manifest
from engine.runs.runfolder import RunSpec

RUN = "unified-00000000"
DEVICES = METRICS["device_f1"]


def rows(**more: list[object]) -> pd.DataFrame:
    found: Mapping[str, list[object]] = {
        "variant": ["unified"] * 3,
        "split": ["val", "test", "test"],
        "protocol": ["p"] * 3,
        "example_id": ["a#1", "b#1", "c#1"],
        "persona_id": ["one", "one", "two"],
        "dialogue_id": ["a", "b", "c"],
        "turn": [1, 1, 1],
        "reply": ["said", "said", ""],
        "reference": ["held", "held", "held"],
    }
    return pd.DataFrame({**found, **more})


def leave(ws: Workspace, metrics_version: str = "1-1.1") -> None:
    write_json(ws.run_folder(RUN) / "protocols.json", {"p": {"metrics_version": metrics_version}})
    spec = RunSpec("unified", 1, {}, 0, "d", "embedded", base_fingerprint="b")
    write_json(ws.run_folder(RUN) / "spec.json", {**asdict(spec), "run_id": RUN})
    manifest.write(ws, RUN)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    ws = Workspace(tmp_path)
    ws.run_folder(RUN).mkdir(parents=True)
    return ws


@pytest.fixture
def old(ws: Workspace) -> Workspace:
    """A run with a wide table, as they were written."""
    wide = rows(
        device_f1=[0.5, float("nan"), 1.0], embedding_similarity=[0.1, 0.2, 0.3], numerical_mae=[None] * 3
    )
    wide.to_parquet(ws.run_folder(RUN) / answers.SCORES)
    leave(ws)
    return ws


def test_a_wide_table_is_read_as_it_is_and_stays_what_it_was(old: Workspace) -> None:
    path = old.run_folder(RUN) / answers.SCORES
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    found = answers.read(old, RUN)
    assert found.answers.column("reply").to_pylist() == ["said", "said", ""]
    scores = found.scores.to_pandas()
    assert len(scores) == 3 * 3
    versions = dict(zip(scores["metric"], scores["version"], strict=True))
    assert versions == {"device_f1": "1.1", "numerical_mae": "1.1", "embedding_similarity": "1"}
    devices = scores[scores["metric"] == "device_f1"]["value"]
    assert devices.isna().tolist() == [False, True, False]
    assert scores[scores["metric"] == "numerical_mae"]["value"].isna().all()  # undefined, and there
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert manifest.faults(old.run_folder(RUN), manifest.read(old.run_folder(RUN))) == []


def test_what_is_written_is_read_again(ws: Workspace) -> None:
    scores = rows()[list(answers.KEY_COLUMNS)].assign(
        metric="device_f1", version="9", value=[0.5, float("nan"), 1.0]
    )
    answers.write(ws.run_folder(RUN), rows(), scores)
    leave(ws)
    found = answers.read(ws, RUN)
    wide = found.wide().set_index("example_id")["device_f1"]
    assert (wide["a#1"], wide["c#1"]) == (0.5, 1.0)
    assert np.isnan(wide["b#1"])
    assert set(found.scores.column("version").to_pylist()) == {"9"}
    assert answers.replies(ws.run_folder(RUN))["reply"].tolist() == ["said", "said", ""]


def test_another_version_of_a_metric_is_not_its_value(old: Workspace) -> None:
    read = answers.read(old, RUN)
    now = Metric(name="device_f1", label="x", help="x", version="1.1", of_texts=lambda *_: None)
    later = Metric(name="device_f1", label="x", help="x", version="2", of_texts=lambda *_: None)
    assert len(read.values(now)) == 3
    assert read.values(later).empty


def test_scores_computed_later_stand_beside_the_run(old: Workspace) -> None:
    before = {path.name: path.read_bytes() for path in old.run_folder(RUN).iterdir()}
    again = rows()[list(answers.KEY_COLUMNS)].assign(metric="device_f1", version="2", value=[0.0, 0.0, None])
    answers.write_later(old, RUN, "device_f1", again)
    assert {path.name: path.read_bytes() for path in old.run_folder(RUN).iterdir()} == before
    versions = set(answers.read(old, RUN).scores.to_pandas().query("metric == 'device_f1'")["version"])
    assert versions == {"1.1", "2"}
    leave(old, "1-1.3")  # done again: other answers, so these scores are not theirs
    versions = set(answers.read(old, RUN).scores.to_pandas().query("metric == 'device_f1'")["version"])
    assert versions == {"1.3"}


def test_nothing_is_written_through_a_link(old: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (old.data / "rescored").symlink_to(outside)
    scores = rows()[list(answers.KEY_COLUMNS)].assign(metric="device_f1", version="2", value=0.0)
    with pytest.raises(EngineError, match="is a link"):
        answers.write_later(old, RUN, "device_f1", scores)
    (outside / RUN).mkdir()
    (outside / RUN / "device_f1.parquet").write_bytes(b"not ours")
    assert answers.later_files(old, RUN) == []


def test_a_statistic_of_the_whole_set_is_each_personas_own(ws: Workspace) -> None:
    share = Metric(
        name="share", label="x", help="x", version="1",
        counts=lambda said, held: {"right": float(said == held), "all": 1.0},
        total=lambda sums: sums["right"] / sums["all"],
    )  # fmt: skip
    keys = rows()[list(answers.KEY_COLUMNS)]
    scores = pd.concat(
        [
            keys.assign(metric="share", version="1", part="right", value=[1.0, 0.0, 1.0]),
            keys.assign(metric="share", version="1", part="all", value=1.0),
        ]
    )
    answers.write(ws.run_folder(RUN), rows(), scores)
    leave(ws)
    found = answers.read(ws, RUN).values(share).set_index(["split", "persona_id"])["value"]
    assert found.to_dict() == {("val", "one"): 1.0, ("test", "one"): 0.0, ("test", "two"): 1.0}


@pytest.mark.parametrize("name", [answers.SCORES, answers.REPLIES])
def test_a_file_that_lacks_a_column_is_told(ws: Workspace, name: str) -> None:
    scores = rows()[list(answers.KEY_COLUMNS)].assign(metric="device_f1", version="9", value=0.5)
    answers.write(ws.run_folder(RUN), rows(), scores)
    path = ws.run_folder(RUN) / name
    lacking = pd.read_parquet(path).drop(columns="value" if name == answers.SCORES else "reply")
    if name == answers.SCORES:
        lacking.to_parquet(path)
    else:
        lacking.drop(columns="reference").to_parquet(path)
    leave(ws)
    with pytest.raises(EngineError) as refused:
        answers.read(ws, RUN)
    assert "lacks the columns" in refused.value.message or "reply" in refused.value.message
