"""Holds the text of a synthetic world against real dialogues: is it worth drawing conclusions from?

Compares length, turns, vocabulary, and how near each real message is to its nearest synthetic one, beside
how near real messages are to each other. Prints numbers; judges nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.paths import Workspace
from engine.data.dataset import load_dataset
from engine.data.prepare import prepare
from engine.data.worlds import WORLDS, draw_world
from engine.domains.smart_home.actions import extract
from engine.lm.scorer import Scorer

FIRST_MESSAGES = 5
_NUMBER, _WORD = re.compile(r"\d"), re.compile(r"[a-z']+")


def report(reference: Path | None, *, personas: int, dialogues: int, seed: int) -> str:
    """Return the comparison of all worlds with the dialogues in `reference`, as a table in Markdown.

    Only the first five messages of a dialogue are looked at, on both sides. Without a reference the worlds
    are compared with each other's `default`.
    """
    real = _read(reference) if reference else None
    worlds = {name: _draw(name, personas, dialogues, seed) for name in WORLDS}
    columns = {"real": real, **worlds} if real else worlds
    target = columns["real" if real else "default"]
    assert target is not None
    scorer = Scorer()
    facts = {name: _facts(texts, target, scorer) for name, texts in columns.items() if texts}
    names = list(next(iter(facts.values())))
    lines = ["| | " + " | ".join(facts) + " |", "|---|" + "---|" * len(facts)]
    lines += [
        f"| {name} | " + " | ".join(f"{facts[column][name]:.3f}" for column in facts) + " |" for name in names
    ]
    return "\n".join(lines)


def _facts(texts: dict[str, list[str]], target: dict[str, list[str]], scorer: Scorer) -> dict[str, float]:
    replies, requests = texts["assistant"], texts["user"]
    facts = {
        "words a reply": _mean_words(replies),
        "words a user message": _mean_words(requests),
        "replies that name a device": _share(bool(extract(text).devices) for text in replies),
        "replies with a number": _share(bool(_NUMBER.search(text)) for text in replies),
        "replies that ask something": _share("?" in text for text in replies),
    }
    for role, name in (("assistant", "reply"), ("user", "user")):
        sample, wanted = texts[role][: len(target[role])], target[role]
        facts[f"{name} vocabulary, words"] = float(len(_words(sample)))
        facts[f"{name} words of the target covered"] = _coverage(sample, wanted)
        facts[f"target to nearest {name} text, cosine"] = _nearest(wanted, sample, scorer)
    return facts


def _read(path: Path) -> dict[str, list[str]]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        prepare(workspace, dataset=path, split="auto")
        rows = load_dataset(workspace).dialogues
    shown = [message for dialogue in rows for message in dialogue.messages[:FIRST_MESSAGES]]
    return {
        role: [message.text for message in shown if message.role == role] for role in ("user", "assistant")
    }


def _draw(name: str, personas: int, dialogues: int, seed: int) -> dict[str, list[str]]:
    drawn = list(draw_world(name, personas=personas, dialogues=dialogues, seed=seed))
    # One dialogue of each persona after the other, so that the head of the list is many personas.
    sessions = [sessions[number] for number in range(dialogues) for _, sessions in drawn]
    return {
        "user": [turn.user for session in sessions for turn in session.turns[:3]],
        "assistant": [turn.reply for session in sessions for turn in session.turns[:2]],
    }


def _nearest(wanted: Sequence[str], sample: Sequence[str], scorer: Scorer) -> float:
    one, other = scorer.embed(wanted), scorer.embed(sample)
    likeness = one @ other.T
    if list(wanted) == list(sample):
        np.fill_diagonal(likeness, -1.0)
    return float(likeness.max(axis=1).mean())


def _coverage(sample: Sequence[str], wanted: Sequence[str]) -> float:
    known, counts = set(_words(sample)), _words(wanted)
    return sum(count for word, count in counts.items() if word in known) / max(1, sum(counts.values()))


def _words(texts: Sequence[str]) -> Counter[str]:
    return Counter(word for text in texts for word in _WORD.findall(text.lower()))


def _mean_words(texts: Sequence[str]) -> float:
    return sum(len(text.split()) for text in texts) / max(1, len(texts))


def _share(values: Any) -> float:
    found = list(values)
    return sum(found) / max(1, len(found))
