"""Placebos in a comparison: beside their variants, outside the family, and never chosen."""

from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pytest

from engine.cli import main
from engine.core.paths import Workspace, read_json, write_json
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.results.variants import Origin, Variant, placebos
from engine.runs import manifest
from tests.workspaces import finish


def variant(
    name: str, recipe: dict[str, object], *, family: str = "hybrid", made_at: str = "1", run_id: str = "r"
) -> Variant:
    return Variant(f"id-{name}", name, family, recipe, 1, None, (), run_id, made_at, True, name)


def test_a_placebo_belongs_to_the_variant_whose_recipe_it_holds() -> None:
    hybrid, other = {"adapters": [{"run": "h"}]}, {"adapters": [{"run": "p"}]}
    of_hybrid = [
        variant(
            f"hybrid~placebo-{seed}",
            {"placebo": {"of": hybrid, "run": f"placebo-{seed}"}},
            family="placebo",
            made_at=seed,
        )
        for seed in ("3", "2")
    ]
    known = [*of_hybrid, variant("hybrid", hybrid), variant("per-persona", other)]
    assert placebos(known, {}) == {"id-hybrid": "id-hybrid~placebo-2"}
    assert placebos(known[2:], {}) == {}


def test_a_placebo_over_another_base_is_nobodys() -> None:
    plain = {"memories": 3}
    known = [
        variant("plain", plain, run_id="r-1"),
        variant("plain~placebo", {"placebo": {"of": plain, "run": "r-2"}}, family="placebo", run_id="r-2"),
    ]
    origins = {name: Origin("x", 1, 0, "d", base, {}, {}) for name, base in (("r-1", "b 1"), ("r-2", "b 2"))}
    assert placebos(known, origins) == {}
    assert placebos(known, {**origins, "r-2": origins["r-1"]}) == {"id-plain": "id-plain~placebo"}


@pytest.fixture
def ws(ws: Workspace) -> Workspace:
    """`count`, `gain` and a placebo of `gain` that is 0.06 below it in similarity, level in device F1."""
    gain = ws.run_folder(finish(ws, "gain"))
    (entry,) = read_json(gain / "variants.json")
    entry["recipe"] = {"adapters": [{"run": gain.name, "name": "gain"}], "profile": False, "memories": 0}
    write_json(gain / "variants.json", [entry])
    manifest.write(ws, gain.name)
    folder = ws.run_folder(finish(ws, "count", {"lift": 0.001}))
    placebo = {"placebo": {"of": entry["recipe"], "run": folder.name}}
    made = {**entry, "name": "gain~placebo", "family": "placebo", "recipe": placebo, "aliases": []}
    write_json(folder / "variants.json", [made])
    scores = pd.read_parquet(gain / "scores.parquet").assign(variant="gain~placebo")
    scores["embedding_similarity"] -= 0.06
    scores.to_parquet(folder / "scores.parquet")
    manifest.write(ws, folder.name)
    return ws


def test_a_variant_is_measured_against_its_own_placebo(ws: Workspace) -> None:
    found = compare_variants(ws, reference="count")
    json.dumps(found, allow_nan=False)
    rows = {row["variant"]: row for row in found["rows"]}
    assert list(rows) == ["count", "gain", "gain~placebo"]  # the reference, who competes, then placebos
    above = rows["gain"]["above_placebo"]
    assert above["placebo"] == "gain~placebo"
    assert above["delta"] == pytest.approx(0.06)
    assert above["placebo_mean"] == pytest.approx(rows["gain~placebo"]["mean"])
    assert (above["n_paired"], above["wins"], above["losses"]) == (6, 6, 0)
    assert above["p"] < 0.05
    assert rows["count"]["above_placebo"] is None
    assert rows["gain~placebo"]["above_placebo"] is None
    level = compare_variants(ws, reference="count", metric="device_f1")["rows"]
    (above,) = (row["above_placebo"] for row in level if row["above_placebo"])
    assert (above["delta"], above["p"]) == (0.0, 1.0)


def test_a_placebo_competes_with_nobody(ws: Workspace) -> None:
    found = compare_variants(ws, reference="count")
    gain, placebo = found["rows"][1:]
    assert (placebo["role"], placebo["verdict"], placebo["p_holm"]) == ("placebo", "placebo", None)
    assert gain["p_holm"] == gain["p"]  # a family of one
    assert found["test_looks"] == 1
    assert placebo["variant"] not in found["criteria"]


def test_what_is_above_the_placebo_is_kept_when_the_scores_come_in(ws: Workspace) -> None:
    store.refresh(ws)
    first = compare_variants(ws, reference="count")["rows"][1]["above_placebo"]
    store.rebuild(ws)
    assert compare_variants(ws, reference="count")["rows"][1]["above_placebo"] == first


def test_the_terminal_shows_it(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["compare", "--reference", "count", "-w", str(ws.root)]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "over its placebo" in said
    line = [one for one in said.splitlines() if one.startswith("gain ")][-1]
    assert "+6.0" in line
    assert main([*asked, "--csv"]) == 0
    rows = {row["variant"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert float(rows["gain"]["above_placebo"]) == pytest.approx(0.06)
    assert rows["gain"]["placebo"] == "gain~placebo"
    assert rows["count"]["placebo"] == rows["count"]["above_placebo"] == ""
