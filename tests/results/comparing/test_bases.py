"""Two bases in one workspace, one after the other: their results stand apart, and it is said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.lm.recipes import Shelf
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.results.study import standing
from engine.runs import manifest
from engine.runs.runfolder import read_spec
from engine.strategies.ground import read_ground
from engine.strategies.plan import plan
from tests.results.study.test_standing import GATED, tree
from tests.workspaces import finish


def overwrite(ws: Workspace, content: bytes = b"other weights") -> None:
    (Path(read_ground(ws).base) / "model.safetensors").write_bytes(content)


def test_old_and_new_results_stand_in_two_tables(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    finish(ws, "gain")
    first = compare_variants(ws, reference="count")
    overwrite(ws)
    left = compare_variants(ws, reference="count")
    assert (left["protocol"], left["base"]["todays"]) == (first["protocol"], False)
    assert any("another base model" in line for line in left["warnings"])
    finish(ws, "gain")
    second = compare_variants(ws, reference="count")
    assert second["protocol"] != first["protocol"]
    assert [row["variant"] for row in second["rows"]] == ["count", "gain"]
    assert second["base"]["todays"]
    (other,) = second["others"]
    assert other["protocol"] == first["protocol"]
    assert "base model (tiny-base" in other["words"]
    assert compare_variants(ws, protocol=first["protocol"], reference=None)["base"]["todays"] is False
    assert main(["compare", "--workspace", str(ws.root), "--reference", "count"]) == 0
    assert "base model (tiny-base" in capsys.readouterr().err


def test_a_run_on_another_base_is_no_upstream(ws: Workspace) -> None:
    finish(ws, "gain", {"lift": 0.3})
    assert [run.spec.experiment for run in plan(ws, "after").runs] == ["after"]
    overwrite(ws)
    assert [run.spec.experiment for run in plan(ws, "after").runs] == ["gain", "after"]


def test_no_gate_is_passed_by_another_bases_results(ws: Workspace) -> None:
    accepting = tree(GATED.replace("id: gain, experiment", "id: gain, accepts: [gain*], experiment"))
    finish(ws, "gain")
    assert standing.stand(ws, accepting).walk.findings["gain"].measured
    overwrite(ws)
    found = standing.stand(ws, accepting).walk.findings["gain"]
    assert (found.measured, found.runs) == (None, ())


def test_adapters_over_other_weights_answer_nobody(ws: Workspace) -> None:
    run_id = finish(ws, "gain")
    overwrite(ws)
    with pytest.raises(EngineError, match="trained over other weights") as caught:
        Shelf(ws).adapter(run_id, "any")
    assert "python -m engine run gain" in caught.value.hint


def test_results_of_older_runs_stand_with_todays_where_nothing_else_changed(ws: Workspace) -> None:
    run_id = finish(ws, "count")
    written = as_written_before(ws, run_id)
    finish(ws, "gain")
    found = compare_variants(ws, reference="count")
    assert [row["variant"] for row in found["rows"]] == ["count", "gain"]
    assert found["older"] == [written]
    assert compare_variants(ws, protocol=written, reference="count")["protocol"] == found["protocol"]


def as_written_before(ws: Workspace, run_id: str) -> str:
    """Give a finished run the protocol that it would have declared before protocols named a base."""
    import pandas as pd

    from engine.runs.protocol import BASE, BASE_NAME, protocol_id

    folder = ws.run_folder(run_id)
    done = manifest.read(folder)
    ((_, fields),) = done["protocols"].items()
    older = {name: value for name, value in fields.items() if name not in (BASE, BASE_NAME)}
    name = protocol_id(older)
    write_json(folder / "protocols.json", {name: older})
    pd.read_parquet(folder / "scores.parquet").assign(protocol=name).to_parquet(folder / "scores.parquet")
    manifest.write(ws, run_id)
    assert read_spec(folder).base_fingerprint
    store.refresh(ws)
    return name
