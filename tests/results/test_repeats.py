"""The A/A control: what counts as the same recipe from another seed, and how it is shown."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from engine.core.paths import Workspace, read_json, write_json
from engine.results.comparing.comparison import compare_variants
from engine.results.variants import Origin, Variant, repeats
from engine.runs import manifest
from tests.workspaces import finish

FIRST = Origin("unified", 1, 0, "data", "base", {"rank": 8}, {})


def variant(run_id: str, name: str = "unified", *, default: bool = False) -> Variant:
    return Variant(f"id-{run_id}", name, "unified", {}, 1, None, (), run_id, f"t-{run_id}", default, name)


def test_only_the_seed_may_differ() -> None:
    origins = {
        "a": FIRST,
        "b": replace(FIRST, seed=1),
        "c": replace(FIRST, seed=1, parameters={"rank": 16}),
        "d": replace(FIRST, seed=2, data_hash="other"),
        "e": replace(FIRST, parameters={"rank": 8}),
    }
    found = repeats([variant("a", default=True), *(variant(run) for run in "bcde")], origins)
    assert found == {"id-b": "id-a"}


def test_a_seed_above_counts_and_a_run_that_is_gone_does_not() -> None:
    over = Origin("retrieval", 1, 0, "data", "base", {"k": [3]}, {"over": "a"})
    origins = {"a": FIRST, "b": replace(FIRST, seed=1), "r": over, "s": replace(over, upstream={"over": "b"})}
    origins["t"] = replace(over, seed=5, upstream={"over": "gone"})
    named = [variant(run, "unified+retrieval-3") for run in "rst"]
    assert repeats(named, origins) == {"id-s": "id-r"}


def test_other_names_are_other_recipes() -> None:
    origins = {"a": FIRST, "b": replace(FIRST, seed=1)}
    assert repeats([variant("a"), variant("b", "other")], origins) == {}


def _again(ws: Workspace, *, lift: float) -> None:
    """Leave `count` again from another seed: another recipe, as a trained one is, and its own scores."""
    folder = ws.run_folder(finish(ws, "count", seed=1))
    (entry,) = read_json(folder / "variants.json")
    write_json(folder / "variants.json", [{**entry, "recipe": {"run": folder.name}}])
    table = pd.read_parquet(folder / "scores.parquet")
    table = table.assign(embedding_similarity=table["embedding_similarity"] + lift)
    table.to_parquet(folder / "scores.parquet")
    manifest.write(ws, folder.name)


def test_a_second_seed_gives_the_noise_floor_and_does_not_compete(ws: Workspace) -> None:
    finish(ws, "gain")
    assert compare_variants(ws, reference="count")["noise"]["floor"] is None
    _again(ws, lift=0.02)
    found = compare_variants(ws, reference="count")
    (control,) = found["noise"]["repeats"]
    assert control["reference"] == "count"
    assert found["noise"]["floor"] == pytest.approx(0.02)
    by_role = {row["role"]: row for row in found["rows"]}
    assert by_role["repeat"]["repeat_of"] == "count"
    assert by_role["repeat"]["p_holm"] is None
    assert by_role[""]["p_holm"] == by_role[""]["p"]  # a family of one
    assert by_role[""]["noise_floor"] == pytest.approx(0.02)
    assert by_role[""]["noise_limit"] == pytest.approx(12.706 * 0.02, rel=1e-3)  # one pair alone says little
    assert by_role[""]["above_noise"] is False
    assert found["test_looks"] == 1


def test_a_difference_within_the_noise_is_said_to_be_so(ws: Workspace) -> None:
    finish(ws, "gain")
    _again(ws, lift=0.2)
    row = next(row for row in compare_variants(ws, reference="count")["rows"] if row["variant"] == "gain")
    assert row["above_noise"] is False
