"""Tables for other programs: numbers are numbers, and what they hold under stands beside them."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from engine.cli import cli
from engine.core.paths import Workspace
from engine.core.wording import signed_points
from engine.results.comparing.comparison import compare_variants
from engine.runs import labels
from engine.show import tables
from tests.sample_study import finish, prepare_world


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_world(tmp_path_factory.mktemp("tables"), personas=6, dialogues=8)
    finish(ws, "unified", "retrieval", per_persona=4)
    return ws


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_comparison_is_read_back_as_it_is_told(study: Workspace, form: tables.Form) -> None:
    found = compare_variants(study, split="val", bands=False)
    written = io.BytesIO(tables.written(tables.comparison_table(study, found), form))
    read = (pd.read_csv if form == "csv" else pd.read_parquet)(written)
    assert list(read["variant"]) == [row["variant"] for row in found["rows"]]
    assert read["delta"].to_numpy() == pytest.approx([row["delta"] for row in found["rows"]])
    assert read["mean"].dtype == float
    compared = read[read["verdict"] != "reference"]
    assert (compared["mean"] - compared["mean_reference"]).to_numpy() == pytest.approx(
        compared["delta"].to_numpy(), abs=1e-9
    )
    for name in ("metric", "split", "protocol", "reference"):
        assert set(read[name]) == {found[name]}
    assert read["why"].fillna("").tolist() == [row["why"] for row in found["rows"]]
    assert read["metric_version"].notna().all()


def test_personas_hold_both_means_and_their_difference(study: Workspace) -> None:
    found = compare_variants(study, split="val", bands=False)
    table = tables.persona_table(study, found)
    assert len(table) == 6 * len(found["rows"])
    assert table["delta"].to_numpy() == pytest.approx((table["mean"] - table["mean_reference"]).to_numpy())
    assert set(table["reference"]) == {found["reference"]}
    mean = table[table["variant"] == "unified+retrieval-3"]["delta"].mean()
    assert mean == pytest.approx(
        next(r["delta"] for r in found["rows"] if r["variant"] == "unified+retrieval-3")
    )


def test_latex_has_booktabs_rules_and_the_numbers_of_the_screen(study: Workspace) -> None:
    found = compare_variants(study, split="val", bands=False)
    text = tables.comparison_latex(study, found)
    assert all(rule in text for rule in ("\\toprule", "\\midrule", "\\bottomrule", "\\usepackage{booktabs}"))
    row = next(one for one in found["rows"] if one["variant"] == "unified+retrieval-3")
    assert signed_points(row["delta"]).replace("\N{MINUS SIGN}", "$-$") in text
    assert found["protocol"] in text
    assert text.isascii()
    assert "95 \\% interval" in text
    assert "p answers for" not in text
    other = tables.comparison_latex(
        study, compare_variants(study, split="val", metric="device_f1", reference="base", bands=False)
    )
    assert "p answers for" in other


def test_a_run_s_note_is_no_formula_in_a_spreadsheet(study: Workspace) -> None:
    run_id = tables.run_table(study)["run_id"].iloc[0]
    labels.label(study, [run_id], title="=SUM(A1)", tags=("paper",))
    read = pd.read_csv(io.BytesIO(tables.written(tables.run_table(study), "csv")))
    one = read[read["run_id"] == run_id].iloc[0]
    assert one["title"] == "'=SUM(A1)"
    assert one["tags"] == "paper"


def test_examples_say_what_a_comparison_s_means_are_made_of(study: Workspace) -> None:
    found = compare_variants(study, split="val", bands=False)
    held = tables.example_table(study, found)
    means = tables.persona_table(study, found).set_index(["variant", "persona_id"])
    made = held.groupby(["variant", "persona_id"])["value"].mean()
    for place, mean in means["mean"].items():
        assert made[place] == pytest.approx(mean)
    assert set(held["split"]) == {"val"}
    right = held["reply"] == held["right_reply"]
    assert right.any()
    assert held["value"][right].min() > 0.999 > held["value"][~right].min()
    assert set(held["reference"]) == {found["reference"]}
    alone = tables.example_table(study, found, ["unified"])
    assert set(alone["variant"]) == {"unified"}
    assert len(alone) == (held["variant"] == "unified").sum()


@pytest.mark.parametrize("what", ["comparison", "personas", "examples", "runs", "votes"])
def test_the_command_writes_every_table_in_every_form(study: Workspace, what: str, tmp_path: Path) -> None:
    for form in tables.FORMS:
        file = tmp_path / f"{what}.{form}"
        done = CliRunner().invoke(
            cli, ["export-table", what, str(file), "--workspace", str(study.root), "--json"]
        )
        assert done.exit_code == 0, done.output
        assert file.stat().st_size > 0
