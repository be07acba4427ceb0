"""What is wrong with parameters, field by field, for forms."""

from __future__ import annotations

from engine.strategies import registry
from engine.strategies.faults import bounds, faults


def test_every_fault_is_named_with_its_field() -> None:
    given = {"rank": 0, "alpha": "fast", "dropout": 1.0, "target_modules": [], "epochs": None}
    assert faults(registry.get("unified"), given) == {
        "rank": "must be 1 or more, not 0",
        "alpha": "must be a number, not fast",
        "dropout": "must be less than 1, not 1.0",
        "target_modules": "needs 1 or more",
        "epochs": "needs a whole number",
    }


def test_a_fault_in_a_list_names_the_value() -> None:
    found = faults(registry.get("retrieval"), {"k": ["1", "x"], "splits": ["valid"]})
    assert found == {"k": "x must be a whole number", "splits": "valid must be val, test or unseen"}


def test_sound_values_have_no_fault() -> None:
    assert (
        faults(registry.get("unified"), {"rank": 16, "target_modules": ["q_proj"], "splits": ["val"]}) == {}
    )


def test_the_range_of_a_number_is_told() -> None:
    form = registry.get("unified").parameters
    assert bounds(form, "rank") == "1 to 256"
    assert bounds(form, "alpha") == "more than 0, up to 1,024"
    assert bounds(form, "dropout") == "0, less than 1"
    assert bounds(form, "personas") == "1 or more"
    assert bounds(form, "target_modules") == ""
