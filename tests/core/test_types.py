"""What a persona is called: by her id, and by the first name that her character text begins with."""

from __future__ import annotations

import pytest

from engine.core.types import Persona


@pytest.mark.parametrize(
    ("character", "called"),
    [
        ("Lena is a busy photographer.", "p_1 (Lena)"),
        ("Éva's day begins late.", "p_1 (Éva)"),
        ("She is a busy photographer.", "p_1"),
        ("A photographer who is busy.", "p_1"),
        ("likes films", "p_1"),
        (None, "p_1"),
    ],
)
def test_a_first_name_is_told_where_the_text_gives_one(character: str | None, called: str) -> None:
    assert Persona("p_1", character).called == called
