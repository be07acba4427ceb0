"""The reader of PersonaMem: questions_*.csv, and beside it the long chats that they are asked of.

Owns that a chat's sessions (each begins with its own system turn) are history, as far as the first question
about it was asked, and that the questions, with their options, are what is predicted. Layout: Jiang et al.,
PersonaMem, arXiv 2504.14225.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from engine.data.assemble import Draft, Imported
from engine.data.layouts.gathered import Gathered, identifier, rows_of
from engine.data.layouts.layout import Sample
from engine.data.mapping import Mapping
from engine.data.packed import stem_of
from engine.domains.tasks import QUERY, TASK

_ASKED = ("user_question_or_message", "correct_answer", "all_options")


def recognises(sample: Sample) -> bool:
    """Say whether a file is PersonaMem's questions."""
    return {"persona_id", *_ASKED} <= sample.keys


def read_personamem(samples: tuple[Sample, ...], mapping: Mapping) -> Imported:
    """Return the personas of all questions, with the chats that lie beside."""
    gathered = Gathered()
    (sample,) = samples
    heard: dict[tuple[str, str], list[int]] = defaultdict(list)
    asked: list[Draft] = []
    for line, row in rows_of(sample.path, mapping.encoding, gathered):
        problems: list[str] = []
        user = identifier(row.get("persona_id"), "persona_id", problems)
        session = identifier(f"{QUERY}{row.get('question_id') or line}", "question_id", problems)
        values = [row.get(name) for name in _ASKED]
        texts = [value.strip() if isinstance(value, str) else "" for value in values]
        problems += [f"{name}: empty" for name, text in zip(_ASKED, texts, strict=True) if not text]
        if problems or user is None or session is None:
            gathered.wrong(sample.path.name, line, *problems)
            continue
        end = str(row.get("end_index_in_shared_context", ""))
        if end.isdecimal() and len(end) < 10:
            heard[user, str(row.get("shared_context_id"))].append(int(end))
        gathered.person(user)
        said = gathered.turns
        question = f"{texts[0]}\n\nAnswer with one of these options: {texts[2]}"
        messages = said.tidied([*said.said("user", question), *said.said("assistant", texts[1])])
        asked.append(
            Draft(
                user, session, messages, {TASK: "personamem"}, sample.path.name, line, split="test", last=True
            )
        )
    _read_contexts(sample.path, heard, gathered)
    gathered.drafts.extend(asked)
    return gathered.imported("personamem", ids_tell=True)


def _read_contexts(questions: Path, heard: dict[tuple[str, str], list[int]], gathered: Gathered) -> None:
    """Gather the sessions of the chats in shared_contexts_*.jsonl; a chat has one number for all its
    sessions.
    """
    suffix = stem_of(questions).removeprefix("questions")
    files = sorted(
        path
        for path in questions.parent.iterdir()
        if stem_of(path).startswith("shared_contexts") and stem_of(path).endswith(suffix) and path.is_file()
    )
    chats: dict[str, tuple[Path, int, list[Any]]] = {}
    for path in files:
        for line, row in rows_of(path, "", gathered):
            chats |= {key: (path, line, held) for key, held in row.items() if isinstance(held, list)}
    numbers: dict[str, int] = defaultdict(int)
    for (user, context_id), ends in sorted(heard.items()):
        if context_id not in chats:
            continue
        path, line, held = chats[context_id]
        for turns in _sessions(held[: min(ends)]):
            problems: list[str] = []
            messages = gathered.turns.read(turns, problems, where=context_id[:40])
            gathered.wrong(path.name, line, *problems, *gathered.turns.taken_odd())
            if messages:
                session = f"session_{numbers[user]}"
                numbers[user] += 1
                gathered.drafts.append(Draft(user, session, messages, {}, path.name, line, split="train"))


def _sessions(turns: list[Any]) -> list[list[Any]]:
    found: list[list[Any]] = []
    for turn in turns:
        if not found or (isinstance(turn, dict) and turn.get("role") == "system"):
            found.append([])
        found[-1].append(turn)
    return found
