"""`init` of data that is not one's own layout: a look first, a mapping, and what is said of splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main
from engine.core.paths import Workspace
from engine.data import load_dataset
from tools import layouts

MAP = ("--map", "assistant=Agent Smith,user=customer_id", "--map", "session=ticket_id")


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.csv"
    path.write_bytes(layouts.tickets()["tickets.csv"])
    return path


def init(capsys: pytest.CaptureFixture[str], space: Path, *arguments: str) -> tuple[int, str, str]:
    code = main(["init", "--workspace", str(space), *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_look_shows_columns_guesses_and_outcome_and_writes_nothing(
    tmp_path: Path, tickets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space"
    code, out, _ = init(capsys, space, "--dataset", str(tickets), *MAP, "--preview")
    assert code == 0
    assert "Would hold 4 personas, 24 dialogues, 2024-03-01T09:30:00Z to 2024-05-05T09:30:00Z" in out
    assert "order by dates" in out
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("rating")] == [
        ["rating", "left"]
    ]
    assert "Mapping: --map user=customer_id,session=ticket_id,time=created_at" in out
    code, out, _ = init(capsys, space, "--dataset", str(tickets), "--preview", "--json")
    found: dict[str, Any] = json.loads(out)
    assert code == 1
    assert "nothing was imported" in found["refused"]
    assert found["left_out"][0]["times"] == 24
    assert not space.exists()


def test_what_a_look_printed_can_be_typed(
    tmp_path: Path, tickets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space"
    _, out, _ = init(capsys, space, "--dataset", str(tickets), *MAP, "--preview", "--json")
    mapping = ",".join(f"{part}={column}" for part, column in json.loads(out)["mapping"].items())
    code, out, _ = init(capsys, space, "--dataset", str(tickets), "--map", mapping)
    assert code == 0
    assert "4 personas, 24 dialogues, split by-time, domain chat" in out
    assert len(load_dataset(Workspace(space)).personas) == 4


def test_failed_checks_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "alpaca.json"
    path.write_bytes(layouts.alpaca()["alpaca.json"])
    code, out, _ = init(capsys, tmp_path / "space", "--dataset", str(path))
    assert code == 0
    assert "Check failed: order in time" in out


def test_a_wrong_part_is_said_with_its_remedy(
    tmp_path: Path, tickets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = init(capsys, tmp_path / "space", "--dataset", str(tickets), "--map", "usr=customer_id")
    assert code != 0
    assert "Did you mean 'user'" in err


def test_short_and_unseen_personas(tmp_path: Path, tickets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "space"
    code, out, _ = init(
        capsys, space, "--dataset", str(tickets), *MAP, "--min-dialogues", "6", "--unseen", "0.25", "--json"
    )
    card = json.loads(out)
    assert code == 0
    assert card["counts"]["examples_by_split"] == {
        "train": 9,
        "val": 3,
        "test": 6,
        "history": 3,
        "unseen": 3,
    }
    assert any("1 persona kept out of all training" in note for note in card["notes"])
