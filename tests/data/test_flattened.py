"""The flattened layout: one dialogue a line, each naming its persona."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data.layouts.edgewise import read_edgewise
from engine.data.layouts.flattened import read_flattened

Rewrite = Callable[[Path, Callable[[list[dict[str, Any]]], Any]], None]


def test_both_layouts_of_the_same_data_give_the_same_dataset(edgewise: Path, flattened: Path) -> None:
    assert read_flattened(flattened).faults == ()
    assert read_flattened(flattened).dataset == read_edgewise(edgewise).dataset


def test_the_least_a_line_must_hold(flattened: Path, rewrite: Rewrite) -> None:
    def strip(rows: list[dict[str, Any]]) -> None:
        for number, row in enumerate(rows):
            for key in ("character", "routines", "meta", "session_id"):
                del row[key]
            row["dialogue_idx"] = number

    rewrite(flattened, strip)
    imported = read_flattened(flattened)
    assert imported.faults == ()
    assert imported.dataset.dialogues[10].dialogue_id == "persona_001/0010"
    assert imported.dataset.dialogues[10].order == 0
    assert imported.dataset.personas[0].character is None


def test_shuffled_lines_are_put_in_order_by_their_numbers(flattened: Path, rewrite: Rewrite) -> None:
    before = read_flattened(flattened).dataset
    rewrite(flattened, lambda rows: rows.reverse())
    assert read_flattened(flattened).dataset == before


def test_ids_that_are_names_keep_the_order_of_the_file_which_is_called_unknown(
    flattened: Path, rewrite: Rewrite
) -> None:
    names = ["oak", "elm", "ash", "fir", "yew", "bay", "fig", "box", "may", "rue"]
    rewrite(flattened, lambda rows: [row.update(session_id=names[row["session_id"]]) for row in rows])
    imported = read_flattened(flattened)
    own = imported.dataset.dialogues[:2]
    assert [row.dialogue_id for row in own] == ["persona_000/oak", "persona_000/elm"]
    assert len(imported.order.unknown) == 6
    assert "order in time of 6 personas (persona_000, " in imported.order.notes()[0]


def test_numbers_within_ids_are_an_order(flattened: Path, rewrite: Rewrite) -> None:
    rewrite(
        flattened, lambda rows: [row.update(session_id=f"visit_{12 - row['session_id']}") for row in rows]
    )
    imported = read_flattened(flattened)
    own = [row.dialogue_id for row in imported.dataset.dialogues[:10]]
    assert own == [f"persona_000/visit_{number}" for number in range(3, 13)]
    assert imported.order.doubt == ""


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda r: r.pop("persona_id"), "persona_id: must be text, is missing"),
        (lambda r: r.update(persona_id=3), "persona_id: must be text, is a number"),
        (lambda r: r.update(persona_id="../x"), "persona_id: '../x' is not an id"),
        (lambda r: r.update(persona_id="a#b"), "persona_id: 'a#b' is not an id"),
        (lambda r: r.update(persona_id=""), "persona_id: '' is not an id"),
        (lambda r: r.update(persona_id="x" * 101), "is not an id (1 to 100 bytes"),
        (lambda r: r.pop("session_id"), "session_id: missing (dialogue_idx would do as well)"),
        (lambda r: r.update(session_id=1.5), "session_id: must be a whole number or text, is a number"),
        (lambda r: r.update(session_id="0002"), "the id 0002 of persona_001 was used before, in line 13"),
        (lambda r: r.update(character="Someone else."), "character: differs from the persona's character in"),
        (lambda r: r.update(routines=[{}]), "routines[0].triggers: must be an object, is missing"),
        (lambda r: r.update(messages=None), "messages: must be a list, is missing"),
        (lambda r: r["messages"][0].update(role=None), "messages[0].role: must be text, is missing"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_kept(
    flattened: Path, rewrite: Rewrite, edit: Callable[[dict[str, Any]], Any], expected: str
) -> None:
    rewrite(flattened, lambda rows: edit(rows[14]))
    imported = read_flattened(flattened)
    assert {fault.line for fault in imported.faults} == {15}
    assert expected in str(imported.faults[0])
    assert str(imported.faults[0]).startswith("dialogues.jsonl:15: ")
    assert len(imported.dataset.dialogues) == (60 if "].role" in expected else 59)  # a turn costs no dialogue


def test_a_character_on_some_lines_is_the_personas(flattened: Path, rewrite: Rewrite) -> None:
    rewrite(flattened, lambda rows: [row.pop("character") for row in rows[:9]])
    imported = read_flattened(flattened)
    assert imported.faults == ()
    assert imported.dataset.personas[0].character == "Guest 0 likes fog."


def test_lines_are_remembered_for_a_given_split(flattened: Path) -> None:
    imported = read_flattened(flattened)
    assert imported.lines["persona_003/0004"] == 34
    assert imported.line_count == 60
    assert imported.given_split is None
