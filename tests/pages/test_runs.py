"""The runs page: the list, the open run, and the reasons beside buttons that are off."""

from __future__ import annotations

from engine import jobs
from engine.paths import Workspace
from tests.pages.conftest import Open, texts
from tests.sample_study import counting_run, end_badly


def test_without_data_the_page_leads_to_it(open_page: Open, empty: Workspace) -> None:
    assert "No data yet" in texts(open_page(empty, "runs"))


def test_without_runs_the_page_says_so(open_page: Open, prepared: Workspace) -> None:
    assert "No run yet" in texts(open_page(prepared, "runs"))


def test_every_run_is_listed_and_one_is_open(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "runs")
    table = app.dataframe[0].value
    assert len(table) == 5
    assert set(table["State"]) == {"Done"}
    assert "5 done" in texts(app)
    assert not app.button  # what is done can be neither cancelled nor resumed


def test_a_link_opens_the_run_it_names(open_page: Open, full: Workspace) -> None:
    (unified,) = [record.run_id for record in jobs.list_runs(full) if record.experiment == "unified"]
    app = open_page(full, "runs", run=unified)
    assert "Unified LoRA" in [entry.value for entry in app.subheader]
    assert f"Run {unified}" in texts(app)


def test_a_link_to_no_run_says_so(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "runs", run="unified-nothing0")
    assert "There is no run unified-nothing0" in texts(app)


def test_the_views_of_a_run(open_page: Open, full: Workspace) -> None:
    (unified,) = [record.run_id for record in jobs.list_runs(full) if record.experiment == "unified"]
    app = open_page(full, "runs", run=unified)
    assert "Best epoch" in [entry.label for entry in app.metric]
    app.button_group(key="runs_view").set_value("Log").run()
    assert "scores written" in texts(app)
    app.button_group(key="runs_view").set_value("Parameters").run()
    assert "Everything is at its default." in texts(app)
    app.button_group(key="runs_view").set_value("Origin").run()
    assert "Data" in list(app.dataframe[1].value["What"])
    assert not app.exception


def test_selecting_a_row_opens_its_run(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "runs")
    names = list(app.dataframe[0].value["Run"])
    position = next(number for number, name in enumerate(names) if name.startswith("base-"))
    app.session_state["runs_open"] = names[position]
    app.run()
    assert "Base model" in [entry.value for entry in app.subheader]
    assert app.session_state["runs_table"]["selection"]["rows"] == [position]


def test_a_failed_run_shows_error_remedy_and_resume(open_page: Open, prepared: Workspace) -> None:
    end_badly(prepared, "unified", state="failed", error="No memory *left*.", hint="Use a smaller batch.")
    app = open_page(prepared, "runs")
    seen = texts(app)
    assert "No memory *left*." in seen
    assert "Use a smaller batch." in seen
    assert [button.label for button in app.button] == ["Resume"]


def test_a_run_can_be_cancelled_and_resumed(open_page: Open, prepared: Workspace) -> None:
    """Real processes: the worker counts slowly, is told to stop, and is queued again."""
    (entry,) = jobs.submit(prepared, counting_run(prepared, "unified", ticks=2000, pause=0.05))
    run_id = entry.record.run_id
    app = open_page(prepared, "runs")
    assert "Cancel asks for a checkpoint first" in texts(app)
    app.button(key="runs_cancel").click().run(timeout=120)
    assert jobs.list_runs(prepared)[0].state == "cancelled"
    assert "It goes on from its last checkpoint." in texts(app)
    app.button(key="runs_resume").click().run(timeout=120)
    assert jobs.list_runs(prepared)[0].state in ("queued", "running")
    jobs.cancel(prepared, run_id)
