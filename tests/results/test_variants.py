"""Which name a variant goes by when several runs claim it."""

from __future__ import annotations

from engine.results.variants import Declaration, name_variants, resolve


def declared(
    variant_id: str, name: str, *, at: int, default: bool = True, aliases: tuple[str, ...] = ()
) -> Declaration:
    run_id, made_at = f"{name}-{variant_id}-{at}", f"2024-01-{at:02d}"
    return Declaration(variant_id, name, "f", {}, 0, None, aliases, run_id, made_at, default)


def test_the_newest_default_keeps_the_plain_name() -> None:
    named = name_variants(
        [
            declared("a", "unified", at=1),
            declared("b", "unified", at=2),
            declared("c", "unified", at=3, default=False),
        ]
    )
    assert [variant.variant for variant in named] == ["unified@a", "unified", "unified@c"]


def test_without_a_default_the_newest_keeps_it() -> None:
    named = name_variants([declared("a", "x", at=2, default=False), declared("b", "x", at=1, default=False)])
    assert {variant.variant_id: variant.variant for variant in named} == {"a": "x", "b": "x@b"}


def test_one_recipe_under_two_names_is_one_variant_named_by_who_made_it_first() -> None:
    entries = [
        declared("a", "unified", at=1, aliases=("lora",)),
        declared("a", "unified+retrieval-0", at=2),
        declared("b", "lora", at=3),
    ]
    named = name_variants(entries)
    assert [variant.variant for variant in named] == ["unified", "lora"]
    assert named[0].aliases == ("unified+retrieval-0",)  # "lora" is somebody's name
    assert name_variants(reversed(entries)) == named


def test_a_name_is_resolved_by_screen_name_then_alias_then_plain_name() -> None:
    named = name_variants(
        [declared("a", "unified", at=1, aliases=("k0",)), declared("b", "unified", at=2, default=False)]
    )
    found = {name: resolve(name, named) for name in ("unified", "unified@b", "k0", "other")}
    assert {name: variant and variant.variant_id for name, variant in found.items()} == {
        "unified": "a",
        "unified@b": "b",
        "k0": "a",
        "other": None,
    }
    only_b = [variant for variant in named if variant.variant_id == "b"]
    assert resolve("unified", only_b) == only_b[0]
