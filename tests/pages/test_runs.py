"""The runs page: queue, list with filters, the open run, several side by side, and what buttons do."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from engine.core.machine import change_machine
from engine.core.paths import Workspace, write_json
from engine.core.wording import MINUS, NOTHING, ago, count, duration, signed_points
from engine.results import store
from engine.runs import jobs, labels
from engine.runs.runfolder import Status, fingerprint, write_spec, write_status
from tests.many_runs import leave_history
from tests.pages.conftest import Open, shown_words, texts, unfold
from tests.sample_study import counting_run, end_badly


def _id_of(ws: Workspace, experiment: str) -> str:
    return next(record.run_id for record in jobs.list_runs(ws) if record.experiment == experiment)


def test_without_data_the_page_leads_to_it(open_page: Open, empty: Workspace) -> None:
    assert "No data yet" in texts(open_page(empty, "runs"))


def test_without_runs_the_page_says_so(open_page: Open, prepared: Workspace) -> None:
    assert "No run yet" in texts(open_page(prepared, "runs"))


def test_every_run_is_listed_and_one_is_open(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "runs")
    table = app.dataframe[0].value
    assert len(table) == 5
    assert {words.split()[-1] for words in table["State"]} == {"Done"}
    assert "5 done" in texts(app)
    offered = {button.label for button in app.button}
    assert not offered & {
        "Cancel",
        "Resume",
        "Start over",
    }  # what is done can be neither cancelled nor resumed
    unified = table[table["Run"] == _id_of(full, "unified")].iloc[0]
    best = table[table["Run"] == _id_of(full, "retrieval")].iloc[0]
    assert pd.isna(unified["Difference"])  # it is the reference
    assert best["Difference"] == pytest.approx(best["Score"] - unified["Score"])
    assert " to " in best["Interval"]
    shown = shown_words(app.dataframe[0])
    told = [signed_points(value / 100).replace(NOTHING, "") for value in table["Difference"]]
    assert list(shown["Difference"]) == told
    assert any(MINUS in words for words in told)


def test_a_link_opens_the_run_it_names(open_page: Open, full: Workspace) -> None:
    unified = _id_of(full, "unified")
    app = open_page(full, "runs", run=unified)
    assert "Unified LoRA" in [entry.value for entry in app.subheader]
    assert f"Run {unified}" in texts(app)


def test_a_link_to_no_run_says_so(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "runs", run="unified-nothing0")
    assert "There is no run unified-nothing0" in texts(app)


def test_the_views_of_a_run(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "runs", run=_id_of(full, "unified"))
    assert "Best epoch" in [entry.label for entry in app.metric]
    app.button_group(key="runs_view").set_value("Log").run()
    assert "scores written" in texts(app)
    app.button_group(key="runs_view").set_value("Parameters").run()
    assert "Everything is at its default." in texts(app)
    app.button_group(key="runs_view").set_value("Origin").run()
    assert {"Spec", "Data", "Base model", "Torch"} <= set(app.dataframe[1].value["What"])
    assert "python -m engine run unified" in texts(app)
    assert not app.exception


def test_a_row_ticked_opens_its_run(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "runs")
    names = list(app.dataframe[0].value["Run"])
    position = next(number for number, name in enumerate(names) if name.startswith("base-"))
    app.session_state["runs_open"] = [names[position]]
    app.run()
    assert "Base model" in [entry.value for entry in app.subheader]
    assert app.dataframe[0].proto.id.endswith(key := f"runs_table_{fingerprint(names, 8)}")
    assert app.session_state[key]["selection"]["rows"] == [position]


def test_several_runs_are_laid_side_by_side(open_page: Open, full: Workspace) -> None:
    both = f"{_id_of(full, 'unified')},{_id_of(full, 'retrieval')}"
    app = open_page(full, "runs", run=both)
    personas = next(one.value for one in app.dataframe if "Persona" in one.value)
    assert len(personas) == 6
    assert list(personas["Apart"].abs()) == sorted(personas["Apart"].abs(), reverse=True)
    assert personas["Apart"].to_numpy() == pytest.approx(
        (personas["unified+retrieval-3"] - personas["unified"]).to_numpy()
    )
    better = {
        word: int((personas["Better under"] == word).sum()) for word in ("unified", "unified+retrieval-3")
    }
    told = [f"{count(n, 'persona')} better under {name}" for name, n in better.items()]
    assert all(words in texts(app) for words in told)
    assert "2 runs side by side" in [entry.value for entry in app.subheader]
    differs = app.dataframe[-1].value
    assert list(differs.columns)[1:] == both.split(",")
    assert "Rank" in list(differs["What"])
    assert "Data" not in list(differs["What"])
    app.toggle(key="runs_same").set_value(True).run()
    assert "Data" in list(app.dataframe[-1].value["What"])
    assert "Without a curve" in texts(app)


def test_a_run_is_labelled_and_found_by_it_in_the_address(open_page: Open, prepared: Workspace) -> None:
    first, second, *_ = leave_history(prepared, 6, steps=2)
    app = open_page(prepared, "runs", run=first)
    app.button(key="runs_star").click().run()
    form = f"runs_words_{first}"
    next(one for one in app.text_input if one.label == "Title").set_value("The one in the paper")
    next(one for one in app.text_area if one.label == "Note").set_value("Rank was *too* high.")
    app.button(key=f"{form}_save").click().run()
    assert labels.read(prepared)[first] == labels.Label(
        title="The one in the paper", note="Rank was *too* high.", star=True
    )
    assert "The one in the paper" in [entry.value for entry in app.subheader]
    labels.label(prepared, [second], add=["paper"], pinned=True)
    assert open_page(prepared, "runs").dataframe[0].value["Run"].iloc[0] == second
    for mark, found in (("starred", first), ("tag:paper", second)):
        app = open_page(prepared, "runs", mark=mark)
        assert list(app.dataframe[0].value["Run"]) == [found]
    app = open_page(prepared, "runs", q="paper")
    assert set(app.dataframe[0].value["Run"]) == {first, second}
    labels.label(prepared, [first], hidden=True)
    assert first not in set(open_page(prepared, "runs").dataframe[0].value["Run"])
    assert list(open_page(prepared, "runs", mark="hidden").dataframe[0].value["Run"]) == [first]


def test_settings_that_differ_have_columns_and_the_order_is_in_the_address(
    open_page: Open, prepared: Workspace
) -> None:
    leave_history(prepared, 30, steps=2)
    app = open_page(prepared, "runs", settings="columns", sort="longest", experiment="unified")
    table = app.dataframe[0].value
    assert {"Rank", "Seed"} <= set(table.columns)
    assert not {"Epochs", "Changed"} & set(table.columns)
    assert list(table["Took"]) == sorted(table["Took"], reverse=True)


def test_a_run_is_deleted_and_brought_back(open_page: Open, prepared: Workspace) -> None:
    first, *rest = leave_history(prepared, 4, steps=2)
    app = open_page(prepared, "runs", run=first)
    app.button(key="runs_delete").click().run()
    assert first not in set(app.dataframe[0].value["Run"])
    assert f"{first} deleted" in texts(app)
    app.button(key="runs_undo").click().run()
    assert first in set(app.dataframe[0].value["Run"])
    assert app.query_params["run"] in (first, [first])
    app.button(key="runs_delete").click().run()
    app.button(key="runs_purge").click().run()
    assert "deleted run" not in texts(app)
    assert len(jobs.list_runs(prepared)) == len(rest)


def test_filters_and_search_leave_what_was_asked_for(open_page: Open, prepared: Workspace) -> None:
    leave_history(prepared, 30, steps=2)
    app = open_page(prepared, "runs", state="failed")
    states = {words.split()[1] for words in app.dataframe[0].value["State"]}
    assert states == {"Failed"}
    app.button_group(key="runs_state").set_value("all").run()
    app.selectbox(key="runs_experiment").set_value("hybrid").run()
    assert {name.partition("-")[0] for name in app.dataframe[0].value["Run"]} == {"hybrid"}
    app.text_input(key="q").set_value("rank=8").run()
    assert all("rank 8" in words for words in app.dataframe[0].value["Changed"])
    app.text_input(key="q").set_value("nothing like it").run()
    assert "No run is like this" in texts(app)


def test_time_taken_stands_beside_the_estimate(open_page: Open, prepared: Workspace) -> None:
    leave_history(prepared, 6, steps=2)
    app = open_page(prepared, "runs")
    table, shown = app.dataframe[0].value, shown_words(app.dataframe[0])
    for name in ("Took", "Expected"):
        assert list(shown[name]) == [duration(seconds).replace(NOTHING, "") for seconds in table[name]]
    assert list(shown["When"]) == [ago(at.isoformat()) for at in table["When"]]
    estimated = next(record for record in jobs.list_runs(prepared) if record.spec.estimate_seconds)  # type: ignore[union-attr]
    assert " expected" in texts(open_page(prepared, "runs", run=estimated.run_id))
    folds = [fold.label for fold in open_page(prepared, "settings").expander]
    assert any(label.startswith("How good are the estimates? Off by ") for label in folds)


def test_a_failed_run_shows_error_remedy_and_resume(open_page: Open, prepared: Workspace) -> None:
    end_badly(prepared, "unified", state="failed", error="No memory *left*.", hint="Use a smaller batch.")
    app = open_page(prepared, "runs")
    seen = texts(app)
    assert "No memory *left*." in seen
    assert "Use a smaller batch." in seen
    assert {"Resume", "Start over"} <= {button.label for button in app.button}


def test_a_run_can_be_cancelled_and_resumed(open_page: Open, prepared: Workspace, paced: None) -> None:
    """Real processes: the worker counts slowly, is told to stop, and is queued again."""
    (entry,) = jobs.submit(prepared, counting_run(prepared, "unified", ticks=100_000, pause=0.05))
    run_id = entry.record.run_id
    app = open_page(prepared, "runs")
    assert "Cancel asks for a checkpoint first" in texts(app)
    app.button(key="runs_cancel").click().run()
    assert jobs.list_runs(prepared)[0].state == "cancelled"
    assert "It goes on from its last checkpoint." in texts(app)
    app.button(key="runs_resume").click().run()
    assert jobs.list_runs(prepared)[0].state in ("queued", "running")
    jobs.cancel(prepared, run_id)


def test_the_queue_has_an_order_that_can_be_changed(
    open_page: Open, prepared: Workspace, paced: None
) -> None:
    plans = [
        counting_run(prepared, name, ticks=100_000, pause=0.05) for name in ("unified", "prefix", "base")
    ]
    running, second, third = [entry.record.run_id for one in plans for entry in jobs.submit(prepared, one)]
    try:
        app = open_page(prepared, "runs", run=running)
        assert "2 runs waiting; each starts by itself" in texts(app)
        change_machine(prepared, training_slots=0)
        assert "2 runs waiting; paused" in texts(app.run())
        app.button(key=f"runs_first_{third}").click().run()
        queued = [record.run_id for record in jobs.list_runs(prepared) if record.state == "queued"]
        assert queued == [third, second]
        app.button(key=f"runs_drop_{second}").click().run()
        states = {record.run_id: record.state for record in jobs.list_runs(prepared)}
        assert states[second] == "cancelled"
    finally:
        for name in (third, running):
            jobs.cancel(prepared, name, grace_seconds=5)


def test_runs_from_elsewhere_wait_for_a_click(open_page: Open, prepared: Workspace, paced: None) -> None:
    """One that can run, laid in by hand; and one that names an experiment nobody has."""
    spec = counting_run(prepared, "unified", ticks=2, pause=0.0).target.spec
    foreign = replace(spec, experiment="evil")
    for one in (spec, foreign):
        write_status(prepared.run_folder(one.run_id), Status(state="queued", order=1))
        write_spec(prepared.run_folder(one.run_id), one)
    app = open_page(prepared, "runs")
    seen = texts(app)
    assert "2 runs from elsewhere wait" in seen
    assert "there is no experiment 'evil' here" in seen
    assert {record.status.attempt for record in jobs.list_runs(prepared)} == {0}
    app.button(key="runs_take_up").click().run()
    jobs.wait(prepared, [spec.run_id], timeout_seconds=400)
    states = {record.run_id: record.state for record in jobs.list_runs(prepared)}
    assert states == {spec.run_id: "succeeded", foreign.run_id: "queued"}


def test_the_reference_is_marked_and_can_be_repeated_from_other_seeds(
    open_page: Open, full: Workspace
) -> None:
    store.refresh(full)
    unified, base = _id_of(full, "unified"), _id_of(full, "base")
    app = open_page(full, "runs", run=unified)
    assert "The reference" in texts(app)
    unfold(app, "runs_seeds")
    assert "Repeat with 3 seeds" in [one.label for one in app.button]
    assert "unified, crossed with the seeds: 2 runs to go" in texts(app)
    app.number_input(key="runs_repeat_seeds").set_value(5).run()
    assert "4 runs to go" in texts(app)
    app = open_page(full, "runs", run=base)
    unfold(app, "runs_seeds")
    assert "Repeat with 3 seeds" not in [one.label for one in app.button]


def test_where_the_best_epoch_was_the_last_the_run_says_so(open_page: Open, full: Workspace) -> None:
    unified = _id_of(full, "unified")
    record = {"name": "unified", "personas": [], "steps": 120, "train_dialogues": 40, "best_epoch": 3}
    path = full.run_folder(unified) / "training.json"
    write_json(path, [{**record, "val_losses": [1.9, 1.5, 1.3]}])
    assert "the best epoch was the last" in texts(open_page(full, "runs", run=unified))
    write_json(path, [{**record, "best_epoch": 2, "val_losses": [1.9, 1.5, 1.6]}])
    assert "the best epoch was the last" not in texts(open_page(full, "runs", run=unified))
