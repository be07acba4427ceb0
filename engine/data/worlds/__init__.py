"""Synthetic worlds: populations whose truth is known, households in EdgeWisePersona's own layout and authors
in that of LaMP (headlines.py).

They calibrate the instrument: where clusters exist, where only personal information helps, where nothing
does. `write_world` writes the files that the ordinary importer reads, and the oracle replies beside them.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError, unknown_name
from engine.core.paths import make_folder
from engine.data.worlds.dialogues import Session, write_session
from engine.data.worlds.headlines import HEADLINES, write_headlines
from engine.data.worlds.households import WORLDS, Household, WorldSpec, before_known, draw_household

__all__ = ["ABOUT", "NAMES", "WORLDS", "Household", "Session", "WorldSpec", "draw_world", "write_world"]
NAMES = (*WORLDS, *HEADLINES)
"""Every world: those of households, then those of headlines."""

ABOUT = (
    "synthetic households talk to their smart homes. Each has its habits and its tone, and the best possible "
    "score is known."
)
"""What a world is, for who has never seen one."""


def draw_world(
    name: str, *, personas: int, dialogues: int, seed: int
) -> Iterator[tuple[Household, list[Session]]]:
    """Yield each household of world `name` with its sessions. Raises EngineError on an unknown name."""
    _refuse(name, WORLDS, personas, dialogues)
    for index in range(personas):
        household = draw_household(WORLDS[name], seed=seed, index=index)
        first = round(household.spec.known_from * dialogues)
        yield (
            household,
            [
                write_session(
                    household if number >= first else before_known(household), seed=seed, number=number
                )
                for number in range(dialogues)
            ],
        )


def write_world(folder: Path, *, name: str, personas: int = 200, dialogues: int = 50, seed: int = 0) -> None:
    """Write a world's files into `folder` (created): of households characters, routines and sessions, of
    headlines histories and queries; truth.jsonl beside."""
    _refuse(name, NAMES, personas, dialogues)
    make_folder(folder)
    if name in HEADLINES:
        write_headlines(folder, name=name, personas=personas, dialogues=dialogues, seed=seed)
        return
    with ExitStack() as stack:
        files = {
            kind: stack.enter_context((folder / f"{kind}.jsonl").open("w", encoding="utf-8"))
            for kind in ("characters", "routines", "sessions", "truth")
        }

        def line(kind: str, record: dict[str, Any]) -> None:
            files[kind].write(json.dumps(record, ensure_ascii=False) + "\n")

        for household, sessions in draw_world(name, personas=personas, dialogues=dialogues, seed=seed):
            line("characters", {"character": household.character})
            line("routines", {"routines": list(household.routines)})
            line(
                "sessions",
                {"sessions": [_session_record(number, one) for number, one in enumerate(sessions)]},
            )
            for number, session in enumerate(sessions):
                for index, turn in enumerate(session.turns):
                    place = {"persona_index": household.index, "session_id": number, "turn": 2 * index + 1}
                    oracles = {"knows_persona": turn.knows_persona, "knows_population": turn.knows_population}
                    line("truth", place | oracles)


def _refuse(name: str, known: Iterable[str], personas: int, dialogues: int) -> None:
    if name not in known:
        raise unknown_name("world", name, known)
    if personas < 1 or dialogues < 1:
        raise EngineError(
            f"A world needs personas and dialogues, not {personas} x {dialogues}.", "Give positive numbers."
        )


def _session_record(number: int, session: Session) -> dict[str, Any]:
    messages = [
        {"role": role, "text": text}
        for turn in session.turns
        for role, text in (("user", turn.user), ("assistant", turn.reply))
    ]
    return {"session_id": number, "meta": dict(session.meta), "messages": messages}
