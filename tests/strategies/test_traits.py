"""What may be built on what follows from traits, and what experiments ask for from what they are told."""

from __future__ import annotations

import ast

import pytest

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY
from engine.strategies import registry
from engine.strategies.spec import full_name, validate
from pages.shared.launch_fields import fields_of

NETWORKS = {"projected-profile", "hypernetwork-trained"}
TRAINED = {
    *("unified", "per-persona", "hybrid", "constrained", "online", "prefix", "prefix-unified"),
    *("global-prefix", "cluster", "cluster-from-unified", "merge-average", "merge-cluster", "merge-weighted"),
    *("merge-moe", "merge-topk", "merge-soft", "merge-learned", "mta", "staged", "hypernetwork"),
    "unified-memories",
    "arrow",
    *NETWORKS,
}
ALIKE = {"unified", "global-prefix", "merge-average", "arrow"}
STEERED = {"context-steering", "steering-vectors"}


@pytest.mark.parametrize(
    ("trait", "names"),
    [
        (
            "readable",
            TRAINED | {"tuned", "steering-vectors", "imported-adapters", "base", "mixture", "routing"},
        ),
        (
            "mixable",
            TRAINED | STEERED | {"imported-adapters", "base", "profile-prompt", "retrieval", "routing"},
        ),
        (
            "personal",
            (TRAINED - ALIKE)
            | STEERED
            | {"imported-adapters", "profile-prompt", "retrieval", "mixture", "routing", "tuned"},
        ),
        ("mergeable", {"per-persona", "hybrid", "constrained"}),
        ("library", {"per-persona", "hybrid", "constrained", "cluster", "cluster-from-unified"}),
        ("newcomers", STEERED | NETWORKS | {"retrieval", "hybrid", "prefix-unified"}),
        (
            "serves_unseen",
            ALIKE
            | STEERED
            | NETWORKS
            | {"base", "matched", "retrieval", "profile-prompt", "mixture", "routing", "frontier"}
            | {"ceiling", "tuned", "unified-memories", "hypernetwork"},
        ),
        (
            "trains",
            {
                *("per-persona", "hybrid", "constrained", "online", "prefix", "prefix-unified"),
                *("cluster", "cluster-from-unified", "mta", "staged"),
                *NETWORKS,
            },
        ),
        (
            "routable",
            TRAINED
            | STEERED
            | {"imported-adapters", "base", "profile-prompt", "retrieval", "mixture", "frontier"},
        ),
    ],
)
def test_what_ships_has_these_traits(trait: str, names: set[str]) -> None:
    assert set(registry.having(trait, registry.EXPERIMENTS)) == names


@pytest.mark.parametrize(
    ("experiment", "parameter", "trait"),
    [
        ("retrieval", "over", "readable"),
        ("mixture", "second", "mixable"),
        ("placebo", "of", "personal"),
        ("matched", "to", "trains"),
        ("placebo", "over", "readable"),
        ("merge-soft", "adapters", "mergeable"),
        ("clustering", "adapters", "mergeable"),
        ("routing", "among", "routable"),
    ],
)
def test_a_parameter_that_names_strategies_offers_those_with_the_trait(
    experiment: str, parameter: str, trait: str
) -> None:
    entry = registry.get(experiment)
    (field,) = [one for one in fields_of(entry.parameters) if one.name == parameter]
    offered = {choice for choice in field.choices if choice is not None}
    assert offered == set(registry.having(trait, registry.EXPERIMENTS))
    assert list(entry.parameters.model_fields) == list(type(entry.parameters()).__mro__[1].model_fields)


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
        ("routing", {"among": ["unified", "placebo"]}),
        ("routing", {"among": ["unified", "ceiling"]}),
    ],
)
def test_what_cannot_be_is_refused(name: str, given: dict[str, object]) -> None:
    with pytest.raises(EngineError, match=next(iter(given))):
        validate(registry.get(name), given)


def test_no_list_of_strategies_is_kept_elsewhere() -> None:
    """But for what the demonstration runs, and what the published study's folders are called here."""
    lists = []
    for path in (*(REPOSITORY / "engine").rglob("*.py"), *(REPOSITORY / "pages").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            held = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
            names = {one.value for one in held if isinstance(one, ast.Constant)} & set(registry.EXPERIMENTS)
            if len(names) > 2:
                lists.append(str(path.relative_to(REPOSITORY)))
    own = [place for place in lists if place.startswith("engine/strategies/")]
    assert set(lists) - set(own) <= {"engine/cli/study/demo.py", "engine/results/imported/study.py"}
    assert set(own) <= {"engine/strategies/routing.py"}  # its default, among what it may be


HOW = {"use_online", "use_augmented", "l2_toward"}
"""How well something is made; use_augmented is told behind a plus."""


@pytest.mark.parametrize(
    "name",
    [
        *("merge-average", "merge-weighted", "merge-learned", "merge-moe", "merge-topk", "merge-soft"),
        *("hypernetwork", "mta", "online", "cluster-from-unified", "steering-vectors", "hybrid", "staged"),
        *("projected-profile", "hypernetwork-trained", "prefix-unified", "constrained", "per-persona"),
    ],
)
def test_what_a_variant_is_is_in_its_name(name: str) -> None:
    """Every choice and every switch, unless it says how well the same thing is made."""
    entry = registry.get(name)
    usual = entry.parameters().model_dump()
    names = {full_name(entry, usual)}
    assert names == {name}
    told = 0
    for field in fields_of(entry.parameters):
        if field.name in HOW or field.kind not in ("choice", "flag"):
            continue
        others = [False, True] if field.kind == "flag" else list(field.choices)
        for value in others:
            if value != usual[field.name]:
                names.add(full_name(entry, {**usual, field.name: value}))
                told += 1
    assert len(names) == told + 1


def test_parts_of_a_name_stand_in_one_order() -> None:
    learned = registry.get("merge-learned")
    both = {**learned.parameters().model_dump(), "by_layer": True, "adapters": "hybrid"}
    assert full_name(learned, both) == "merge-learned-by-layer-hybrid"
    assert full_name(registry.get("mta"), {"own": False, "adapters": "hybrid"}) == "mta-of-others"
