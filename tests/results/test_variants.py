"""Which name a variant goes by when several runs claim it."""

from __future__ import annotations

from dataclasses import replace

from engine.results.variants import Declaration, Origin, name_variants, resolve


def declared(
    variant_id: str, name: str, *, at: int, default: bool = True, aliases: tuple[str, ...] = ()
) -> Declaration:
    run_id, made_at = f"{name}-{variant_id}-{at}", f"2024-01-{at:02d}"
    return Declaration(variant_id, name, "f", {}, 0, None, aliases, run_id, made_at, default)


def test_no_newer_variant_takes_a_name_away() -> None:
    named = name_variants(
        [
            declared("a", "unified", at=1),
            declared("b", "unified", at=2),
            declared("c", "unified", at=3, default=False),
        ]
    )
    assert [variant.variant for variant in named] == ["unified", "unified@b", "unified@c"]
    assert [one.variant for one in name_variants([declared("a", "x", at=2, default=False)])] == ["x"]
    both = [declared("a", "x", at=2, default=False), declared("b", "x", at=1, default=False)]
    assert {one.variant_id: one.variant for one in name_variants(both)} == {"a": "x@a", "b": "x"}


def test_defaults_come_first_and_another_ground_begins_anew() -> None:
    entries = [
        declared("a", "x", at=1, default=False),
        declared("b", "x", at=2),
        declared("c", "x", at=3),
        declared("d", "x", at=4),
    ]
    first = Origin("x", 1, 0, "data", "base", {"rank": 8}, {})
    origins = {entry.run_id: first for entry in entries}
    assert {one.variant_id for one in name_variants(entries, origins) if one.variant == "x"} == {"b"}
    origins |= {entry.run_id: replace(first, data_hash="other") for entry in entries[2:]}
    assert {one.variant_id for one in name_variants(entries, origins) if one.variant == "x"} == {"c"}


def test_an_imported_study_takes_no_name_from_a_run_made_here() -> None:
    entries = [declared("a", "x", at=1, default=False), declared("b", "x", at=2)]
    made = Origin("x", 1, 0, "data", "base", {"rank": 4}, {})
    imported = Origin("import-study", 1, 0, "", "published", {}, {})
    origins = {entries[0].run_id: made, entries[1].run_id: imported}
    assert [one.variant for one in name_variants(entries, origins)] == ["x", "x@b"]


def test_the_reference_keeps_its_name_against_defaults() -> None:
    entries = [declared("a", "unified", at=1, default=False), declared("b", "unified", at=2)]
    origins = {
        entries[0].run_id: Origin("unified", 1, 0, "data", "base", {"rank": 4}, {}),
        entries[1].run_id: Origin("unified", 1, 0, "data", "base", {"rank": 8}, {}),
    }
    named = name_variants(entries, origins, [entries[0].run_id])
    assert [(one.variant, one.is_reference) for one in named] == [("unified", True), ("unified@b", False)]
    assert resolve("unified", named) == named[0]


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
