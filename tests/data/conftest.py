"""Small made-up households for the data tests, and a way to see that a folder did not change."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.core.paths import Workspace

Rows = list[dict[str, Any]]
_WISHES = (
    "dim the lamp",
    "warm the hall",
    "play a waltz",
    "mute the set",
    "lock the gate",
    "open the blinds",
)
_REPLIES = ("Dimming it to {n}.", "The hall goes to {n} degrees.", "A waltz at volume {n}, gladly.")


def dialogue_messages(user: int, session: int) -> Rows:
    """Two requests with an answer each, different for every user and session."""
    number = 10 + (user * 7 + session * 3) % 60
    first, second = _WISHES[session % 6], _WISHES[(user + session + 1) % 6]
    return [
        {"role": "user", "text": f"Please {first}, it is visit {session} of guest {user}."},
        {"role": "assistant", "text": _REPLIES[session % 3].format(n=number)},
        {"role": "user", "text": f"And now {second}?"},
        {"role": "assistant", "text": f"Done for guest {user}. Anything else after visit {session}?"},
    ]


def meta_of(session: int) -> dict[str, Any]:
    return {"time_of_day": ("morning", "evening")[session % 2], "weather": "fog", "outdoor_temp": "cold"}


def routine_of(user: int) -> dict[str, Any]:
    return {"triggers": {"weather": "fog"}, "actions": {"lights": {"brightness": 10 + user}}}


def edgewise_rows(users: int, sessions: int) -> dict[str, Rows]:
    """File name -> rows of EdgeWisePersona's layout."""
    return {
        "characters.jsonl": [{"character": f"Guest {user} likes fog."} for user in range(users)],
        "routines.jsonl": [{"routines": [routine_of(user)]} for user in range(users)],
        "sessions.jsonl": [
            {
                "sessions": [
                    {"session_id": s, "meta": meta_of(s), "messages": dialogue_messages(user, s)}
                    for s in range(sessions)
                ]
            }
            for user in range(users)
        ],
    }


def flattened_rows(users: int, sessions: int) -> Rows:
    """Rows of the study's flattened layout, persona by persona."""
    return [
        {
            "persona_id": f"persona_{user:03d}",
            "session_id": session,
            "character": f"Guest {user} likes fog.",
            "routines": [routine_of(user)],
            "meta": meta_of(session),
            "messages": dialogue_messages(user, session),
        }
        for user in range(users)
        for session in range(sessions)
    ]


def json_lines(rows: Rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_rows(folder: Path, files: dict[str, Rows]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        (folder / name).write_text(json_lines(rows), encoding="utf-8")
    return folder


def snapshot(root: Path) -> dict[str, bytes | None]:
    """Every path below `root` with its content (None for a folder); {} when `root` is not there."""
    if not root.exists():
        return {}
    found: dict[str, bytes | None] = {".": None}
    for path in sorted(root.rglob("*")):
        found[str(path.relative_to(root))] = path.read_bytes() if path.is_file() else None
    return found


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """The functions above, for tests (a session fixture, so that property tests may use it)."""
    return SimpleNamespace(
        edgewise_rows=edgewise_rows,
        flattened_rows=flattened_rows,
        messages=dialogue_messages,
        json_lines=json_lines,
        write_rows=write_rows,
        snapshot=snapshot,
    )


@pytest.fixture(scope="session")
def scratch() -> Iterator[Callable[[], Path]]:
    """A function that gives an empty folder and takes the last one away (property tests use hundreds)."""
    with tempfile.TemporaryDirectory() as root:

        def empty() -> Path:
            folder = Path(root) / "scratch"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            return folder

        yield empty


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """A workspace that does not exist yet."""
    return Workspace(tmp_path / "space")


@pytest.fixture
def edgewise(tmp_path: Path) -> Path:
    """A valid folder in EdgeWisePersona's layout: 6 users, 10 sessions each."""
    return write_rows(tmp_path / "edgewise", edgewise_rows(6, 10))


@pytest.fixture
def flattened(tmp_path: Path) -> Path:
    """A valid file in the flattened layout: 6 personas, 10 dialogues each."""
    return write_rows(tmp_path / "flat", {"dialogues.jsonl": flattened_rows(6, 10)}) / "dialogues.jsonl"


@pytest.fixture
def rewrite() -> Callable[[Path, Callable[[Rows], Any]], None]:
    """A function that lets another one change the rows of a file in place."""

    def change(path: Path, edit: Callable[[Rows], Any]) -> None:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        edit(rows)
        path.write_text(json_lines(rows), encoding="utf-8")

    return change
