"""EdgeWisePersona's layout: three aligned files, one user a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.data.layouts.edgewise import persona_name, read_edgewise

Rewrite = Callable[[Path, Callable[[list[dict[str, Any]]], Any]], None]


def told(folder: Path) -> list[str]:
    return [str(fault) for fault in read_edgewise(folder).faults]


def test_users_become_personas_in_the_order_of_their_lines(edgewise: Path) -> None:
    imported = read_edgewise(edgewise)
    assert imported.faults == ()
    assert [persona.persona_id for persona in imported.dataset.personas][:2] == ["persona_000", "persona_001"]
    assert imported.dataset.personas[3].character == "Guest 3 likes fog."
    assert imported.dataset.personas[3].routines[0]["actions"] == {"lights": {"brightness": 13}}
    first = imported.dataset.dialogues[0]
    assert (first.persona_id, first.dialogue_id, first.order) == ("persona_000", "persona_000/0000", 0)
    assert first.meta["weather"] == "fog"
    assert [message.role for message in first.messages] == ["user", "assistant"] * 2
    assert len(imported.dataset.dialogues) == 60


def test_ids_grow_wider_beyond_a_thousand_users() -> None:
    assert (persona_name(7, 200), persona_name(999, 1000), persona_name(7, 1001)) == (
        "persona_007",
        "persona_999",
        "persona_0007",
    )


def test_characters_and_routines_are_optional(edgewise: Path) -> None:
    (edgewise / "characters.jsonl").unlink()
    (edgewise / "routines.jsonl").unlink()
    imported = read_edgewise(edgewise)
    assert imported.faults == ()
    assert {(persona.character, persona.routines) for persona in imported.dataset.personas} == {(None, ())}


def test_sessions_are_ordered_by_their_number_and_said_so(edgewise: Path, rewrite: Rewrite) -> None:
    rewrite(edgewise / "sessions.jsonl", lambda rows: rows[2]["sessions"].reverse())
    imported = read_edgewise(edgewise)
    own = [row for row in imported.dataset.dialogues if row.persona_id == "persona_002"]
    assert [row.dialogue_id for row in own] == [f"persona_002/{number:04d}" for number in range(10)]
    assert [row.order for row in own] == list(range(10))
    assert "1 persona do not stand in the order of their dates or ids" in imported.notes[0]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            lambda s: s["messages"][3].update(role="robot"),
            "sessions.jsonl:3: sessions[4].messages[3].role: 'robot' is not one of user, assistant, system",
        ),
        (
            lambda s: s["messages"][1].update(text=7),
            "sessions.jsonl:3: sessions[4].messages[1].text: must be text, is a number",
        ),
        (
            lambda s: s["messages"][0].pop("role"),
            "sessions.jsonl:3: sessions[4].messages[0].role: must be text, is missing",
        ),
        (lambda s: s.update(messages=[]), "sessions.jsonl:3: sessions[4].messages: empty"),
        (
            lambda s: s.update(messages={}),
            "sessions.jsonl:3: sessions[4].messages: must be a list, is an object",
        ),
        (
            lambda s: s["messages"].append("hi"),
            "sessions.jsonl:3: sessions[4].messages[4]: must be an object, is text",
        ),
        (
            lambda s: s.update(session_id=True),
            "sessions.jsonl:3: sessions[4].session_id: must be a whole number or text, is true/false",
        ),
        (
            lambda s: s.update(session_id=-1),
            "sessions.jsonl:3: sessions[4].session_id: must be 0 or more, is -1",
        ),
        (
            lambda s: s.update(meta=["fog"]),
            "sessions.jsonl:3: sessions[4].meta: must be an object, is a list",
        ),
        (
            lambda s: s.update(session_id=3),
            "sessions.jsonl:3: sessions[4]: the id 0003 of persona_002 was used before, in line 3",
        ),
    ],
)
def test_a_bad_session_is_named_by_its_place(
    edgewise: Path, rewrite: Rewrite, edit: Callable[[dict[str, Any]], Any], expected: str
) -> None:
    rewrite(edgewise / "sessions.jsonl", lambda rows: edit(rows[2]["sessions"][4]))
    assert told(edgewise) == [expected]
    whole = "].role" in expected or "].text" in expected or "messages[4]" in expected
    assert len(read_edgewise(edgewise).dataset.dialogues) == (60 if whole else 59)  # a turn costs no dialogue


def test_all_faults_of_all_files_are_listed_at_once(edgewise: Path, rewrite: Rewrite) -> None:
    rewrite(edgewise / "characters.jsonl", lambda rows: rows[1].update(character=5))
    rewrite(edgewise / "routines.jsonl", lambda rows: rows[0]["routines"][0].update(actions="on"))

    def spoil(rows: list[dict[str, Any]]) -> None:
        rows[0]["sessions"][0]["messages"][0]["role"] = "cat"
        rows[5]["sessions"] = "none"

    rewrite(edgewise / "sessions.jsonl", spoil)
    assert told(edgewise) == [
        "characters.jsonl:2: character: must be text, is a number",
        "routines.jsonl:1: routines[0].actions: must be an object, is text",
        "sessions.jsonl:1: sessions[0].messages[0].role: 'cat' is not one of user, assistant, system",
        "sessions.jsonl:6: sessions: must be a list, is text",
    ]


def test_a_truncated_line_costs_one_user_and_shifts_no_other(edgewise: Path) -> None:
    path = edgewise / "sessions.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1][: len(lines[1]) // 2]
    path.write_text("\n".join(lines), encoding="utf-8")
    imported = read_edgewise(edgewise)
    assert len(imported.faults) == 1
    assert str(imported.faults[0]).startswith("sessions.jsonl:2: not valid JSON")
    ids = [persona.persona_id for persona in imported.dataset.personas]
    assert ids == ["persona_000", "persona_002", "persona_003", "persona_004", "persona_005"]
    assert imported.dataset.personas[1].character == "Guest 2 likes fog."


def test_misaligned_files_are_a_fault_and_not_used(edgewise: Path, rewrite: Rewrite) -> None:
    rewrite(edgewise / "characters.jsonl", lambda rows: rows.pop(0))
    imported = read_edgewise(edgewise)
    assert [str(fault) for fault in imported.faults] == [
        "characters.jsonl: 5 lines, but sessions.jsonl has 6: line i of each file must be the same user"
    ]
    assert {persona.character for persona in imported.dataset.personas} == {None}


def test_a_persona_without_an_example_is_a_fault(
    edgewise: Path, rewrite: Rewrite, made: SimpleNamespace
) -> None:
    def silence(rows: list[dict[str, Any]]) -> None:
        for session in rows[4]["sessions"]:
            session["messages"] = [
                {"role": "assistant", "text": "Welcome."},
                {"role": "user", "text": "Hello."},
            ]
        rows[0]["sessions"][2]["messages"] = made.messages(0, 2)[:1]

    rewrite(edgewise / "sessions.jsonl", silence)
    imported = read_edgewise(edgewise)
    assert [str(fault) for fault in imported.faults] == [
        "sessions.jsonl:5: 'persona_004' has no assistant reply after a user message: it gives no example"
    ]
    assert len(imported.dataset.dialogues) == 50
    assert imported.notes == ("11 dialogues without a reply after a user message: no example.",)


def test_an_empty_or_binary_file_has_one_fault(edgewise: Path) -> None:
    (edgewise / "sessions.jsonl").write_bytes(b"")
    assert told(edgewise) == ["sessions.jsonl: the file is empty"]
    (edgewise / "sessions.jsonl").write_bytes(b"\x1f\x8b\x08\x00\x00\x00")
    assert told(edgewise) == [
        "sessions.jsonl: a damaged gzip: Compressed file ended before the end-of-stream marker was reached"
    ]


def test_message_texts_may_be_called_content_and_are_stripped(edgewise: Path, rewrite: Rewrite) -> None:
    def rename(rows: list[dict[str, Any]]) -> None:
        message = rows[0]["sessions"][0]["messages"][0]
        message.update(role="User", content=f" {message.pop('text')}\n")

    before = read_edgewise(edgewise).dataset
    rewrite(edgewise / "sessions.jsonl", rename)
    assert (
        "content" in json.loads((edgewise / "sessions.jsonl").open().readline())["sessions"][0]["messages"][0]
    )
    assert read_edgewise(edgewise).dataset == before
