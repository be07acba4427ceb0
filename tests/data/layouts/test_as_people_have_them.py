"""Files as people's programs leave them: whose each dialogue is, and that nothing is lost without a word."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.data import load_dataset, prepare
from engine.data.assemble import Imported
from engine.data.mapping import read_mapping
from engine.data.sources import Source, read_source
from tools import layouts

PEOPLE, TALKS = ("ann", "bo", "cy"), 6
Row = dict[str, Any]


def turns(**agent: str) -> list[Row]:
    """A turn a row; every person numbers her dialogues from 1. `agent` is what the replies' rows hold."""
    return [
        {"user_id": who, "session_id": number, "role": role, "text": f"{role} {number} {who}",
         "time": f"2024-01-{number:02d} 10:0{place}", **(agent if place else {})}
        for who in PEOPLE for number in range(1, TALKS + 1)
        for place, role in enumerate(("user", "assistant"))
    ]  # fmt: skip


def table(rows: Sequence[Row], *, delimiter: str = ",", newline: str = "\r\n") -> str:
    text = io.StringIO()
    out = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator=newline)
    out.writeheader()
    out.writerows(rows)
    return text.getvalue()


def chats() -> list[Row]:
    return [
        {"user_id": who, "conversation_id": f"session_{number}",
         "messages": [{"role": "user", "content": f"q {number} {who}"},
                      {"role": "assistant", "content": "a"}]}
        for who in PEOPLE for number in range(1, TALKS + 1)
    ]  # fmt: skip


def tarred(text: str) -> bytes:
    packed, content = io.BytesIO(), text.encode()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("chats.jsonl")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def lines(rows: Sequence[Any], end: str = "\n") -> str:
    return "".join(f"{json.dumps(row)}{end}" for row in rows)


def read(path: Path, mapping: str = "") -> Imported:
    return read_source(Source("here", path), read_mapping(mapping))


def whose(imported: Imported) -> dict[str, int]:
    """How many dialogues each has; what was said in them is hers alone."""
    found: dict[str, int] = {}
    for row in imported.dataset.dialogues:
        found[row.persona_id] = found.get(row.persona_id, 0) + 1
        assert all(row.persona_id in one.text for one in row.messages if one.role == "user")
        assert [one.role for one in row.messages] == ["user", "assistant"]
    return found


ALL = dict.fromkeys(PEOPLE, TALKS)
WHOLE = [{**row, "session_id": f"{row['user_id']}-{row['session_id']}"} for row in turns()]


@pytest.mark.parametrize("order", [1, -1])
def test_dialogues_numbered_within_each_person_are_not_put_together(tmp_path: Path, order: int) -> None:
    path = tmp_path / "turns.csv"
    path.write_text(table(turns()[::order]), "utf-8")
    assert whose(read(path)) == ALL


@pytest.mark.parametrize("agent", ["", "agent 7"])
def test_where_a_turn_names_nobody_of_several_people_it_is_a_fault(tmp_path: Path, agent: str) -> None:
    path = tmp_path / "turns.csv"
    path.write_text(table(turns(user_id=agent)), "utf-8")
    faults = read(path).faults
    assert len(faults) == TALKS
    assert "is a dialogue of several people ('ann', 'bo', 'cy')" in str(faults[0])
    assert str(faults[0]).startswith("turns.csv:3")
    named = [
        {**row, "session_id": f"{row['text'].split()[-1]}-{row['session_id']}"}
        for row in turns(user_id=agent)
    ]
    path.write_text(table(named), "utf-8")
    assert whose(read(path)) == ALL


def in_parts(row: Row) -> Row:
    said = [{**one, "content": {"type": "text", "text": one["content"]}} for one in row["messages"]]
    return {**row, "messages": said}


def with_a_profile(place: int, row: Row) -> Row:
    asked = row["messages"][0]["content"]
    return {"user_id": row["user_id"], "id": place, "input": asked, "output": "a", "profile": "likes cats"}


def feather(rows: Sequence[Row]) -> bytes:
    """As Feather keeps a table: a file of arrow, not a stream."""
    import pyarrow
    from pyarrow import ipc

    held, kept = pyarrow.Table.from_pylist(rows), io.BytesIO()
    with ipc.new_file(kept, held.schema) as out:
        out.write_table(held)
    return kept.getvalue()


def spoken(row: Row, *, first: str = "Human", second: str = "Assistant", mark: str = "\n\n") -> Row:
    """As Anthropic's and Guanaco's sets hold a dialogue: one text."""
    asked, answered = (one["content"] for one in row["messages"])
    return {"user_id": row["user_id"], "chosen": f"{mark}{first}: {asked}{mark}{second}: {answered}"}


def pairs(**more: Any) -> list[Row]:
    return [
        {"user_id": row["user_id"], **more, "prompt": row["messages"][0]["content"], "response": "a, b\nc; d"}
        for row in chats()
    ]


def in_a_tree() -> list[Row]:
    """As Open Assistant keeps dialogues: several replies to one turn, of which one is followed."""
    return [
        {"user_id": who if parent is None else agent, "role": role, "text": f"{role} {number} {who}",
         "message_id": f"{who}{number}{own}", "parent_id": parent and f"{who}{number}{parent}", "rank": rank}
        for who in PEOPLE for number in range(TALKS)
        for own, parent, rank, role, agent in (
            ("b", "a", 1, "assistant", "x"), ("a", None, None, "prompter", ""),
            ("c", "a", 0, "assistant", "y"), ("d", "c", 0, "prompter", "z"),
        )
    ]  # fmt: skip


WITH_PICTURES = [
    {**row, "picture": b"\x89PNG\x00", "labels": {"a": b"\xff"}, "user_id": row["user_id"].encode()}
    for row in chats()
]

WRITTEN = {
    "texts.jsonl": lines(
        [{"user": row["user_id"], "dialog": [one["content"] for one in row["messages"]]} for row in chats()]
    ).encode(),
    "tree.jsonl": lines(in_a_tree()).encode(),
    "preferred.jsonl": lines(
        [
            {
                "user_id": row["user_id"],
                "prompt": row["messages"][:1],
                "chosen": row["messages"][1:],
                "rejected": row["messages"][1:],
            }
            for row in chats()
        ]
    ).encode(),
    "responses.jsonl": lines(
        [
            {
                "user_id": row["user_id"],
                "input": row["messages"][:1],
                "output": [{"type": "reasoning", "summary": []}, {"type": "message", **row["messages"][1]}],
            }
            for row in chats()
        ]
    ).encode(),
    "noted.arrow": layouts.arrow(chats()),
    "feather.arrow": feather(chats()),
    "pictures.parquet": layouts.parquet(WITH_PICTURES),
    "anthropic.jsonl": lines([spoken(row) for row in chats()]).encode(),
    "guanaco.jsonl": lines([spoken(row, mark="### ") for row in chats()]).encode(),
    "unmarked.csv": table(WHOLE).encode("utf-16-le"),
    "unmarked.json": json.dumps(chats()).encode("utf-16-be"),
    "pandas.csv": table([{**row, "messages": str(row["messages"])} for row in chats()]).encode(),
    "wrapped.json": json.dumps({"version": 1, "meta": {"of": "me"}, "data": chats()}).encode(),
    "nested.jsonl": lines(
        [{**row, "user_id": None, "user": {"id": row["user_id"]}} for row in chats()]
    ).encode(),
    "numbered.csv": table(
        sorted(
            ({**row, "time": "", "turn": place % 2} for place, row in enumerate(WHOLE)),
            key=lambda row: -row["turn"],
        )
    ).encode(),
    "names, with commas.csv": table(pairs(**{"at, in UTC, of day, or so": 1}), delimiter=";").encode(),
    "sep.csv": ("sep=;\r\n" + table(WHOLE, delimiter=";")).encode(),
    "unicode.txt": table(WHOLE, delimiter="\t").encode("utf-16"),
    "mac.csv": table(WHOLE, newline="\r").encode(),
    "commas.jsonl": lines(chats(), ",\n").encode(),
    "parts.jsonl": lines([in_parts(row) for row in chats()]).encode(),
    "profile.jsonl": lines([with_a_profile(*pair) for pair in enumerate(chats())]).encode(),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_programs_write_is_read_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(WRITTEN[name])
    imported = read(path)
    assert imported.faults == ()
    assert whose(imported) == ALL


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("wide.csv", b"a\x00b,c\r\n", "--map encoding=cp1252, or utf-16-le"),
        (
            "open.csv",
            table(pairs()).encode() + b'ann,"open\r\nbo,b,c\r\n',
            "a quote that opens in this row",
        ),
        ("torn.arrow", layouts.arrow(chats())[:200], "not arrow that can be read"),
        ("led-out.arrow", layouts.arrow(chats())[:-300] + bytes([255]) * 300, "not arrow that can be read"),
        ("packed.jsonl.bz2", b"BZh91AY&SY", "packed with bzip2; unpack it"),
        ("packed.parquet.gz", gzip.compress(layouts.parquet(chats())), "packed once more, as .gz; unpack it"),
        ("tickets.db", b"SQLite format 3\x00", "a database of SQLite; save the table"),
        ("dev_outputs.json", layouts.lamp()["dev_outputs.json"], "holds answers alone"),
        ("book.xlsx", b"PK\x03\x04" + bytes(60), "a zip or an Excel workbook; save it as CSV"),
        ("chats.tar.gz", gzip.compress(tarred(lines(chats()))), "a tar archive; unpack it"),
        ("pretty.jsonl", json.dumps(chats()[0], indent=1).encode(), "this begins one of several"),
    ],
)
def test_what_cannot_be_read_says_what_it_is(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    try:
        told = " ".join(map(str, read(path).faults))
    except EngineError as error:
        told = error.message
    assert words in told


def test_a_split_is_honoured_or_said(ws: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "split.csv"

    def given(split_of: Callable[[Row], str]) -> Path:
        path.write_text(table([{**row, "split": split_of(row)} for row in WHOLE]), "utf-8")
        return path

    found = read(given(lambda row: "train" if row["time"] < "2024-01-05" else "held out"))
    assert "split: 'held out' is not one of train, val, test" in str(found.faults[0])
    found = read(given(lambda row: "train" if row["role"] == "user" else "test"))
    assert "split: the dialogue ann-1 is in test and train" in str(found.faults[0])
    card = prepare(ws, dataset=given(lambda row: "test" if row["time"] > "2024-01-06" else ""))
    assert card["counts"]["examples_by_split"]["test"] == len(PEOPLE)  # what names none is train
    assert "The split is the one given in the data." in card["notes"]


def test_parts_of_one_dataset_are_put_together_and_others_never(tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "conversation_id"} for row in chats()]
    for split, part in (("train", rows[:12]), ("test", rows[12:])):  # as the hub converts to parquet
        (tmp_path / "hub" / "default" / split).mkdir(parents=True)
        (tmp_path / "hub" / "default" / split / "0000.jsonl").write_text(lines(part))
    imported = read(tmp_path / "hub")
    assert imported.faults == ()
    assert whose(imported) == ALL
    assert set(imported.places.values()) == {"train", "test"}
    (tmp_path / "parts").mkdir()
    for number, part in enumerate((rows[:9], rows[9:])):
        (tmp_path / "parts" / f"part-{number}.jsonl").write_text(lines(part))
    assert whose(read(tmp_path / "parts")) == ALL
    for task in ("LaMP_1", "LaMP_4"):
        (tmp_path / "tasks" / task).mkdir(parents=True)
        (tmp_path / "tasks" / task / "dev_questions.json").write_bytes(layouts.lamp()["dev_questions.json"])
    with pytest.raises(EngineError, match=r"holds several datasets: LaMP_1/dev_questions\.json"):
        read(tmp_path / "tasks")


def test_packed_deep_within_an_archive(ws: Workspace, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        archive.writestr("sent/by/mail/CHATS.JSONL.GZ", gzip.compress(lines(chats()).encode()))
    prepare(ws, dataset=tmp_path / "sent.zip")
    assert len(load_dataset(ws).dialogues) == len(PEOPLE) * TALKS


def test_what_an_archive_or_a_folder_holds_instead_is_named(ws: Workspace, tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("chats.jsonl", lines(chats()))
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("sent/inner.zip", inner.getvalue())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner.zip").write_bytes(inner.getvalue())
    for name in ("outer.zip", "folder"):
        with pytest.raises(EngineError, match=r"inner\.zip") as caught:
            prepare(ws, dataset=tmp_path / name)
        assert "inner.zip" in caught.value.hint
    assert not ws.root.exists()


def test_a_dataset_kept_on_disk_is_its_splits(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for split, rows in (("train", chats()[:12]), ("test", chats()[12:])):
        (tmp_path / split).mkdir()
        (tmp_path / split / "data-00000-of-00001.arrow").write_bytes(layouts.arrow(rows))
        (tmp_path / split / "cache-1f2e.arrow").write_bytes(layouts.arrow(rows))
        (tmp_path / split / "state.json").write_text(
            '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}'
        )
        (tmp_path / split / "dataset_info.json").write_text('{"features": {}}')
    imported = read(tmp_path)
    assert imported.faults == ()
    assert whose(imported) == ALL
    assert set(imported.places.values()) == {"train", "test"}


def test_a_column_that_begins_late_is_what_it_is(tmp_path: Path) -> None:
    rows = chats() * 9
    rows = [{**row, "conversation_id": f"s{place}"} for place, row in enumerate(rows)]
    early = [{key: None if key == "user_id" else value for key, value in row.items()} for row in rows[:30]]
    late = [{**row, "split": "test", "created_at": "2024-01-01"} for row in rows[120:]]
    path = tmp_path / "chats.jsonl"
    path.write_text(lines([*early, *rows[30:120], *late]))
    imported = read(path)
    assert len(imported.faults) == 30
    assert "chats.jsonl:1: user_id: must be text or a whole number, is missing" in str(imported.faults[0])
    assert set(imported.places.values()) == {"test"}
    assert imported.mapping["time"] == "created_at"


@pytest.mark.parametrize(
    ("agent", "mapping"),
    [
        ({}, "assistant=*"),
        ({"speaker": "Kim"}, "assistant=Zoe+Kim"),
        ({"speaker": "Kim+Zoe"}, "assistant=Kim+Zoe"),
        ({"speaker": False}, "assistant=False"),
    ],
)
def test_whoever_answers_is_told_from_her_who_asks(tmp_path: Path, agent: Row, mapping: str) -> None:
    rows = [
        {"who": row["user_id"], "ticket": row["session_id"], "body": row["text"],
         "speaker": row["user_id"] if place % 2 == 0 else agent.get("speaker", f"agent {place % 7}")}
        for place, row in enumerate(WHOLE)
    ]  # fmt: skip
    path = tmp_path / "tickets.jsonl"
    path.write_text(lines(rows))
    found = read(path, f"user=who,session=ticket,role=speaker,text=body,{mapping}")
    assert (found.faults, whose(found)) == ((), ALL)


def test_turns_that_only_quote_one_another_are_no_tree(tmp_path: Path) -> None:
    turned = [{**row, "time": "", "turn": -place, "parent_id": "T1"} for place, row in enumerate(WHOLE[::-1])]
    (tmp_path / "turned.jsonl").write_text(lines(turned))  # a parent that is no turn says nothing of them
    assert whose(read(tmp_path / "turned.jsonl")) == ALL
    rows = [{**row, "id": place, "reply_to": 0 if place == 3 else None} for place, row in enumerate(WHOLE)]
    path = tmp_path / "chat.jsonl"
    path.write_text(lines(rows))
    assert whose(read(path)) == ALL
    for row in rows:
        del row["session_id"]
    path.write_text(lines(rows))
    assert len(read(path, "turn=id,parent=reply_to").dataset.dialogues) < len(rows)  # each begins its own


@pytest.mark.parametrize("written", ["1.15792E+18", 1.15792e18])
def test_a_rounded_number_names_nobody(tmp_path: Path, written: Any) -> None:
    path = tmp_path / "rounded.jsonl"
    path.write_text(lines([{**row, "user_id": written} for row in chats()]))
    assert "was rounded, and may stand for several" in str(read(path).faults[0])


@pytest.mark.parametrize("written", [1.0, "1.0"])
def test_a_number_among_which_one_is_missing_names_one_person(tmp_path: Path, written: Any) -> None:
    path = tmp_path / "pairs.jsonl"
    named = {"ann": written, "bo": 1, "cy": "nan"}
    path.write_text(lines([{**row, "user_id": named[row["user_id"]]} for row in pairs()]))
    imported = read(path)
    assert [one.persona_id for one in imported.dataset.personas] == ["1"]
    assert len(imported.faults) == TALKS
    assert "'nan' is what programs write where nothing stands" in str(imported.faults[0])


def test_what_nobody_said_and_no_date_is_said(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(lines([{**row, "created_at": "3. tammikuuta 2024"} for row in chats()]))
    with pytest.raises(EngineError, match=r"no speaker named 'agnt' \(--map assistant=agnt\)") as caught:
        read(path, "assistant=agnt")
    assert "assistant, user" in caught.value.hint
    assert any("18 dates cannot be read, first '3. tammikuuta 2024'" in note for note in read(path).notes)


def lamp(folder: Path, change: Callable[[int, Row], Row], *, packed: bool = False) -> Imported:
    files = layouts.lamp()
    rows = json.loads(files["dev_questions.json"])
    for row in rows:
        row["profile"] = [change(place, item) for place, item in enumerate(row["profile"])]
    folder.mkdir()
    (folder / "dev_questions.json").write_text(json.dumps(rows))
    golds = files["dev_outputs.json"]
    if packed:
        (folder / "dev_outputs.json.gz").write_bytes(gzip.compress(golds.decode().encode("utf-16")))
    else:
        (folder / "dev_outputs.json").write_bytes(golds)
    return read(folder)


def test_items_of_a_history_are_told_apart_by_more_than_their_ids(tmp_path: Path) -> None:
    plain = len(lamp(tmp_path / "plain", lambda _, item: item).dataset.dialogues)
    changes: dict[str, Callable[[int, Row], Row]] = {
        "null": lambda _, item: {**item, "id": None},
        "again": lambda place, item: {**item, "id": place % 2},
    }
    for name, change in changes.items():
        assert len(lamp(tmp_path / name, change).dataset.dialogues) == plain
    assert len(lamp(tmp_path / "packed", lambda _, item: item, packed=True).places) == plain


def test_answers_and_histories_that_do_not_belong_are_said(tmp_path: Path) -> None:
    files = layouts.lamp()
    path, answers = tmp_path / "dev_questions.json", tmp_path / "dev_outputs.jsonl"
    rows = json.loads(files["dev_questions.json"])
    path.write_text(
        json.dumps([{**row, "profile": None} if place > 1 else row for place, row in enumerate(rows)])
    )
    golds = json.loads(files["dev_outputs.json"])["golds"]
    answers.write_text(lines(golds))
    imported = read(path)
    assert imported.faults == ()
    assert sum("/query-" in one.dialogue_id for one in imported.dataset.dialogues) == len(rows)
    with pytest.raises(EngineError, match=r"no history item has what lamp-3 .* \(text, score\)") as caught:
        read(path, "task=lamp-3")
    assert "--task lamp-4" in caught.value.hint
    answers.write_text(lines([{**gold, "id": f"other-{gold['id']}"} for gold in golds]))
    assert "answers no query of dev_questions.json" in str(read(path).faults[0])


def test_dates_of_reviews_and_ratings_of_any_type(tmp_path: Path) -> None:
    asked = "What is the score of the following review on a scale of 1 to 5? review: {}"
    scores = (5, 5.0, "5", "5.0")
    rows = [
        {"user_id": who, "id": who, "input": asked.format(who), "output": scores[place],
         "profile": [{"text": f"r{n}", "score": scores[n % 4], "unixReviewTime": 1_400_000_000 - 10**5 * n}
                     for n in range(8)]}
        for place, who in enumerate(PEOPLE)
    ]  # fmt: skip
    (tmp_path / "dev_questions.json").write_text(json.dumps(rows))
    imported = read(tmp_path / "dev_questions.json")
    assert imported.order.by == "dates"
    own = [row for row in imported.dataset.dialogues if row.persona_id == "ann"]
    assert [row.messages[0].text[-2:] for row in own] == [f"r{n}" for n in reversed(range(8))] + ["nn"]
    assert {row.messages[1].text for row in imported.dataset.dialogues} == {"5"}


def test_summaries_that_may_be_of_other_people_are_not_taken(tmp_path: Path) -> None:
    files = layouts.oppu()
    profiles = next(name for name in files if name.startswith("profile_user"))
    files[profiles] = json.dumps(json.loads(files[profiles])[1:]).encode()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    imported = read(tmp_path)
    assert "3 people's summaries beside it, in the order of 4 people" in str(imported.faults[0])
    assert all(one.character is None for one in imported.dataset.personas)


def test_a_mark_of_the_chosen_reply_that_went_through_a_table_is_one(tmp_path: Path) -> None:
    held = layouts.prism()["conversations.jsonl"]
    found = []
    for place, mark in enumerate((b"true", b"1", b'"True"')):
        path = tmp_path / f"{place}.jsonl"
        path.write_bytes(held.replace(b'"if_chosen": true', b'"if_chosen": ' + mark))
        found.append(read(path).dataset)
    assert found[0] == found[1] == found[2]


def test_a_survey_names_people_as_the_conversations_do(tmp_path: Path) -> None:
    files = layouts.prism()
    survey = [json.loads(line) for line in files["survey.jsonl"].splitlines()]
    files["survey.jsonl"] = lines([{**row, "user_id": f" {row['user_id']} "} for row in survey]).encode()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert sum(one.character is not None for one in read(tmp_path).dataset.personas) == len(survey)


@pytest.mark.parametrize("named", [{}, {"conversation_id": "one"}])
def test_a_log_that_holds_a_dialogue_anew_at_each_turn_is_of_whole_dialogues(
    tmp_path: Path, named: Row
) -> None:
    said = [
        {"role": role, "content": f"{role} {place}"} for place in range(3) for role in ("user", "assistant")
    ]
    grown = [{"user_id": who, **named, "messages": said[:end]} for who in PEOPLE for end in (1, 2, 4, 6)]
    other = {
        "user_id": "ann",
        **dict.fromkeys(named, "two"),
        "messages": [*said[:3], {**said[3], "content": "?"}],
    }
    path = tmp_path / "log.jsonl"
    path.write_text(lines([*grown, other]))
    imported = read(path)
    assert imported.faults == ()
    assert [len(row.messages) for row in imported.dataset.dialogues] == [6, 4, 6, 6]
    assert "9 dialogues that another of the same person begins with" in " ".join(imported.notes)


def test_a_beginning_that_the_data_puts_into_another_split_stays(tmp_path: Path) -> None:
    said = chats()[0]["messages"] * 2
    rows = [{"user_id": who, "messages": said[:end], "split": split}
            for who in PEOPLE for end, split in ((2, "train"), (4, "test"))]  # fmt: skip
    (tmp_path / "log.jsonl").write_text(lines(rows))
    assert len(read(tmp_path / "log.jsonl").dataset.dialogues) == 2 * len(PEOPLE)


@pytest.mark.parametrize("most", [4, 5, 6])
@pytest.mark.parametrize("step", [1, 2])
def test_a_log_of_the_last_turns_is_of_whole_dialogues(tmp_path: Path, most: int, step: int) -> None:
    told = {"role": "system", "content": "Be kind."}
    logs = [
        [
            {"role": role, "content": f"{role} {place} of {one}"}
            for place in range(6)
            for role in ("user", "assistant")
        ]
        for one in "ab"
    ]
    rows = [
        {"user_id": who, "messages": [told, *said[max(0, end - most) : end]]}
        for who in PEOPLE
        for end in range(2, 13, step)
        for said in logs  # two dialogues at once
    ]
    (tmp_path / "log.jsonl").write_text(lines(rows))
    imported = read(tmp_path / "log.jsonl")
    assert [len(row.messages) for row in imported.dataset.dialogues] == [13] * 2 * len(PEOPLE)
    assert "go on from them, joined to it" in " ".join(imported.notes)


def test_what_begins_as_another_ended_is_a_dialogue_of_its_own(tmp_path: Path) -> None:
    said = chats()[0]["messages"]
    rows = [{**row, "messages": [*row["messages"], *said]} for row in chats()]
    again = {**rows[0], "conversation_id": "again", "messages": [*said, *rows[1]["messages"][:2]]}
    (tmp_path / "chats.jsonl").write_text(lines([*rows, again]))
    assert len(read(tmp_path / "chats.jsonl").dataset.dialogues) == len(rows) + 1


@pytest.mark.parametrize(
    ("other", "shown"), [("Ann", "'Ann' and 'ann'"), ("ann\u200b", r"'ann' and 'ann\u200b'"), ("anne", "")]
)
def test_ids_that_look_alike_are_kept_apart_and_named(tmp_path: Path, other: str, shown: str) -> None:
    more = [{**row, "user_id": other} for row in chats() if row["user_id"] == "ann"]
    (tmp_path / "chats.jsonl").write_text(lines([*chats(), *more]))
    imported = read(tmp_path / "chats.jsonl")
    assert len(imported.dataset.personas) == len(PEOPLE) + 1
    told = f"2 personas whose ids look alike are kept apart, first {shown}."
    assert (told in imported.notes) == bool(shown), imported.notes


def test_sentences_about_a_person_are_her_character(tmp_path: Path) -> None:
    about = {"personality": ["I sing.", "I have a dog."]}
    (tmp_path / "chats.jsonl").write_text(lines([{**row, **about} for row in chats()]))
    (tmp_path / "own.jsonl").write_text(lines([
        {"persona_id": row["user_id"], "session_id": row["conversation_id"], "messages": row["messages"],
         "character": about["personality"]}
        for row in chats()
    ]))  # fmt: skip
    for name in ("chats.jsonl", "own.jsonl"):
        people = read(tmp_path / name).dataset.personas
        assert {one.character for one in people} == {"I sing.\nI have a dog."}


def test_a_folder_for_each_person_and_a_file_for_each_dialogue(tmp_path: Path) -> None:
    for row in chats():
        path = tmp_path / "all" / row["user_id"] / f"{row['conversation_id']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row["messages"]))
    with pytest.raises(EngineError, match="several datasets") as caught:
        read(tmp_path / "all")
    assert caught.value.hint.endswith("--map user=_folder,session=_file")
    imported = read(tmp_path / "all", "user=_folder,session=_file")
    assert (whose(imported), imported.order.by) == (ALL, "numbered ids")


def test_a_file_for_each_person(tmp_path: Path) -> None:
    for who in PEOPLE:
        (tmp_path / f"{who}.csv").write_text(table([row for row in turns() if row.pop("user_id") == who]))
    assert whose(read(tmp_path, "user=_file")) == ALL
