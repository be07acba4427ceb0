"""The study from other seeds: which runs that takes, and that seeds are crossed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results.comparing.comparison import compare_variants
from engine.strategies.repeating import plan_repeats
from tests.seeded_study import register, run
from tests.workspaces import leave, make_workspace


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    register(monkeypatch)
    return make_workspace(tmp_path)


def test_the_reference_and_what_stands_on_it_are_crossed_with_the_seeds(ws: Workspace) -> None:
    unified = run(ws, "unified", ticks=4)
    hybrid, alone = run(ws, "hybrid", lift=0.01), run(ws, "per-persona")
    planned = plan_repeats(ws)
    made = [(one.spec.experiment, one.spec.seed) for one in planned.runs]
    assert made == [("unified", 1), ("hybrid", 1), ("unified", 2), ("hybrid", 2)]
    by_id = {one.run_id: one.spec for one in planned.runs}
    for one in planned.runs:
        below = one.spec.upstream.get("unified")
        assert below is None or by_id[below].seed == one.spec.seed
        assert one.spec.parameters["ticks"] == (4 if one.spec.experiment == "unified" else 3)
        assert one.spec.estimate_seconds is not None
    leave(ws, planned)
    rows = {row["run_id"]: row for row in compare_variants(ws)["rows"]}
    assert rows[unified]["role"] == "reference"
    assert rows[hybrid]["seeds"]["n"] == 3
    assert [one["role"] for one in rows.values()].count("repeat") == 4
    assert rows[alone]["role"] == ""
    again = plan_repeats(ws)
    assert {one.state for one in again.runs} == {"succeeded"}
    assert len(plan_repeats(ws, [alone], seeds=2).runs) == 2  # the reference's is there already


def test_what_cannot_be_repeated_is_said(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="no reference yet"):
        plan_repeats(ws)
    run(ws, "unified")
    with pytest.raises(EngineError, match="1 seeds cannot be made"):
        plan_repeats(ws, seeds=1)
    with pytest.raises(EngineError, match="no run"):
        plan_repeats(ws, ["unified-0"])


def test_the_advice_for_the_noise_of_training_keeps_the_parameters(ws: Workspace) -> None:
    unified = run(ws, "unified", ticks=4)
    run(ws, "hybrid")
    command = compare_variants(ws)["noise"]["command"]
    assert command.startswith("python -m engine repeat")
    assert {one.spec.parameters["ticks"] for one in plan_repeats(ws).runs} == {4, 3}
    assert plan_repeats(ws).runs[0].spec.experiment == unified.rpartition("-")[0]
