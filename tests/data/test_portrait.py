"""What data are about, whatever they are: distinctive words, sizes, scripts, a map, lengths in tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.types import Dataset, Dialogue, Message, Persona, Splits
from engine.data.portrait import portrait, scripts_of
from engine.lm.lengths import lengths_in

SAID = {
    "cook": "soup pepper oven",
    "gardener": "rose spade rain",
    "sailor": "mast knot tide",
    "smith": "anvil",
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    rows = []
    for number, (name, words) in enumerate(SAID.items()):
        for order in range(number + 2):
            said = f"hello again {words}" if order else f"hello test only words of {name}"
            turns = (Message("user", said), Message("assistant", f"noted {words.split()[0]}"))
            rows.append(Dialogue(name, f"{name}/{order}", order, turns))
    return Dataset(tuple(Persona(name) for name in SAID), tuple(rows))


def test_words_set_personas_apart_and_test_is_not_read(dataset: Dataset) -> None:
    places = {row.dialogue_id: "train" if row.order else "test" for row in dataset.dialogues}
    found = portrait(dataset, Splits("by-time", places))  # type: ignore[arg-type]
    by_name = {one.persona_id: one for one in found.sitters}
    assert [one.persona_id for one in found.sitters] == ["smith", "sailor", "gardener", "cook"]
    assert by_name["smith"].share == 5 / 14
    assert set(by_name["cook"].distinctive) == {"soup", "pepper", "oven"}
    assert not {"hello", "test", "noted"} & {word for one in found.sitters for word in one.distinctive}
    assert len({one.place for one in found.sitters}) == 4
    assert found.scripts == {"LATIN": 1.0}


def test_scripts_are_counted_by_letters() -> None:
    found = scripts_of({"a": 50, "é": 10, "ก": 20, "ุ": 10, "😀": 10, " ": 99, "1": 99})
    assert found == {"LATIN": 0.6, "THAI": 0.3, "EMOJI AND SIGNS": 0.1}
    assert scripts_of({}) == {}


def test_lengths_are_in_the_bases_own_tokens(dataset: Dataset, tiny_base: Path) -> None:
    long = Dialogue("cook", "cook/9", 9, (Message("user", "on " * 3000), Message("assistant", "ok")))
    found = lengths_in(tiny_base, [*dataset.dialogues, long])
    assert (found.window, found.too_long, found.dialogues) == (1024, 1, 15)
    assert 0 < found.median <= found.ninth < found.longest
