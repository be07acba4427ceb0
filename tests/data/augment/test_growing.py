"""Growing a persona's dialogues: to the number asked for, through the guards, the same every time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import pytest

from engine.core.errors import EngineError
from engine.core.types import Dataset, Dialogue, Message, Persona, Splits
from engine.data.augment.growing import (
    TAKEN,
    Growing,
    fault,
    grow,
    is_repeat,
    numbers,
    shingles,
    training_sources,
)
from engine.data.augment.methods import make_methods
from engine.data.augment.records import (
    ACTIONS,
    DUPLICATE,
    EMPTY,
    FAR,
    NOTHING,
    NUMBERS,
    changes,
    read_augmented,
)
from engine.data.worlds import draw_world
from engine.domains.domain import Method
from engine.domains.smart_home import RULES, SMART_HOME
from engine.domains.smart_home.actions import extract
from engine.domains.smart_home.augment.grammar import as_order
from tests.domains.augment.cases import SET, dialogue

KEEPS, PERSONA = SMART_HOME.augmenting.keeps, Persona("p1")


def rules(*sources: Dialogue, persona: Persona = PERSONA) -> Mapping[str, Method]:
    return SMART_HOME.augmenting.make(sources)(persona)


def said(source: Dialogue, place: int, text: str) -> Dialogue:
    messages = list(source.messages)
    messages[place] = replace(messages[place], text=text)
    return replace(source, messages=tuple(messages))


@pytest.mark.parametrize(
    ("place", "text", "why"),
    [
        (0, "Set the lights to 40% brightness and warm color.", None),
        (0, "Could you set the lamp to 40% brightness and warm color, please?", None),
        (0, "Set the lights to 45% brightness and warm color.", NUMBERS),
        (0, "Set the lights to forty percent and warm color.", NUMBERS),
        (0, "Set the speaker to 40 and warm color.", ACTIONS),
        (0, "Set the lights to 40% brightness and cool color.", ACTIONS),
        (1, "Setting the lights to 40% brightness with warm color.", None),
        (1, "I will see to it: 40.", ACTIONS),
        (2, "Also, please turn on the TV.", ACTIONS),
        (4, "...", EMPTY),
        (4, "That's all.", NOTHING),
    ],
)
def test_a_dialogue_must_keep_what_it_asks_and_sets(place: int, text: str, why: str | None) -> None:
    assert fault(SET, said(SET, place, text), KEEPS) == why


def test_a_message_more_or_less_is_refused() -> None:
    assert fault(SET, replace(SET, messages=SET.messages[:-1]), KEEPS) is not None


@pytest.fixture(scope="module")
def world() -> list[tuple[Persona, list[Dialogue]]]:
    """Three personas with twelve dialogues each."""
    found = []
    for household, sessions in draw_world("default", personas=3, dialogues=12, seed=1):
        name = f"p{household.index}"
        rows = [
            Dialogue(
                name,
                f"{name}/{number:04d}",
                number,
                tuple(
                    Message(role, text)  # type: ignore[arg-type]
                    for turn in session.turns
                    for role, text in (("user", turn.user), ("assistant", turn.reply))
                ),
                dict(session.meta),
            )
            for number, session in enumerate(sessions)
        ]
        found.append((Persona(name, household.character, household.routines), rows))
    return found


def grown(world: list[tuple[Persona, list[Dialogue]]], growing: Growing, place: int = 0, **more: object):  # type: ignore[no-untyped-def]
    persona, rows = world[place]
    ways = rules(*(one for _, own in world for one in own), persona=persona)
    return grow(rows, make_methods(list(RULES), rules=ways), growing, keeps=KEEPS, **more)  # type: ignore[arg-type]


def test_the_target_is_reached_by_every_rule(world) -> None:  # type: ignore[no-untyped-def]
    used = set()
    for place in range(3):
        found = grown(world, Growing(target=40), place)
        assert len(found.made) == found.wanted == 28
        used |= {one.method for one in found.made}
        assert sum(count for (_, outcome), count in found.counts.items() if outcome == TAKEN) == 28
        ids = [one.dialogue.dialogue_id for one in found.made]
        assert len(set(ids)) == 28
        assert all(one.dialogue.dialogue_id.startswith(f"{one.source_id}~") for one in found.made)
    assert used == set(RULES)


def test_a_multiple_counts_from_what_is_there(world) -> None:  # type: ignore[no-untyped-def]
    assert len(grown(world, Growing(target=5, multiple=3)).made) == 24
    assert grown(world, Growing(target=5)).made == []
    assert Growing(multiple=3).wanted(2160) == 6480 - 2160


def test_everything_made_keeps_devices_settings_and_numbers(world) -> None:  # type: ignore[no-untyped-def]
    by_id = {one.dialogue_id: one for _, rows in world for one in rows}
    for place in range(3):
        for one in grown(world, Growing(target=40), place).made:
            source = by_id[one.source_id]
            assert changes(source, one.dialogue)
            for before, after in zip(source.messages, one.dialogue.messages, strict=True):
                assert numbers(before.text) == numbers(after.text)
                read = as_order if before.role == "user" else str
                assert extract(read(before.text)) == extract(read(after.text))


def test_no_two_are_nearly_the_same(world) -> None:  # type: ignore[no-untyped-def]
    _, rows = world[0]
    marks = [
        shingles(one) for one in (*rows, *(made.dialogue for made in grown(world, Growing(target=40)).made))
    ]
    for first, second in combinations(marks, 2):
        assert not is_repeat(first, [second], limit=0.95)


def test_the_same_seed_gives_the_same_dialogues(world) -> None:  # type: ignore[no-untyped-def]
    first, again = (grown(world, Growing(target=30, seed=4)) for _ in range(2))
    assert first.made == again.made
    assert first.counts == again.counts
    assert [one.dialogue for one in grown(world, Growing(target=30, seed=5)).made] != [
        one.dialogue for one in first.made
    ]


def test_what_strays_from_its_source_is_refused(world) -> None:  # type: ignore[no-untyped-def]
    """With a likeness that is low for longer texts, only those that stayed short are taken."""

    def near(pairs: list[tuple[str, str]]) -> list[float]:
        return [0.9 if len(made) <= len(source) else 0.2 for source, made in pairs]

    found = grown(world, Growing(target=30, threshold=0.5), nearness=near)
    assert found.counts["paraphrase", FAR] > 0
    assert all(one.nearness >= 0.5 for one in found.made)
    nothing = grown(world, Growing(target=30, threshold=1.0), nearness=lambda pairs: [0.5] * len(pairs))
    assert all(one.method in ("context-variation", "context-noise") for one in nothing.made)
    assert any(one.reason == FAR and one.nearness == 0.5 for one in nothing.refused)


def test_it_ends_where_nothing_new_is_left() -> None:
    found = grow(
        [dialogue("Thanks.", "You're welcome.")],
        make_methods(["paraphrase"], rules=rules()),
        Growing(),
        keeps=KEEPS,
    )
    assert found.made == []
    assert found.wanted == 99
    assert {outcome for _, outcome in found.counts} == {NOTHING}
    same = grow([SET], make_methods(["synonyms"], rules=rules()), Growing(target=500), keeps=KEEPS)
    assert 0 < len(same.made) < 499
    assert same.counts["synonyms", DUPLICATE] > 0


def test_a_models_rewriting_goes_through_the_same_guards() -> None:
    text = SET.messages[0].text
    table = {text: ("Set the lights to 45%.", "Please set the lights to 40% brightness and warm color now.")}
    methods = make_methods(["lm-paraphrase"], rules=rules(), rewritten={"lm-paraphrase": table})
    found = grow([SET], methods, Growing(target=3), keeps=KEEPS)
    assert [one.dialogue.messages[0].text for one in found.made] == [table[text][1]]
    assert found.counts["lm-paraphrase", NUMBERS] > 0
    with pytest.raises(EngineError, match="needs a model"):
        make_methods(["back-translation"], rules=rules())


def test_only_train_dialogues_are_sources() -> None:
    rows = tuple(dialogue("Hi.", "Hello.", number=number) for number in range(3))
    splits = Splits(
        "by-time", dict(zip((one.dialogue_id for one in rows), ("train", "val", "test"), strict=True))
    )
    assert training_sources(Dataset((Persona("p1"),), rows), splits) == {"p1": [rows[0]]}


def test_a_record_comes_back_from_its_line() -> None:
    methods = make_methods(list(RULES), rules=rules(SET))
    near = grow([SET], methods, Growing(target=4), keeps=KEEPS, nearness=lambda pairs: [0.875] * len(pairs))
    for one in near.made:
        assert read_augmented(one.as_json()) == one
