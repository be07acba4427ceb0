"""The corpus the embedded base is built from: other households than any world's, with and without history.

Owns the choice of what a training dialogue shows the model. The households come from the worlds' grammar
but expect other phrases (weights `elsewhere`), and some have sayings invented from random words, so that
reading the history is the only way to know them. A share of the dialogues are drills: one vague request after
another whose values stand in the remembered interactions and nowhere else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.core.types import Message
from engine.data.worlds.dialogues import Session, need_request, write_session
from engine.data.worlds.households import Household, WorldSpec, draw_household
from engine.data.worlds.replies import Intent, own_manner, phrase
from engine.data.worlds.words import REASONS
from engine.domains.smart_home import SMART_HOME
from engine.lm.prompts import Memory, chat, system_text

ELSEWHERE = WorldSpec(
    "elsewhere",
    "The households the embedded base has seen.",
    own=0.95,
    archetype=0.0,
    fidelity=0.92,
    own_settings=0.95,
)
SESSIONS_PER_HOUSEHOLD = 8
INVENTED_SHARE = 0.25
_WORDS = sorted(
    {word.strip(".,'").lower() for text in REASONS for word in text.split() if word.strip(".,'").isalpha()}
)


@dataclass(frozen=True, slots=True)
class CorpusDialogue:
    """One training dialogue in chat form; `memories` counts the earlier interactions in its prompt."""

    chat: list[dict[str, str]]
    memories: int


def corpus(
    *, seed: int, first_household: int = 0, memory_share: float = 0.7, drill_share: float = 0.0
) -> Iterator[CorpusDialogue]:
    """Yield dialogues without end, household by household; the same arguments give the same stream.

    `memory_share` of them show earlier interactions, and `drill_share` of those are drills.
    """
    index = first_household
    while True:
        household = invent(draw_household(ELSEWHERE, seed=seed, index=index, source="elsewhere"), seed)
        sessions = [
            write_session(household, seed=seed, number=number) for number in range(SESSIONS_PER_HOUSEHOLD)
        ]
        rng = random.Random(f"corpus/{seed}/{index}")
        for number, session in enumerate(sessions):
            if drill_share and rng.random() < memory_share * drill_share:
                yield _drill(household, session, rng)
            else:
                yield _dialogue(household, sessions, number, session, rng, memory_share)
        index += 1


def invent(household: Household, seed: int) -> Household:
    """Return the household, at times with openers and questions of random words as its own habit."""
    rng = random.Random(f"invent/{seed}/{household.index}")
    if rng.random() > INVENTED_SHARE:
        return household
    manner = dict(household.manner)
    for slot, words in (("opener_set", 2), ("opener_ask", 2), ("follow_up", 4), ("flourish", 3)):
        if rng.random() < 0.5:
            saying = " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, words)))
            manner[slot] = saying[0].upper() + saying[1:] + rng.choice(".!?")
    return replace(household, manner=manner)


def _dialogue(
    household: Household,
    sessions: list[Session],
    number: int,
    session: Session,
    rng: random.Random,
    memory_share: float,
) -> CorpusDialogue:
    count = rng.choices((1, 2, 3, 5), (4, 2, 3, 2))[0] if rng.random() < memory_share else 0
    anchor = rng.choice(session.turns)
    earlier = [
        Memory(turn.user, turn.reply)
        for other, its in enumerate(sessions)
        if other != number
        for turn in its.turns
    ]
    memories = nearest(anchor.user, earlier, count, rng)
    system = system_text(
        SMART_HOME,
        meta=session.meta if rng.random() < 0.9 else None,
        character=household.character if rng.random() < 0.25 else None,
        memories=memories,
    )
    turns = (
        session.turns
        if not memories or rng.random() < 0.3
        else session.turns[: session.turns.index(anchor) + 1]
    )
    messages = [
        message
        for turn in turns
        for message in (Message("user", turn.user), Message("assistant", turn.reply))
    ]
    return CorpusDialogue(chat(system, messages), len(memories))


def _drill(household: Household, session: Session, rng: random.Random) -> CorpusDialogue:
    """Return vague requests, all but a few for needs that the memories show with the household's values."""
    household = replace(household, manner={**household.manner, "initiative": "act"})
    needs = rng.sample(sorted(household.settings), rng.choice((1, 2, 3, 3, 5)))
    memories = [
        Memory(need_request(need, household, rng), habitual_reply(household, need, rng)) for need in needs
    ]
    messages = []
    for need in rng.sample(needs, min(len(needs), 3)):
        messages.append(Message("user", need_request(need, household, rng)))
        messages.append(Message("assistant", habitual_reply(household, need, rng)))
    system = system_text(
        SMART_HOME,
        meta=session.meta if rng.random() < 0.9 else None,
        character=household.character if rng.random() < 0.25 else None,
        memories=memories,
    )
    return CorpusDialogue(chat(system, messages), len(memories))


def habitual_reply(household: Household, need: str, rng: random.Random) -> str:
    """Return what the household's assistant says when it acts on `need` by itself."""
    plan = Intent("set", ((need.split("/")[0], household.settings[need]),))
    return phrase(plan, own_manner(household, rng), household)


def nearest(request: str, earlier: list[Memory], count: int, rng: random.Random) -> list[Memory]:
    """Return `count` memories sharing most words with the request (a few at random), the nearest one last."""
    if count == 0:
        return []
    words = set(request.lower().split())

    def likeness(memory: Memory) -> float:
        others = set(memory.request.lower().split())
        return len(words & others) / len(words | others) + 0.15 * rng.random()

    return sorted(earlier, key=likeness)[-count:]
