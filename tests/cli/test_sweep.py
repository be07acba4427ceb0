"""The commands sweep, pilot and experiments, and presets on the command line, with real runs behind them."""

from __future__ import annotations

from engine.core.paths import Workspace
from engine.runs.records import scan
from engine.strategies import registry
from tests.cli.conftest import Run, ask


def test_a_sweep_runs_each_value_once_and_shows_them(ws: Workspace, run: Run) -> None:
    shown = ask(run, "sweep", "count", "lift=0.0,0.1", "--dry-run")
    assert [plan["runs"][-1]["parameters"]["lift"] for plan in shown["plans"]] == [0.0, 0.1]
    assert not scan(ws)
    found = ask(run, "sweep", "count", "lift=0.0,0.1")
    (results,) = found["results"]
    assert [point["value"] for point in results["points"]] == [0.0, 0.1]
    assert results["best"] == 0.1
    assert len(scan(ws)) == 2
    code, said, told = run("sweep", "count", "lift=0.0,0.1", "--results")
    assert code == 0
    assert "0.1 (best on val)" in said
    assert "Choose on val" in told
    assert len(scan(ws)) == 2


def test_a_failing_value_ends_the_sweep_with_its_reason(run: Run) -> None:
    code, _, said = run("sweep", "count", "ticks=1,2", "--set", "ending=with a hint")
    assert code == 1
    assert "There is nothing to count." in said


def test_experiments_lists_the_catalog_with_needs_presets_and_sweeps(run: Run) -> None:
    found = ask(run, "experiments")
    named = {entry["name"]: entry for entry in found["experiments"]}
    assert set(named) == set(registry.EXPERIMENTS)
    assert named["cluster-from-unified"]["needs"] == ["unified", "clustering"]
    assert "cluster-4" in {preset["name"] for preset in named["cluster"]["presets"]}
    assert "constrained-lambda" in {sweep["name"] for sweep in found["sweeps"]}
    code, said, _ = run("experiments")
    assert code == 0
    assert all(entry.question in said.replace("\n", " ") for entry in registry.EXPERIMENTS.values())
    code, said, _ = run("experiments", "constrained")
    assert code == 0
    for part in ("--set l2=0.01", "--preset quick-start", "sweep constrained-lambda"):
        assert part in said
    code, _, said = run("experiments", "constraint")
    assert (code, "Did you mean 'constrained'?" in said) == (1, True)


def test_a_preset_gives_parameters_that_set_overrides(run: Run) -> None:
    arguments = ("run", "constrained", "--preset", "quick-start", "--set", "rank=2", "--dry-run")
    asked = next(one for one in ask(run, *arguments)["runs"] if one["purpose"] == "asked")
    assert (asked["parameters"]["l2"], asked["parameters"]["rank"]) == (0.1, 2)
    code, _, said = run("run", "constrained", "--preset", "quick")
    assert (code, "no preset of constrained named 'quick'" in said) == (1, True)


def test_an_upstream_with_other_parameters_is_told(run: Run) -> None:
    ask(run, "run", "gain", "--set", "ticks=5")
    code, _, told = run("run", "after", "--dry-run")
    assert (code, "no run of gain with default parameters" in told) == (0, True)


def test_without_a_pilot_the_command_says_how_to_start_one(run: Run) -> None:
    ask(run, "run", "count")
    code, said, _ = run("pilot")
    assert (code, "python -m engine pilot per-persona --personas 20" in said) == (0, True)
    assert ask(run, "pilot") == {"pilots": []}


def test_what_is_set_goes_before_a_pilot_s_usual_number(run: Run) -> None:
    code, _, told = run("pilot", "per-persona", "--set", "personas=0")
    assert (code, "personas" in told) == (1, True)
