"""What retrieval, mixture and placebo may be built on, and what they ask for."""

from __future__ import annotations

from typing import get_args

import pytest

from engine.core.errors import EngineError
from engine.strategies import registry
from engine.strategies.answering import Adapted, Answering, Personal
from engine.strategies.spec import validate

TRAINED = {
    name
    for name, entry in registry.EXPERIMENTS.items()
    if entry.family in ("unified", "per-persona", "hybrid", "prefix", "cluster", "merge")
}


def test_every_experiment_that_makes_adapters_can_be_read_over_and_mixed() -> None:
    assert TRAINED | {"base"} == set(get_args(Adapted))
    assert set(get_args(Answering)) > TRAINED


def test_every_personalised_experiment_has_a_placebo() -> None:
    """Those that answer all alike have none: nothing could be swapped."""
    alike = {"unified", "global-prefix", "merge-average"}
    assert {*TRAINED - alike, "profile-prompt", "retrieval", "mixture", "routing"} == set(get_args(Personal))


def test_what_they_need_follows_from_what_they_are_asked() -> None:
    def needs(name: str, **given: object) -> list[tuple[str, str, bool]]:
        entry = registry.get(name)
        asked = entry.needs(validate(entry, given).parameters)
        return [(need.role, need.experiment, need.same_protocol) for need in asked]

    assert needs("retrieval", over="cluster") == [("over", "cluster", False)]
    assert needs("mixture") == [("first", "unified", False), ("second", "cluster", False)]
    assert needs("mixture", first="retrieval", second="hybrid")[0] == ("first", "retrieval", False)
    assert needs("placebo", of="hybrid", over="cluster") == [("of", "hybrid", True)]
    entry = registry.get("placebo")
    (need,) = entry.needs(validate(entry, {"of": "retrieval", "over": "cluster"}).parameters)
    assert need.parameters == {"over": "cluster"}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("mixture", {"weights": [0.5, 1.2]}),
        ("mixture", {"weights": []}),
        ("mixture", {"second": "ceiling"}),
        ("retrieval", {"over": "ceiling"}),
        ("retrieval", {"recency": 2}),
        ("placebo", {"of": "unified"}),
    ],
)
def test_what_cannot_be_is_refused(name: str, given: dict[str, object]) -> None:
    with pytest.raises(EngineError, match=next(iter(given))):
        validate(registry.get(name), given)


def test_nobody_is_routed_to_a_placebo() -> None:
    entry = registry.get("routing")
    with pytest.raises(EngineError, match="routed to placebo"):
        entry.needs(validate(entry, {"among": ["unified", "placebo"]}).parameters)
