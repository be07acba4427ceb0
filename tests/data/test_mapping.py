"""Which column is what: said, guessed, kept, and what is wrong with what was said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.data import load_dataset, load_splits, prepare, prepare_upload, preview, preview_upload
from engine.data.mapping import read_mapping
from tools import layouts

TICKETS = "assistant=Agent Smith"


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.csv"
    path.write_bytes(layouts.tickets()["tickets.csv"])
    return path


def test_a_mapping_is_read_as_it_is_written() -> None:
    text = "user=customer_id,time=created_at,messages=chat,role=speaker,assistant=agent"
    found = read_mapping(text)
    assert ",".join(f"{part}={column}" for part, column in found.as_json().items()) == text
    assert read_mapping(text.split(",")) == found
    assert read_mapping(found.as_json()) == found
    assert read_mapping("user=name, last,time=when").user == "name, last"
    assert not read_mapping(None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("customer_id", "needs PART=COLUMN"),
        ("usr=customer_id", "no part of a mapping named 'usr'"),
        ("user=a,tme=b", "no part of a mapping named 'tme'"),
        ("dates=monday-first", "no way to write dates"),
        ("nowhere.json", "cannot be read"),
        ({"user": 3}, "is no text"),
    ],
)
def test_what_is_no_mapping_is_said(given: Any, words: str) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        read_mapping(given)
    assert caught.value.hint


def test_a_column_that_is_not_there_is_named_with_the_nearest(ws: Workspace, tickets: Path) -> None:
    with pytest.raises(EngineError, match=r"tickets.csv: .*'custmer_id' \(--map user=custmer_id\)") as caught:
        prepare(ws, dataset=tickets, map="user=custmer_id")
    assert "Did you mean 'customer_id'" in caught.value.hint
    assert not ws.root.exists()


@pytest.mark.parametrize(
    ("columns", "words", "remedy"),
    [
        ("owner,messages", "names no user: which column", "--map user=COLUMN"),
        ("user_id,note", "no column holds what was said", "--map messages=COLUMN"),
        ("user_id,role,content", "which column tells what dialogue", "--map session=COLUMN"),
    ],
)
def test_a_missing_column_is_said(
    ws: Workspace, tmp_path: Path, columns: str, words: str, remedy: str
) -> None:
    turns = json.dumps([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}])
    values = {"messages": turns, "role": "user", "content": "Hi"}
    row = {name: values.get(name, "x") for name in columns.split(",")}
    path = tmp_path / "some.csv"
    path.write_bytes(layouts.table([row, row]))
    with pytest.raises(EngineError, match=words) as caught:
        prepare(ws, dataset=path)
    assert remedy in caught.value.hint
    assert columns.split(",")[0] in caught.value.message


def test_a_look_says_what_an_import_does_and_writes_nothing(ws: Workspace, tickets: Path) -> None:
    found = preview(ws, dataset=tickets, map=TICKETS)
    assert not ws.root.exists()
    assert {column.name: column.part for column in found.columns} == {
        "ticket_id": "session", "customer_id": "user", "created_at": "time", "speaker": "role",
        "message": "text", "rating": "",
    }  # fmt: skip
    assert found.rows[0]["speaker"] == "Agent Smith"
    assert (found.refused, found.left_out) == ("", ())
    card = prepare(ws, dataset=tickets, map=TICKETS)
    assert found.outcome["personas"] == card["counts"]["personas"] == 4
    assert found.outcome["dialogues"] == card["counts"]["dialogues"] == 24
    assert found.outcome["examples_by_split"] == card["counts"]["examples_by_split"]
    assert (found.outcome["first"], found.outcome["last"]) == ("2024-03-01T09:30:00Z", "2024-05-05T09:30:00Z")
    assert list(found.notes) == card["notes"]


def test_a_look_says_what_stops_an_import(ws: Workspace, tickets: Path) -> None:
    found = preview(ws, dataset=tickets)
    assert "nothing was imported" in found.refused
    assert found.outcome == {}
    assert found.left_out[0].times == 24
    assert found.left_out[0].first == "tickets.csv:2"
    assert "'Agent Smith' is not one of" in found.left_out[0].what
    assert found.mapping["user"] == "customer_id"
    upload = preview_upload(ws, {"tickets.csv": tickets.read_bytes()}, map=TICKETS)
    assert upload.outcome["personas"] == 4
    assert not ws.root.exists()


def test_a_second_import_of_the_same_columns_needs_no_questions(
    ws: Workspace, tickets: Path, tmp_path: Path
) -> None:
    card = prepare(ws, dataset=tickets, map=TICKETS)
    assert read_json(ws.dataset / "card.json")["mapping"]["assistant"] == "Agent Smith"
    assert prepare(ws, dataset=tickets)["unchanged"]
    more = tickets.read_bytes() + tickets.read_bytes().split(b"\n", 1)[1].replace(b"T", b"U").replace(
        b"c/", b"d/"
    )
    again = prepare_upload(ws, {"more.csv": more}, force=True)
    assert again["counts"]["personas"] == 8
    assert "Columns are understood as at the import before." in again["notes"]
    head, *rest = more.splitlines()
    wider = b"\n".join([head + b";mood", *(line + b";fine" for line in rest)])
    assert any("New and left out: mood." in one for one in preview_upload(ws, [("wider.csv", wider)]).notes)
    other = b"\n".join([head.replace(b"created_at", b"when"), *reversed(rest)])
    told = preview_upload(ws, [("other.csv", other)], map=TICKETS).notes
    assert any("used are gone (created_at)" in one for one in told)
    elsewhere = Workspace(tmp_path / "elsewhere")
    kept = str(ws.dataset / "card.json")
    assert prepare(elsewhere, dataset=tickets, map=kept)["data_hash"] == card["data_hash"]


def test_a_newest_first_file_does_not_train_on_the_future(ws: Workspace, tickets: Path) -> None:
    prepare(ws, dataset=tickets, map=TICKETS)
    splits = load_splits(ws)
    for persona in load_dataset(ws).personas:
        rows = [row for row in load_dataset(ws).dialogues if row.persona_id == persona.persona_id]
        dates = {name: [row.meta["dated"] for row in rows if splits.assignment[row.dialogue_id] == name]
                 for name in ("train", "val", "test")}  # fmt: skip
        assert max(dates["train"]) < min(dates["val"]) <= max(dates["val"]) < min(dates["test"])
    record = read_json(ws.splits / "splits.json")
    assert record["order"] == {"by": "dates", "known": True, "unknown": []}
    (check,) = [check for check in record["checks"] if check["name"] == "order in time"]
    assert check["ok"]
    assert "4 personas by their dates" in check["detail"]


def test_where_no_order_can_be_known_the_split_is_marked(ws: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "alpaca.json"
    path.write_bytes(layouts.alpaca()["alpaca.json"])
    card = prepare(ws, dataset=path)
    assert any("is not known: no dates" in note and "--map time=COLUMN" in note for note in card["notes"])
    record = read_json(ws.splits / "splits.json")
    assert not record["order"]["known"]
    assert [check["name"] for check in record["checks"] if not check["ok"]] == ["order in time"]


def test_ambiguous_days_are_said_until_they_are_named(ws: Workspace, tmp_path: Path) -> None:
    rows = [
        {"user_id": f"u{user}", "id": f"{user}x{n}", "prompt": f"{user} asks {n}", "reply": f"{n}, {user}",
         "date": f"0{1 + n}/02/2024"}
        for user in range(3)
        for n in range(6)
    ]  # fmt: skip
    path = tmp_path / "days.csv"
    path.write_bytes(layouts.table(rows))
    assert any("month first or day first" in note for note in prepare(ws, dataset=path)["notes"])
    assert [row.meta["dated"][:7] for row in load_dataset(ws).dialogues[:2]] == ["2024-01", "2024-02"]
    other = Workspace(tmp_path / "other")
    assert not any(
        "month first" in note for note in prepare(other, dataset=path, map="dates=day-first")["notes"]
    )
    assert [row.meta["dated"][:10] for row in load_dataset(other).dialogues[:2]] == [
        "2024-02-01",
        "2024-02-02",
    ]
