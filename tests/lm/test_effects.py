"""One form for every recipe: what is written is read, older forms are, and the same variant keeps its id."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.lm.effects import (
    Activations,
    Logits,
    Own,
    Prefix,
    Prompt,
    Recipe,
    Swapped,
    Weights,
    answers,
    identity,
    mixed,
    normal,
    read_recipe,
    steered,
)
from engine.lm.remote.endpoint import Endpoint

UNIFIED = Recipe((Weights("u-1", "unified"),))
HYBRID = Recipe((Weights("u-1", "unified"), Own("h-1")))
PLAIN: dict[str, Any] = {"adapters": [], "profile": False, "memories": 0}
BEFORE: list[tuple[dict[str, Any], Recipe]] = [
    (PLAIN, Recipe()),
    ({**PLAIN, "profile": True}, Recipe((Prompt(profile=True),))),
    (
        {"adapters": [{"run": "u-1", "name": "unified"}, {"run": "h-1"}], "profile": False, "memories": 0},
        HYBRID,
    ),
    (
        {"adapters": [{"run": "p-1"}], "profile": False, "memories": 3, "recency": 0.25},
        Recipe((Own("p-1"),)).with_prompt(memories=3, recency=0.25),
    ),
    ({"route": "r-1"}, Recipe((Own("r-1", chosen=True),))),
    ({"route": "r-1", "memories": 2}, Recipe((Own("r-1", chosen=True),)).with_prompt(memories=2)),
    (
        {"mixture": {"weight": 0.6, "parts": [{"route": "r-1"}, {**PLAIN, "memories": 2}]}},
        mixed(Recipe((Own("r-1", chosen=True),)), Recipe((Prompt(memories=2),)), 0.6),
    ),
    (
        {"placebo": {"of": {"adapters": [{"run": "p-1"}], "profile": False, "memories": 0}, "run": "x-1"}},
        Recipe((Swapped(Recipe((Own("p-1"),)), "x-1"),)),
    ),
    (
        {
            "remote": asdict(Endpoint("anthropic", "some-model")),
            "profile": True,
            "memories": 1,
        },
        Recipe(remote=Endpoint("anthropic", "some-model")).with_prompt(profile=True, memories=1),
    ),
]
NEW = [
    Recipe((Weights("r", "a", 0.5), Prefix("p", "b"), Activations("s", "c", 2.0), Prompt(True, 3, 0.5))),
    steered(HYBRID, UNIFIED, 0.5),
    UNIFIED.with_prompt(memories=3, history=2),
    UNIFIED.with_prompt(memories=3, retriever="bm25"),
    Recipe((Logits(HYBRID, UNIFIED, 0.5), Activations("s", "c"))),
]


@pytest.mark.parametrize(("before", "recipe"), BEFORE)
def test_older_forms_are_read_and_their_variants_keep_their_ids(
    before: dict[str, Any], recipe: Recipe
) -> None:
    assert read_recipe(before) == recipe
    assert normal(before) == recipe.as_json()
    assert identity(before) == identity(recipe.as_json()) == before


@pytest.mark.parametrize("recipe", [*NEW, *(recipe for _, recipe in BEFORE)])
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert read_recipe(recipe.as_json()) == recipe
    assert set(recipe.as_json()) <= {"effects", "remote"}


@pytest.mark.parametrize("recipe", NEW)
def test_what_could_not_be_written_before_is_its_own_identity(recipe: Recipe) -> None:
    assert identity(recipe.as_json()) == recipe.as_json()


def test_memories_around_a_mixture_are_those_of_its_sides() -> None:
    """As retrieval over a mixture was written, so that it is the variant it was."""
    told = mixed(UNIFIED, Recipe(), 0.6).with_prompt(memories=3)
    parts = [
        {"adapters": [{"run": "u-1", "name": "unified"}], "profile": False, "memories": 3},
        {"adapters": [], "profile": False, "memories": 3},
    ]
    assert identity(told.as_json()) == {"mixture": {"weight": 0.6, "parts": parts}}


def test_what_is_left_at_its_default_does_not_change_a_recipe() -> None:
    assert Recipe((Prompt(memories=0, recency=0.5),)).as_json() == Recipe().as_json() == {"effects": []}
    assert Recipe((Prompt(True), Prompt(memories=2))).as_json() == Recipe((Prompt(True, 2),)).as_json()


def test_of_no_history_there_are_no_memories() -> None:
    assert UNIFIED.with_prompt(memories=3, history=0) == UNIFIED
    assert UNIFIED.with_prompt(memories=3, history=1) != UNIFIED.with_prompt(memories=3)
    around = mixed(UNIFIED.with_prompt(memories=3, history=1), Recipe(), 0.6).with_prompt(profile=True)
    (together, told) = around.effects
    assert isinstance(told, Prompt)
    assert isinstance(together, Logits)
    assert together.first.prompt.under(told) == Prompt(True, 3, 0.0, 1)


def test_known_texts_and_published_scores_are_no_models_answer() -> None:
    for value in ({"oracle": "knows_persona"}, {"published": {"file": "x", "sha256": "y"}}):
        assert not answers(value)
        assert normal(value) == identity(value) == value
        with pytest.raises(EngineError, match="cannot answer"):
            read_recipe(value)


def test_what_is_not_known_is_refused_and_kept_as_it_is() -> None:
    with pytest.raises(EngineError, match="hologram"):
        read_recipe({"effects": [{"kind": "hologram", "run": "r"}]})
    with pytest.raises(EngineError, match="length, steering"):
        read_recipe({"adapters": [], "steering": 3, "length": 4})
    later = {"effects": [{"kind": "hologram", "run": "r"}]}
    assert normal(later) == identity(later) == later
    with pytest.raises(EngineError, match="cannot be read"):
        read_recipe({"effects": [{"kind": "weights", "run": "r"}]})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"effects": [{"kind": "weights", "run": 3, "name": "a"}]}, "run must be text, not 3"),
        ({"effects": [{"kind": "own", "run": "r", "chosen": "no"}]}, "chosen"),
        ({"effects": [{"kind": "own", "run": "r", "later": 1}]}, "later"),
        ({"effects": [{"kind": "logits", "parts": [{}], "weight": 0.5}]}, "parts"),
        ({"effects": [{"kind": "swapped", "of": [], "run": "r"}]}, "of must be an object"),
        ({"effects": {"kind": "own", "run": "r"}}, "effects must be a list"),
        ({"adapters": [{"name": "a"}]}, r"adapters\[0\].run is missing"),
        ({"mixture": {"weight": 0.5}}, "mixture.parts is missing"),
        ({"adapters": [], "remote": {"provider": "anthropic", "model": 3}}, "model must be text, not 3"),
    ],
)  # fmt: skip
def test_a_recipe_of_another_form_is_refused_by_its_fault(value: dict[str, object], told: str) -> None:
    with pytest.raises(EngineError, match=told) as caught:
        read_recipe(value)
    assert caught.value.hint
    assert normal(value) == value
