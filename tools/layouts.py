"""Small made-up files in every layout that is read, written as the real sets are: for tests, docs and a first
try.

Owns the shapes alone: three to six people, no row of any real set. Each layout's files go into a folder of
its name.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

PEOPLE, SESSIONS = 4, 6
_START = datetime(2024, 3, 1, 9, 30)
_TOPICS = ("bread", "bicycles", "tides", "chess", "moss", "lanterns")
Rows = list[dict[str, Any]]
Files = dict[str, bytes]


def said(person: int, session: int) -> tuple[str, str]:
    """Return what a person asks in a session, and what she is answered."""
    topic = _TOPICS[session % len(_TOPICS)]
    return (
        f"Person {person} asks about {topic} on visit {session}.",
        f"To person {person}: {topic} matter {session + 1} times, I think.",
    )


def day(session: int) -> datetime:
    """Return when a session took place."""
    return _START + timedelta(days=13 * session)


def openai() -> Files:
    """Messages with parts, tool calls without words, a developer's turn, and a column of users; newest
    first.
    """
    rows = []
    for person in range(PEOPLE):
        for session in reversed(range(SESSIONS)):
            asked, answered = said(person, session)
            rows.append(
                {
                    "user_id": f"u{person}",
                    "conversation_id": f"chat-{session}",
                    "created_at": day(session).isoformat() + "Z",
                    "messages": [
                        {"role": "developer", "content": "Be brief."},
                        {"role": "user", "content": [{"type": "text", "text": asked}, {"type": "image_url"}]},
                        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
                        {"role": "tool", "tool_call_id": "1", "content": "{}"},
                        {"role": "assistant", "content": answered},
                    ],
                }
            )
    return {"chats.jsonl": _lines(rows)}


def sharegpt() -> Files:
    """One array of conversations of from and value, with a column of owners."""
    rows = [
        {
            "id": f"{person}_{session}",
            "owner": f"o{person}",
            "system": "You know everything.",
            "conversations": [
                {"from": "human", "value": said(person, session)[0]},
                {"from": "function_call", "value": "{}"},
                {"from": "observation", "value": "{}"},
                {"from": "gpt", "value": said(person, session)[1]},
            ],
        }
        for person in range(PEOPLE)
        for session in range(SESSIONS)
    ]
    return {"sharegpt.json": _json(rows)}


def alpaca() -> Files:
    """Instruction, input and output, with a history of pairs and a column of authors."""
    rows = [
        {
            "instruction": said(person, session)[0],
            "input": "In a few words.",
            "output": said(person, session)[1],
            "history": [["Good day.", "Good day to you."]],
            "author": f"a{person}",
        }
        for person in range(PEOPLE)
        for session in range(SESSIONS)
    ]
    return {"alpaca.json": _json(rows, indent=2)}


def prism() -> Files:
    """PRISM: several replies a turn, one of them chosen, and the survey of its people."""
    rows, survey = [], []
    for person in range(PEOPLE):
        survey.append(
            {"user_id": f"user{person}", "self_description": f"Likes {_TOPICS[person]}.", "age": "25-34"}
        )
        for session in range(SESSIONS):
            asked, answered = said(person, session)
            turns = [
                {"turn": 0, "role": "user", "content": asked},
                {
                    "turn": 0,
                    "role": "model",
                    "content": "No.",
                    "score": 3,
                    "if_chosen": False,
                    "within_turn_id": 0,
                },
                {
                    "turn": 0,
                    "role": "model",
                    "content": answered,
                    "score": 88,
                    "if_chosen": True,
                    "within_turn_id": 1,
                },
            ]
            rows.append(
                {
                    "conversation_id": f"c{person * 100 + session}",
                    "user_id": f"user{person}",
                    "conversation_type": "unguided",
                    "conversation_history": turns,
                    "performance_attributes": {"values": 80},
                    "open_feedback": "Good.",
                }
            )
    return {"conversations.jsonl": _lines(rows), "survey.jsonl": _lines(survey)}


def locomo() -> Files:
    """LoCoMo: sessions of two speakers, dated in words; the tenth stands before the second."""
    rows = []
    for talk in range(2):
        held: dict[str, Any] = {"speaker_a": "Ada", "speaker_b": "Ben"}
        for number in (1, 10, 2, 3, 4, 5):
            when = day(number)
            asked, answered = said(talk, number)
            held[f"session_{number}_date_time"] = (
                f"{when:%I:%M} {when:%p} on {when.day} {when:%B}, {when.year}".lower()
            )
            held[f"session_{number}"] = [
                {"speaker": "Ada", "dia_id": "D1:1", "text": asked},
                {"speaker": "Ben", "dia_id": "D1:2", "text": answered},
                {"speaker": "Ben", "dia_id": "D1:3", "text": "And you?"},
                {"speaker": "Ada", "dia_id": "D1:4", "text": f"I like it, {number} times."},
            ]
        rows.append({"sample_id": f"conv-{talk}", "conversation": held, "qa": []})
    return {"locomo.json": _json(rows)}


def msc() -> Files:
    """MSC: the sessions before, in which speakers take turns, and the last one."""
    rows = []
    for talk in range(3):
        before = [
            {"dialog": [{"text": text} for text in (*said(talk, number), "Well.", "Indeed.")], "personas": []}
            for number in range(4)
        ]
        own = [
            {"id": f"Speaker {place % 2 + 1}", "text": text}
            for place, text in enumerate((*said(talk, 4), "Bye.", "Bye!"))
        ]
        rows.append(
            {
                "personas": [[f"I am {talk}."], ["I have a dog.", "I sing."]],
                "dialog": own,
                "previous_dialogs": before,
                "initial_data_id": f"valid_{talk}",
            }
        )
    return {"session_5.jsonl": _lines(rows)}


def lamp() -> Files:
    """LaMP_4: questions with a profile each, and the answers beside."""
    questions, golds = [], []
    for person in range(PEOPLE):
        profile = [
            {
                "id": f"{person}{session}",
                "date": f"{day(session):%Y-%m-%d}",
                "title": said(person, session)[1],
                "text": said(person, session)[0],
            }
            for session in reversed(range(SESSIONS))
        ]
        asked, answered = said(person, SESSIONS)
        questions.append(
            {
                "id": f"{person}0",
                "input": f"Generate a headline for the following article: {asked}",
                "profile": profile,
            }
        )
        golds.append({"id": f"{person}0", "output": answered})
    return {
        "dev_questions.json": _json(questions),
        "dev_outputs.json": _json({"task": "LaMP_4", "golds": golds}),
    }


def oppu() -> Files:
    """OPPU: a person a row, with several queries, labels beside, and a summary of each."""
    rows, golds, summaries = [], [], []
    for person in range(PEOPLE):
        profile = [
            {"id": session, "text": said(person, session)[0], "score": str(1 + (person + session) % 5)}
            for session in range(SESSIONS)
        ]
        query = [
            {
                "id": f"{person}-{place}",
                "input": "What is the score of the following review on a scale of 1 to 5? just answer with 1,"
                f" 2, 3, 4, or 5 without further explanation. review: {said(person, SESSIONS + place)[0]}",
            }
            for place in range(2)
        ]
        rows.append({"user_id": person, "profile": profile, "query": query})
        golds += [{"id": one["id"], "output": str(1 + person % 5)} for one in query]
        summaries.append({"output": f"Reviewer {person} is strict."})
    return {
        "user_top_100_history.json": _json(rows),
        "user_top_100_history_label.json": _json({"task": "LaMP_3", "golds": golds}),
        "profile_user_100.json": _json(summaries),
    }


def longlamp() -> Files:
    """LongLaMP's reviews in parquet, a file for each split."""
    found: Files = {}
    for place, split in enumerate(("train", "val", "test")):
        rows = [
            {
                "reviewerId": f"R{person}",
                "input": "Generate the review text written by a reviewer."
                f" {said(person, SESSIONS + place)[0]}",
                "output": said(person, SESSIONS + place)[1],
                "profile": [
                    {
                        "overall": "5.0",
                        "summary": said(person, session)[0],
                        "description": "A lamp.",
                        "reviewText": said(person, session)[1],
                    }
                    for session in range(SESSIONS)
                ],
            }
            for person in range(PEOPLE)
        ]
        found[f"{split}-00000-of-00001.parquet"] = parquet(rows)
    return found


def lamp_qa() -> Files:
    """LaMP-QA: questions, and what a good answer speaks of."""
    rows = [
        {
            "id": f"q{person}",
            "question": said(person, 0)[0],
            "narrative": "I wonder.",
            "rubric_aspects": [{"aspect": "bread"}],
            "profile": [{"text": said(person, 1)[0]}],
        }
        for person in range(PEOPLE)
    ]
    return {"lampqa.json": _json(rows)}


def personamem() -> Files:
    """PersonaMem: questions with options, and the long chats they are asked of."""
    questions, chats = [], []
    for person in range(PEOPLE):
        turns: Rows = []
        for session in range(SESSIONS):
            asked, answered = said(person, session)
            turns += [
                {"role": "system", "content": f"Current user persona: person {person}."},
                {"role": "user", "content": f"User: {asked}"},
                {"role": "assistant", "content": f"Assistant: {answered}"},
            ]
        chats.append({f"ctx{person}": turns})
        for place in range(2):
            questions.append(
                {
                    "persona_id": person,
                    "question_id": f"{person}-{place}",
                    "question_type": "recall",
                    "topic": "tides",
                    "user_question_or_message": said(person, SESSIONS + place)[0],
                    "correct_answer": "(b)",
                    "all_options": "['(a) bread', '(b) tides', '(c) moss', '(d) chess']",
                    "shared_context_id": f"ctx{person}",
                    "end_index_in_shared_context": 15 + 3 * place,
                }
            )
    return {"questions_32k.csv": table(questions), "shared_contexts_32k.jsonl": _lines(chats)}


def tickets() -> Files:
    """Support tickets: a turn a row, newest first, with a semicolon between cells and other names for all."""
    rows = []
    for person in range(PEOPLE):
        for session in range(SESSIONS):
            asked, answered = said(person, session)
            for minute, (speaker, text) in enumerate((("customer", asked), ("Agent Smith", answered))):
                when = day(session) + timedelta(minutes=minute)
                rows.append(
                    {
                        "ticket_id": f"T{person}{session}",
                        "customer_id": f"c/{person}",
                        "created_at": f"{when:%d/%m/%Y %H:%M}",
                        "speaker": speaker,
                        "message": text,
                        "rating": 1 + session % 5,
                    }
                )
    return {"tickets.csv": table(rows[::-1], delimiter=";")}


def flattened() -> bytes:
    """One dialogue a line."""
    rows = [
        {
            "persona_id": f"p{person}",
            "session_id": session,
            "messages": [
                {"role": role, "text": text}
                for role, text in zip(("user", "assistant"), said(person, session), strict=True)
            ],
        }
        for person in range(PEOPLE)
        for session in range(SESSIONS)
    ]
    return _lines(rows)


LAYOUTS: Final[Mapping[str, Callable[[], Files]]] = {
    "openai": openai,
    "sharegpt": sharegpt,
    "alpaca": alpaca,
    "prism": prism,
    "locomo": locomo,
    "msc": msc,
    "lamp": lamp,
    "oppu": oppu,
    "longlamp": longlamp,
    "lamp-qa": lamp_qa,
    "personamem": personamem,
    "tickets": tickets,
}


def write(folder: Path) -> list[Path]:
    """Write every layout's files below `folder`; return them."""
    found = []
    for layout, made in LAYOUTS.items():
        for name, content in made().items():
            place = folder / layout / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            found.append(place)
    return found


def table(rows: Rows, *, delimiter: str = ",") -> bytes:
    """Return rows as CSV; a list or an object in a cell as its JSON."""
    held = io.StringIO()
    writer = csv.DictWriter(held, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                key: json.dumps(value) if isinstance(value, list | dict) else value
                for key, value in row.items()
            }
        )
    return held.getvalue().encode()


def parquet(rows: Rows) -> bytes:
    """Return rows as parquet."""
    import pyarrow as arrow
    import pyarrow.parquet as written

    held = io.BytesIO()
    written.write_table(arrow.Table.from_pylist(rows), held)
    return held.getvalue()


def arrow(rows: Rows) -> bytes:
    """Return rows as a stream of arrow, as `save_to_disk` keeps them."""
    import pyarrow
    from pyarrow import ipc

    held, table_of = io.BytesIO(), pyarrow.Table.from_pylist(rows)
    with ipc.new_stream(held, table_of.schema) as out:
        out.write_table(table_of)
    return held.getvalue()


def _lines(rows: Rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _json(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent).encode()
