"""Every layout of files: who is in it, what was said, in what order, and what is left out and counted."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.core.types import Split
from engine.data import load_dataset, load_splits, prepare, prepare_upload
from engine.data.assemble import Imported
from engine.data.dataset import examples
from engine.data.mapping import read_mapping
from engine.data.sources import Source, read_source
from engine.domains.tasks import is_unanswered
from tools import layouts
from tools.layouts import PEOPLE, SESSIONS, day, said


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def read(folder: Path, files: dict[str, bytes], mapping: str = "") -> Imported:
    return read_source(Source("here", written(folder, files)), read_mapping(mapping))


def texts(imported: Imported, persona: str) -> list[tuple[str, ...]]:
    """What was said in each dialogue of a persona, in order of time."""
    rows = [row for row in imported.dataset.dialogues if row.persona_id == persona]
    assert [row.order for row in rows] == list(range(len(rows)))
    return [tuple(message.text for message in row.messages if message.role != "system") for row in rows]


SEEN = [(said(0, session)[0], said(0, session)[1]) for session in range(SESSIONS)]


@pytest.mark.parametrize(
    ("name", "mapping", "persona", "order", "counts"),
    [
        ("openai", "", "u0", "dates", {"tool": 48, "parts": 24, "system": 24}),
        ("sharegpt", "user=owner", "o0", "numbered ids", {"tool": 48, "system": 24}),
        ("prism", "", "user0", "numbered ids", {"unchosen": 24}),
        ("tickets", "assistant=Agent Smith", "c-0-ef7346", "dates", {}),
    ],
)
def test_chats_come_out_oldest_first_with_odd_turns_counted(
    tmp_path: Path, name: str, mapping: str, persona: str, order: str, counts: dict[str, int]
) -> None:
    imported = read(tmp_path / name, layouts.LAYOUTS[name](), mapping)
    assert imported.faults == ()
    assert len(imported.dataset.personas) == PEOPLE
    assert texts(imported, persona) == SEEN
    assert imported.order.by == order
    assert imported.order.doubt == ""
    assert {rule: number for rule, number in imported.counts.items() if number} == counts


def test_dates_stand_where_no_prompt_shows_them(tmp_path: Path) -> None:
    imported = read(tmp_path, layouts.openai())
    assert imported.dataset.dialogues[0].meta == {"dated": "2024-03-01T09:30:00Z"}
    tickets = read(tmp_path / "t", layouts.tickets(), "assistant=Agent Smith")
    assert [row.meta["dated"][:10] for row in tickets.dataset.dialogues[:SESSIONS]] == [
        f"{day(session):%Y-%m-%d}" for session in range(SESSIONS)
    ]
    assert not any("rating" in row.meta for row in tickets.dataset.dialogues)
    kept = read(tmp_path / "m", layouts.tickets(), "assistant=Agent Smith,meta=rating")
    assert kept.dataset.dialogues[0].meta["rating"] == "1"


def test_a_history_of_pairs_stands_before_the_question(tmp_path: Path) -> None:
    imported = read(tmp_path, layouts.alpaca())
    asked, answered = said(0, 0)
    first = ("Good day.", "Good day to you.", f"{asked}\nIn a few words.", answered)
    assert texts(imported, "a0")[0] == first
    assert len(imported.order.unknown) == PEOPLE  # no dates, no ids: nothing tells


def test_what_a_person_says_of_herself_is_her_character(tmp_path: Path) -> None:
    imported = read(tmp_path, layouts.prism())
    assert imported.dataset.personas[1].character == "Likes bicycles."
    alone = read(tmp_path / "alone", {"c.jsonl": layouts.prism()["conversations.jsonl"]})
    assert alone.dataset.personas[1].character is None


def test_each_of_two_speakers_is_a_persona(tmp_path: Path) -> None:
    imported = read(tmp_path, layouts.locomo())
    assert [persona.persona_id for persona in imported.dataset.personas] == [
        "conv-0 Ada", "conv-0 Ben", "conv-1 Ada", "conv-1 Ben",
    ]  # fmt: skip
    rows = [row for row in imported.dataset.dialogues if row.persona_id == "conv-0 Ben"]
    assert [row.dialogue_id.rsplit("_", 1)[1] for row in rows] == ["1", "2", "3", "4", "5", "10"]
    asked, answered = said(0, 1)
    assert [(one.role, one.text) for one in rows[0].messages] == [
        ("user", asked), ("assistant", f"{answered}\nAnd you?"), ("user", "I like it, 1 times."),
    ]  # fmt: skip
    assert rows[0].meta == {"dated": "2024-03-14T09:30:00Z"}
    assert imported.counts["joined"] == 24


def test_msc_joins_its_earlier_sessions(tmp_path: Path) -> None:
    imported = read(tmp_path, layouts.msc())
    first, second = imported.dataset.personas[:2]
    assert (first.persona_id, first.character) == ("valid_0 Speaker 1", "I am 0.")
    assert (second.persona_id, second.character) == ("valid_0 Speaker 2", "I have a dog.\nI sing.")
    assert texts(imported, second.persona_id)[0] == (*said(0, 0), "Well.", "Indeed.")
    assert len(texts(imported, second.persona_id)) == 5


def test_lamp_trains_on_history_and_asks_its_queries(ws: Workspace, tmp_path: Path) -> None:
    card = prepare(ws, dataset=written(tmp_path / "lamp", layouts.lamp()) / "dev_questions.json")
    assert card["importer"] == "lamp"
    assert card["mapping"] == {"task": "lamp-4"}
    rows = [row for row in load_dataset(ws).dialogues if row.persona_id == "00"]
    asked, answered = said(0, 0)
    assert [message.text for message in rows[0].messages] == [
        f"Generate a headline for the following article: {asked}", answered,
    ]  # fmt: skip
    assert rows[-1].messages[1].text == said(0, SESSIONS)[1]
    assignment = load_splits(ws).assignment
    assert [assignment[row.dialogue_id] for row in rows] == ["train"] * 5 + ["val", "test"]
    assert all(check["ok"] for check in read_json(ws.splits / "splits.json")["checks"])


def test_oppu_has_several_queries_and_a_summary_a_person(tmp_path: Path) -> None:
    imported = read(tmp_path, layouts.oppu())
    assert imported.dataset.personas[2].character == "Reviewer 2 is strict."
    own = texts(imported, "2")
    assert len(own) == SESSIONS + 2
    assert own[0][1] == "3"
    assert own[-1][1] == "3"
    assert imported.places["2/query-2-1"] == "test"
    assert "lamp-3" in imported.notes[0]


def test_longlamp_keeps_its_three_splits(tmp_path: Path) -> None:
    imported = read(tmp_path, layouts.longlamp())
    assert imported.importer == "longlamp"
    own = [row.dialogue_id for row in imported.dataset.dialogues if row.persona_id == "R1"]
    assert [imported.places[one] for one in own] == ["train"] * (SESSIONS + 1) + ["val", "test"]
    assert imported.dataset.dialogues[0].messages[1].text == said(0, 0)[1]


def test_users_may_be_the_keys_of_an_object(tmp_path: Path) -> None:
    by_user: dict[str, list[dict[str, Any]]] = {}
    for row in _rows():
        by_user.setdefault(row.pop("user_id"), []).append(row)
    imported = read(tmp_path, {"chats.json": json.dumps(by_user).encode()}, "user=_key")
    assert texts(imported, "u0") == SEEN
    assert len(imported.dataset.personas) == PEOPLE


def test_files_named_after_their_split_are_one_dataset(ws: Workspace, tmp_path: Path) -> None:
    rows = [
        {"author": f"a{person}", "question": said(person, session)[0], "answer": said(person, session)[1]}
        for person in range(PEOPLE)
        for session in range(SESSIONS)
    ]
    files = {
        "train.csv": layouts.table([row for place, row in enumerate(rows) if place % SESSIONS < 5]),
        "test.csv": layouts.table([row for place, row in enumerate(rows) if place % SESSIONS == 5]),
    }
    card = prepare(ws, dataset=written(tmp_path / "two", files))
    assert "The split is the one given in the data." in card["notes"]
    own = [row for row in load_dataset(ws).dialogues if row.persona_id == "a1"]
    assert [load_splits(ws).assignment[row.dialogue_id] for row in own] == ["train"] * 4 + ["val", "test"]
    assert own[-1].messages[0].text == said(1, 5)[0]
    parts = {"train-00000-of-00002.csv": files["train.csv"], "train-00001-of-00002.csv": files["test.csv"]}
    whole = Workspace(tmp_path / "whole")
    card = prepare(whole, dataset=written(tmp_path / "parts", parts))
    assert not any("split" in note and "given" in note for note in card["notes"])
    assert card["counts"]["dialogues"] == PEOPLE * SESSIONS
    other = {"mine.csv": files["train.csv"], "yours.csv": files["test.csv"]}
    with pytest.raises(EngineError, match=r"several datasets: mine\.csv, yours\.csv"):
        prepare(Workspace(tmp_path / "no"), dataset=written(tmp_path / "other", other))


def test_a_query_without_an_answer_is_kept_and_never_scored(ws: Workspace, tmp_path: Path) -> None:
    files = layouts.lamp()
    golds = json.loads(files["dev_outputs.json"])
    hidden = golds["golds"].pop()["id"]
    some = written(tmp_path / "some", files | {"dev_outputs.json": json.dumps(golds).encode()})
    card = prepare(ws, dataset=some)
    assert "1 query without a known answer: never scored, answered by export-predictions." in card["notes"]
    assert not any("without a reply" in note for note in card["notes"])  # said once
    (asked,) = [row for row in load_dataset(ws).dialogues if is_unanswered(row)]
    assert asked.dialogue_id.endswith(f"/query-{hidden}")
    assert load_splits(ws).assignment[asked.dialogue_id] == "test"
    splits: tuple[Split, ...] = ("train", "val", "test")
    for split in splits:
        held = {example.dialogue_id for example in examples(load_dataset(ws), load_splits(ws), split)}
        assert asked.dialogue_id not in held


def test_of_queries_without_any_answer_the_histories_are_divided(tmp_path: Path) -> None:
    questions = layouts.lamp()["dev_questions.json"]
    alone = written(tmp_path / "alone", {"test_questions.json": questions})  # as LaMP gives its test files
    ws = Workspace(tmp_path / "by-time")
    card = prepare(ws, dataset=alone)
    assignment = load_splits(ws).assignment
    unknown = [row for row in load_dataset(ws).dialogues if is_unanswered(row)]
    assert len(unknown) == len(json.loads(questions))
    assert {assignment[row.dialogue_id] for row in unknown} == {"test"}
    assert card["counts"]["examples_by_split"]["test"] > 0
    other = Workspace(tmp_path / "by-persona")
    prepare(other, dataset=alone, split="by-persona")
    for made in (ws, other):
        checks = {check["name"]: check["ok"] for check in read_json(made.splits / "splits.json")["checks"]}
        assert checks["every dialogue assigned"]
        assert checks["no overlap"]


def test_a_task_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    rows = json.loads(layouts.lamp()["dev_questions.json"])
    for row in rows:
        row["input"] = "Well?"
    files = layouts.lamp() | {"dev_questions.json": json.dumps(rows).encode()}
    with pytest.raises(EngineError, match="nothing tells which task") as caught:
        read(tmp_path, files)
    assert "--task lamp-4" in caught.value.hint
    assert "lamp-4" in read(tmp_path, files, "task=LaMP_4").notes[0]
    with pytest.raises(EngineError, match="no task named 'lamp-9'"):
        read(tmp_path, files, "task=lamp-9")


def test_lamp_qa_is_known_and_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="is LaMP-QA: it holds questions .* but no answers"):
        read(tmp_path, layouts.lamp_qa())


def test_personamem_hears_no_more_than_the_first_question_did(tmp_path: Path) -> None:
    imported = read(tmp_path, layouts.personamem())
    own = texts(imported, "0")
    assert len(own) == 5 + 2  # of six sessions the first question had heard five
    assert own[-1] == (
        f"{said(0, 7)[0]}\n\nAnswer with one of these options: ['(a) bread', '(b) tides', '(c)"
        " moss', '(d) chess']",
        "(b)",
    )
    assert imported.places["0/query-0-1"] == "test"


# --- however a file is packed, encoded and named


def _rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in layouts.openai()["chats.jsonl"].splitlines()]


def _cells() -> list[dict[str, Any]]:
    """Rows for parquet, which holds no list of text and objects: the turns as JSON."""
    return [{**row, "messages": json.dumps(row["messages"])} for row in _rows()]


def _zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("inner/chats.jsonl.gz", gzip.compress(layouts.openai()["chats.jsonl"]))
    return held.getvalue()


_LINES = layouts.openai()["chats.jsonl"]
_TEXT = _LINES.decode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chats.jsonl", _LINES),
        ("CHATS.JSONL", _LINES),
        ("chats.ndjson", _LINES),
        ("chats.jsonl.gz", gzip.compress(_LINES)),
        ("chats.jsonl", gzip.compress(_LINES)),
        ("chats.jsonl", codecs.BOM_UTF8 + _LINES),
        ("chats.jsonl", _TEXT.replace("\n", "\r\n").encode()),
        ("chats.jsonl", _TEXT.encode("utf-16")),
        ("chats.jsonl", codecs.BOM_UTF16_BE + _TEXT.encode("utf-16-be")),
        ("chats.jsonl.gz", gzip.compress(_TEXT.encode("utf-16"))),
        ("chats.json", json.dumps(_rows()).encode()),
        ("chats.json", json.dumps(_rows(), indent=2).encode()),
        ("chats.JSON", json.dumps({"version": 1, "data": _rows()}).encode()),
        ("chats.json", json.dumps({"a": "x" * 70_000, "data": _rows()}).encode()),
        ("chats.json", _LINES),
        ("chats.ndjson", _LINES.replace(b"{", b'{"pad": "' + b"x" * 70_000 + b'", ', 1)),
        ("chats.csv", layouts.table(_rows())),
        ("chats.CSV", codecs.BOM_UTF8 + layouts.table(_rows())),
        ("chats.csv", layouts.table(_rows()).decode().encode("utf-16")),
        ("chats.tsv", layouts.table(_rows(), delimiter="\t")),
        ("chats.csv.gz", gzip.compress(layouts.table(_rows(), delimiter=";"))),
        ("chats.parquet", layouts.parquet(_cells())),
        ("chats.data", layouts.parquet(_cells())),
        ("chats.zip", _zipped()),
        ("chats.ZIP", _zipped()),
    ],
)
def test_the_same_rows_are_the_same_data(ws: Workspace, tmp_path: Path, name: str, content: bytes) -> None:
    plain = prepare(Workspace(tmp_path / "plain"), dataset=written(tmp_path / "a", layouts.openai()))
    path = written(tmp_path / "b", {name: content}) / name
    assert prepare(ws, dataset=path)["data_hash"] == plain["data_hash"]
    if not name.endswith(".data"):
        upload = Workspace(tmp_path / "upload")
        assert prepare_upload(upload, {name: content})["data_hash"] == plain["data_hash"]
    if not name.lower().endswith((".data", ".zip")):
        folder = Workspace(tmp_path / "folder")
        assert prepare(folder, dataset=path.parent)["data_hash"] == plain["data_hash"]


def test_an_encoding_without_a_mark_is_named(ws: Workspace, tmp_path: Path) -> None:
    content = _TEXT.replace("matter", "zähl\xe9n".replace("\xe9", "e")).encode()
    rows = json.loads("[" + content.decode().strip().replace("\n", ",") + "]")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("cp1252")
    path = written(tmp_path / "c", {"chats.jsonl": lines}) / "chats.jsonl"
    with pytest.raises(EngineError, match="faults") as unread:
        prepare(ws, dataset=path)
    assert "--map encoding=cp1252" in unread.value.hint
    prepare(ws, dataset=path, map="encoding=cp1252")
    assert "zählen" in load_dataset(ws).dialogues[0].messages[-1].text
    with pytest.raises(EngineError, match="no encoding 'klingon'"):
        prepare(ws, dataset=path, map="encoding=klingon")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", b"[", "not valid JSON: the array is not closed after row"),
        ("a.json", b"[]", "the list is empty"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"user,user\n1,2\n", "several columns are named 'user'"),
        ("a.csv", b"a,b\n", "no row below the names of the columns"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00broken", "damaged gzip"),
        ("a.parquet", b"PAR1 and no more", "not parquet that can be read"),
        ("a.tsv", b"a\tb\n\xff\xfe\tx\n", "not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_whole_file_is_said(
    ws: Workspace, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = written(tmp_path / "d", {name: content}) / name
    with pytest.raises(EngineError) as caught:
        prepare(ws, dataset=path, map="user=user,input=a,output=b")
    assert words in str(caught.value)
    assert not ws.root.exists()


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (
            lambda row: row.update(user_id=None),
            "chats.jsonl:9: user_id: must be text or a whole number, is missing",
        ),
        (
            lambda row: row.update(messages="Hi"),
            "chats.jsonl:9: messages: is text, and not the JSON of a list",
        ),
        (lambda row: row.update(messages=[]), "chats.jsonl:9: messages: empty"),
        (
            lambda row: row["messages"][1].update(role="cat"),
            "chats.jsonl:9: messages[1].role: 'cat' is not one of",
        ),
        (
            lambda row: row["messages"][4].update(content=5),
            "chats.jsonl:9: messages[4].content: must be text, is a",
        ),
        (lambda row: row["messages"].append(1), "chats.jsonl:9: messages[5]: must be an object, is a number"),
    ],
)
def test_a_fault_is_named_by_row_and_column(
    ws: Workspace, tmp_path: Path, edit: Callable[[dict[str, Any]], Any], fault: str
) -> None:
    rows = _rows()
    edit(rows[8])
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    path = written(tmp_path / "e", {"chats.jsonl": lines}) / "chats.jsonl"
    with pytest.raises(EngineError) as caught:
        prepare(ws, dataset=path)
    assert fault in str(caught.value)
    assert not ws.root.exists()
    card = prepare(ws, dataset=path, keep_good=True)
    whole = "messages[" in fault
    assert card["counts"]["dialogues"] == PEOPLE * SESSIONS - (not whole)


@pytest.mark.parametrize("turn", [None, "", "  ", "\u200b\ufeff", []])
def test_an_empty_reply_costs_no_dialogue(tmp_path: Path, turn: Any) -> None:
    rows = _rows()
    rows[0]["messages"] += [{"role": "user", "content": "And?"}, {"role": "assistant", "content": turn}]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    imported = read(tmp_path, {"chats.jsonl": lines})
    assert imported.faults == ()
    assert imported.counts["empty"] == 1
    assert len(imported.dataset.dialogues) == PEOPLE * SESSIONS
    assert any("1 turn without words left out" in note for note in imported.notes)
