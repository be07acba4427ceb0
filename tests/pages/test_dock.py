"""The dock: on every page what is at work and what waits, with Stop, and a word when a run has ended."""

from __future__ import annotations

from engine.core.machine import change_machine
from engine.core.paths import Workspace
from engine.results.study import autopilot
from engine.runs import jobs
from engine.runs.processes import identity
from engine.runs.records import find
from engine.strategies.plan import plan
from tests.pages.conftest import Open, texts
from tests.sample_study import counting_run
from tests.workspaces import eventually


def test_a_run_at_work_is_on_every_page_and_is_stopped_there(
    open_page: Open, prepared: Workspace, paced: None
) -> None:
    (entry,) = jobs.submit(prepared, counting_run(prepared, "unified", ticks=100_000, pause=0.05))
    run_id = entry.record.run_id
    try:
        eventually(lambda: jobs.list_runs(prepared)[0].status.stage == "count")
        for page in ("data", "settings"):
            app = open_page(prepared, page)
            (bar,) = app.sidebar.get("progress")
            assert "count, " in bar.proto.text
            assert "left" in bar.proto.text
        app.sidebar.button(key=f"dock_stop_{run_id}").click().run()
        assert not app.exception
        assert jobs.list_runs(prepared)[0].state == "cancelled"
        assert "Unified LoRA: cancelled" in [entry.value.replace("\\", "") for entry in app.toast]
        assert not app.sidebar.get("progress")
    finally:
        if not find(prepared, run_id).ended:
            jobs.cancel(prepared, run_id, grace_seconds=0.0)


def test_what_waits_is_counted_and_an_idle_dock_is_empty(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "data")
    assert not any("waiting" in entry.value for entry in app.sidebar.caption)
    change_machine(prepared, training_slots=0)
    jobs.submit(prepared, plan(prepared, "unified"))
    app = open_page(prepared, "data")
    assert "2 runs waiting" in [entry.value for entry in app.sidebar.caption]


def test_an_autopilot_that_has_just_started_is_seen_before_its_first_run(
    open_page: Open, prepared: Workspace
) -> None:
    autopilot.write(prepared, autopilot.Autopilot("quick-wins", "all", "walking", 1, process=identity()))
    app = open_page(prepared)
    assert "The autopilot is at it" in texts(app)
    assert not {"home_next_launch", "home_first"} & {button.key for button in app.button}
    assert "its button is above the tree" not in texts(app)
    runs = open_page(prepared, "runs")
    assert "Autopilot walks quick-wins" in texts(runs)  # looks again each second, so the first run is seen
