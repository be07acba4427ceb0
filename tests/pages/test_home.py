"""The study page: first visit, no results yet, results, and launching."""

from __future__ import annotations

import pytest

from engine import jobs
from engine.paths import Workspace
from tests.pages.conftest import Open, texts
from tests.sample_study import counting_run, end_badly


def test_the_first_visit_offers_one_button(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty)
    assert [button.label for button in app.button] == ["Prepare 20 personas"]
    assert "Start with a small world" in texts(app)
    assert not empty.root.exists()


def test_the_first_button_prepares_a_world(
    open_page: Open, empty: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(empty)
    app.button(key="home_prepare").click().run()
    assert empty.read_config()["dataset"]["personas"] == 20
    assert "Personas 20" in texts(app)


def test_without_results_the_next_step_is_unified(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared)
    seen = texts(app)
    assert "Nothing is scored yet" in seen
    assert "Base model** (to compare with)" in seen
    assert f"python -m engine run unified --workspace {prepared.root}" in seen
    assert app.button(key="home_next_launch").label == "Run Unified LoRA"


def test_the_leader_is_told_with_margin_and_interval(open_page: Open, full: Workspace) -> None:
    app = open_page(full)
    seen = texts(app)
    assert "against unified" in seen
    assert "95 % interval" in seen
    assert "Small sample: 6 personas" in seen
    assert "The first steps are done" in seen
    (margin,) = [entry.value for entry in app.metric if "against unified" in entry.label]
    assert margin.endswith(" points")
    assert margin.split()[0] == "0.0" or margin[0] in "+\N{MINUS SIGN}"


def test_a_ceiling_never_leads(open_page: Open, full: Workspace) -> None:
    labels = [entry.label for entry in open_page(full).metric]
    assert not any("ceiling" in label for label in labels)


def test_a_failed_step_is_offered_again(open_page: Open, prepared: Workspace) -> None:
    end_badly(prepared, "unified", state="failed", error="No memory left.")
    app = open_page(prepared)
    assert "Earlier run: failed" in texts(app)
    assert app.button(key="home_next_launch").label == "Go on with Unified LoRA"


def test_faulty_parameters_are_named_before_the_launch(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared)
    app.selectbox(key="home_experiment").set_value("unified").run()
    app.text_input(key="home_unified_learning_rate").set_value("fast")
    app.number_input(key="home_unified_rank").set_value(0).run()
    (error,) = [entry.value for entry in app.error]
    assert "rank" in error
    assert "rate" in error
    assert "home_unified_launch" not in [button.key for button in app.button]


def test_the_command_follows_the_form(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared)
    app.selectbox(key="home_experiment").set_value("unified").run()
    app.number_input(key="home_unified_rank").set_value(16)
    app.text_input(key="home_unified_target_modules").set_value("q_proj").run()
    commands = [entry.value for entry in app.code]
    assert any("--set rank=16 --set target_modules=q_proj" in command for command in commands)


def test_a_run_under_way_is_shown_with_its_progress(open_page: Open, prepared: Workspace) -> None:
    (entry,) = jobs.submit(prepared, counting_run(prepared, "unified", ticks=2000, pause=0.05))
    try:
        app = open_page(prepared)
        assert app.get("progress")
        assert "Next step" in texts(app)
    finally:
        jobs.cancel(prepared, entry.record.run_id)


def test_what_cannot_exist_here_says_why(open_page: Open, prepared: Workspace) -> None:
    (prepared.dataset / "truth.jsonl").unlink()
    app = open_page(prepared)
    app.selectbox(key="home_experiment").set_value("ceiling").run()
    assert "synthetic worlds only" in texts(app)
    assert "home_ceiling_launch" not in [button.key for button in app.button]


def test_a_launch_queues_the_plan(
    open_page: Open, prepared: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button queues what the plan showed; nothing is started here."""
    monkeypatch.setattr(jobs, "TRAINING_SLOTS", 0)
    app = open_page(prepared)
    app.button(key="home_next_launch").click().run()
    queued = [(record.experiment, record.state) for record in jobs.list_runs(prepared)]
    assert queued == [("base", "queued"), ("unified", "queued")]


def test_a_missing_base_model_is_a_message_not_an_exception(open_page: Open, prepared: Workspace) -> None:
    (prepared.root / "tiny-base" / "config.json").unlink()
    (prepared.root / "tiny-base").rmdir()
    app = open_page(prepared)
    assert any("base model" in entry.value for entry in app.error)
