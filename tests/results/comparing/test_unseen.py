"""The second table: personas kept out of training, with verdicts, family and looks of their own."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from engine.cli import main
from engine.core.paths import Workspace
from engine.data.dataset import load_splits
from engine.results import store
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.unseen import SEEN_ONLY, UNSEEN_ONLY, words
from engine.show.report import compose
from engine.show.report.rendering import as_markdown
from engine.stats.compare import compare
from engine.stats.pairing import index, pair
from tests.sample_study import finish, prepare_world


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_world(tmp_path_factory.mktemp("study"), personas=16, dialogues=10, unseen=0.5)
    finish(ws, "unified", "retrieval", "per-persona", "ceiling", per_persona=6)
    return ws


def test_each_table_has_its_own_personas_family_and_looks(ws: Workspace) -> None:
    found = compare_variants(ws)
    second = found["unseen"]
    held = {row["variant"]: row for row in found["rows"]}
    apart = {row["variant"]: row for row in second["rows"]}
    assert held["per-persona"]["n_paired"] == 8
    assert "per-persona" not in apart
    assert second["cannot_serve"] == ["per-persona"]
    assert apart["unified+retrieval-3"]["n_paired"] == len(load_splits(ws).unseen) == 8
    assert (held["unified+retrieval-3"]["family_size"], apart["unified+retrieval-3"]["family_size"]) == (5, 4)
    tables = store.score_table(
        ws, metric=second["metric"], split="unseen", protocol=second["protocol"]
    ).groupby("variant")
    rows = {
        name: index(zip(one["example_id"], one["persona_id"], one["value"], strict=True))
        for name, one in tables
    }
    by_hand = compare(pair(rows["unified+retrieval-3"], rows["unified"]), resamples=199)
    assert apart["unified+retrieval-3"]["delta"] == pytest.approx(by_hand.delta)
    test, unseen = looks.at(found), looks.at(second)
    assert test.name != unseen.name
    assert "per-persona" in {one.variant for one in looks.seen(ws, test)}
    assert {one.variant for one in looks.seen(ws, unseen)} == {
        *("base", "unified+retrieval-1", "unified+retrieval-3", "unified+retrieval-5")
    }
    assert compare_variants(ws, split="val")["unseen"] is None


def test_terminal_json_csv_and_report_show_both(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["compare", "--split", "test", "-w", str(ws.root)]
    assert main(asked) == 0
    said = capsys.readouterr()
    assert "on test, in points, against unified" in said.out
    assert "on unseen personas, in points, against unified" in said.out
    assert "per-persona: cannot serve unseen personas." in said.err
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unseen"]["split"] == "unseen"
    assert main([*asked, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["split"] for row in rows if row["variant"] == "unified"] == ["test", "unseen"]
    assert main(["compare", "--split", "unseen", "-w", str(ws.root)]) == 0
    assert "on unseen personas" in capsys.readouterr().out
    report = as_markdown(compose(ws))
    assert "on unseen personas, in points, against unified" in report
    assert "per-persona: cannot serve unseen personas" in report


def test_without_them_it_says_of_whom_it_speaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ws = prepare_world(tmp_path, personas=6, dialogues=8)
    finish(ws, "unified", per_persona=4)
    found = compare_variants(ws)
    assert found["unseen"] is None
    assert words(ws, found) == SEEN_ONLY
    assert SEEN_ONLY in as_markdown(compose(ws))
    assert main(["compare", "--split", "test", "-w", str(ws.root)]) == 0
    assert SEEN_ONLY in capsys.readouterr().err


def test_by_persona_all_of_test_are_unseen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ws = prepare_world(tmp_path, personas=8, dialogues=2, split="by-persona")
    finish(ws, "unified", per_persona=2)
    assert main(["compare", "--split", "test", "-w", str(ws.root)]) == 0
    told = capsys.readouterr().err
    assert UNSEEN_ONLY in told
    assert SEEN_ONLY not in told
    assert UNSEEN_ONLY in as_markdown(compose(ws))
