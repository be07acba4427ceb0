"""The oracles of the worlds: what is called a bound is passed by nobody in expectation, in any world."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from engine.data.worlds import WORLDS, draw_world
from engine.data.worlds.dialogues import Intent, Turn
from engine.data.worlds.households import Household, draw_household
from engine.data.worlds.population import SoFar
from engine.data.worlds.replies import known_manner, own_manner, phrase
from engine.data.worlds.words import REPLY_SLOTS
from engine.lm.scorer import Scorer

HOUSEHOLDS, DRAWS = 6, 16
Chooser = Callable[[str], str]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer()


def turns(world: str, *, personas: int = 25) -> list[Turn]:
    """One dialogue of each persona, where the assistant knows her."""
    dialogues = 2 if WORLDS[world].known_from else 1
    return [
        turn
        for _, sessions in draw_world(world, personas=personas, dialogues=dialogues, seed=0)
        for turn in sessions[-1].turns
    ]


def planned(household: Household, rng: Random) -> Intent:
    """A plan that a manner can word, with her own values: each household another kind."""
    need = rng.choice(sorted(household.settings))
    asked = ((need.partition("/")[0], household.settings[need]),)
    kinds = (Intent("set", asked), Intent("ask", asked), Intent("off", (("ac", {}),)), Intent("close"))
    return kinds[household.index % len(kinds)]


def varied(known: Chooser, plan: Intent, household: Household) -> list[str]:
    """Return every reply that differs in one way from that of an assistant that knows the persona."""
    return [
        phrase(plan, lambda other, slot=slot, way=way: way.text if other == slot else known(other), household)
        for slot in REPLY_SLOTS
        for way in household.spec.ways_of(slot)
        if way.world
    ]


@pytest.mark.parametrize("world", WORLDS)
def test_no_way_of_wording_it_is_expected_above_who_knows_the_persona(scorer: Scorer, world: str) -> None:
    """Neither another choice in one way, nor a draw from her own manner, nor the population's ways."""
    rng, gains = Random(1), []
    for index in range(HOUSEHOLDS):
        household = draw_household(WORLDS[world], seed=0, index=index)
        known = known_manner(household)
        plan = planned(household, rng)
        mine = phrase(plan, known, household)
        common = phrase(plan, lambda slot, spec=household.spec: spec.most_common(slot, "world"), household)
        drawn = [phrase(plan, own_manner(household, rng), household) for _ in range(2 * DRAWS)]
        others = [mine, *sorted({*varied(known, plan, household), common, drawn[0]} - {mine})]
        vectors = scorer.embed([*others, *drawn])
        likeness = vectors[: len(others)] @ vectors[len(others) :].T
        best = likeness[:, :DRAWS].mean(axis=1).argmax()  # chosen on one half, judged on the other
        gains.append(likeness[best, DRAWS:].mean() - likeness[0, DRAWS:].mean())
    assert np.mean(gains) <= 0.001


@pytest.mark.parametrize("world", WORLDS)
def test_knowing_more_is_worth_no_less(scorer: Scorer, world: str) -> None:
    """The persona, the population and the dialogue so far, the population alone: in this order."""
    asked = turns(world)
    replies = [turn.reply for turn in asked]
    persona = scorer.similarity([turn.knows_persona for turn in asked], replies)
    so_far = scorer.similarity([turn.knows_population for turn in asked], replies)
    assert persona.mean() >= so_far.mean()
    if world == "uniform":
        assert [turn.knows_persona for turn in asked] == [turn.knows_population for turn in asked]
    else:
        assert persona.mean() > so_far.mean() + 0.01


def test_the_dialogue_so_far_is_read(scorer: Scorer) -> None:
    """Where everybody keeps to ways of her own, a second reply tells what the first could not know."""
    firsts, rest = [], []
    for _, sessions in draw_world("individualists", personas=60, dialogues=2, seed=0):
        for session in sessions:
            firsts.append(session.turns[0])
            rest += session.turns[2:]
    first, later = (
        scorer.similarity([one.knows_population for one in part], [one.reply for one in part]).mean()
        for part in (firsts, rest)
    )
    assert later > first + 0.1


def test_what_is_expected_follows_what_was_heard() -> None:
    household = draw_household(WORLDS["individualists"], seed=0, index=0)
    so_far = SoFar(household)
    assert so_far.expected()("verb") == household.spec.most_common("verb", "world")
    kept = household.manner["verb"]
    so_far.hearing(lambda slot: kept)("verb")
    assert so_far.expected()("verb") == kept
    assert so_far.expected()("join") == household.spec.most_common("join", "world")


def test_where_types_exist_one_reply_tells_the_type() -> None:
    household = draw_household(WORLDS["archetypes"], seed=0, index=3)
    so_far = SoFar(household)
    hear = so_far.hearing(known_manner(household))
    for slot in ("opener_set", "verb", "join", "flourish"):
        hear(slot)
    assert {slot: so_far.expected()(slot) for slot in REPLY_SLOTS} == dict(household.manner)
