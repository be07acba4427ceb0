"""How well a base copies: from the request, from one remembered interaction, and from the right one of three.

A base that cannot copy makes every conclusion about retrieval an artefact, so each build is probed.
The questions come from households the base has not seen.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.core.types import Message
from engine.data.worlds.dialogues import need_request
from engine.data.worlds.households import Household, draw_household
from engine.data.worlds.replies import Intent, known_manner, phrase, phrase_settings
from engine.domains.smart_home import SMART_HOME
from engine.lm.encode import encode_prompt
from engine.lm.generate import generate
from engine.lm.prompts import Memory, chat, system_text
from tools.base_corpus import ELSEWHERE

UNSEEN_HOUSEHOLD = 10_000_000
_NUMBERS = re.compile(r"\d+")
_HABITS = {"initiative": "act", "name": ""}


@dataclass(frozen=True, slots=True)
class Question:
    """One probe: a chat that ends with the user, and the reply of the household's assistant."""

    chat: list[dict[str, str]]
    expected: str


def probe(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, questions: int = 100, seed: int = 0
) -> dict[str, float]:
    """Return, by source, the share of replies with all numbers right, and of those that begin as expected."""
    results = {}
    for source in ("request", "one memory", "three memories"):
        asked = [_question(source, UNSEEN_HOUSEHOLD + number, seed) for number in range(questions)]
        replies = generate(
            model,
            tokenizer,
            [encode_prompt(tokenizer, question.chat) for question in asked],
            max_new_tokens=48,
        )
        pairs = list(zip(asked, replies, strict=True))
        right = sum(
            _NUMBERS.findall(reply.text) == _NUMBERS.findall(question.expected) for question, reply in pairs
        )
        alike = sum(reply.text.split()[:3] == question.expected.split()[:3] for question, reply in pairs)
        results[f"numbers from {source}"] = right / questions
        results[f"manner from {source}"] = alike / questions
    return results


def _question(source: str, index: int, seed: int) -> Question:
    rng = random.Random(f"probe/{seed}/{source}/{index}")
    household = draw_household(ELSEWHERE, seed=seed, index=index, source="elsewhere")
    manner = {**household.manner, **_HABITS}
    needs = rng.sample(["ac/heat", "ac/cool", "lights/dim", "lights/bright", "tv/on", "speaker/on"], 3)
    if source == "request":
        device, values = needs[0].split("/")[0], household.settings[needs[0]]
        asked = f"Please set it up: the {device} at {phrase_settings(device, values, 'comma')}."
        return Question(
            chat(system_text(SMART_HOME), [Message("user", asked)]), _answer(household, manner, needs[0])
        )
    shown = [needs[0]] if source == "one memory" else needs
    memories = [
        Memory(need_request(need, household, rng), _answer(household, manner, need)) for need in shown
    ]
    rng.shuffle(memories)
    asked = need_request(needs[0], household, rng)
    return Question(
        chat(system_text(SMART_HOME, memories=memories), [Message("user", asked)]),
        _answer(household, manner, needs[0]),
    )


def _answer(household: Household, manner: dict[str, str], need: str) -> str:
    known = known_manner(household)
    plan = Intent("set", ((need.split("/")[0], household.settings[need]),))
    return phrase(plan, lambda slot: manner.get(slot, known(slot)), household)
