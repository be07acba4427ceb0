"""The study page: first visit, no results yet, results, and launching."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.core.machine import change_machine
from engine.core.paths import Workspace
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.headline import headline
from engine.results.imported import import_study
from engine.results.study import standing as study
from engine.results.study.picture import picture as tree_picture
from engine.results.trees import tree_library
from engine.runs import jobs
from engine.strategies import registry
from pages.study import onward
from tests.pages.conftest import Open, commands, texts, unfold
from tests.results.imported import published
from tests.sample_study import counting_run, end_badly, finish


def test_the_first_visit_offers_a_small_world_first(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty)
    primary = [button.label for button in app.button if button.proto.type == "primary"]
    assert primary == ["Prepare 20 personas"]
    assert "Start with a small world" in texts(app)
    assert not empty.root.exists()


def test_the_first_button_prepares_a_world(
    open_page: Open, empty: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(empty)
    app.button(key="home_prepare").click().run()
    assert empty.read_config()["dataset"]["personas"] == 20
    assert "20 personas" in texts(app)


def test_without_results_the_next_step_is_unified(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared)
    seen = texts(app)
    assert "Next step" in seen
    assert "Base model** (to compare with)" in seen
    assert commands(app)["home_next_launch"] == f"python -m engine run unified --workspace {prepared.root}"
    assert app.button(key="home_next_launch").label == "Run Unified LoRA"
    assert "no estimate before a first run" in seen


def test_the_walk_goes_on_behind_what_is_done(open_page: Open, full: Workspace) -> None:
    app = open_page(full)
    assert app.button(key="home_next_launch").label == "Run Routing by validation"
    assert "--set among=unified,hybrid" in commands(app)["home_next_launch"]


def test_a_node_tells_its_gate_its_numbers_and_its_runs(open_page: Open, full: Workspace) -> None:
    app = open_page(full, node="retrieval")
    seen = texts(app)
    assert "Gate: +2.9 points over unified on val, 60 % of personas improve, p < 0.05" in seen
    assert "Expected: +1.6 to +4.9 points over unified" in seen
    assert "the best of 3 on val" in seen
    (measured,) = [entry.value for entry in app.metric if "retrieval-" in entry.label]
    assert measured.endswith(" points")
    assert "home_node_retrieval_launch" not in [button.key for button in app.button]


def test_a_deep_link_opens_the_other_tree(open_page: Open, full: Workspace) -> None:
    app = open_page(full, tree="cluster-rescue", node="moe-or-unified")
    seen = texts(app)
    assert "Can cluster adapters be saved" in seen
    assert "Cluster training was attempted but not effective" in seen


def test_another_tree_says_nothing_of_the_step_of_the_one_before(open_page: Open, full: Workspace) -> None:
    app = open_page(full)
    before = app.query_params["node"]
    app.segmented_control(key="home_tree").set_value("beyond").run()
    assert app.query_params["node"] != before
    assert not app.warning
    told = texts(open_page(full, tree="beyond", node="nowhere"))
    assert "The address asks for the step nowhere, which is not here." in told


def test_what_if_moves_the_path_and_is_taken_back(open_page: Open, full: Workspace) -> None:
    app = open_page(full, tree="mine-not-there")
    key = "home_whatif_quick-wins_retrieval"
    assert app.number_input(key=key).value == 2.86
    app.number_input(key=key).set_value(-50.0).run()
    assert not app.exception
    assert app.button(key="home_reset")
    app.button(key="home_reset").click().run()
    assert app.number_input(key=key).value == 2.86
    assert "home_reset" not in [button.key for button in app.button]


def test_a_tree_is_copied_edited_and_refused_with_its_faults(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared)
    app.button(key="home_copy").click().run()
    assert (prepared.data / "trees" / "my-quick-wins.yaml").exists()
    area = app.text_area(key="home_edit_my-quick-wins")
    area.set_value(area.value.replace("failed: cluster", "failed: clutser")).run()
    app.button(key="home_save").click().run()
    assert any("is not sound" in entry.value for entry in app.error)
    assert "clutser" not in (prepared.data / "trees" / "my-quick-wins.yaml").read_text()
    area = app.text_area(key="home_edit_my-quick-wins")
    area.set_value(area.value.replace("clutser", "cluster").replace("Quick wins", "Mine")).run()
    app.button(key="home_save").click().run()
    assert "title: Mine" in (prepared.data / "trees" / "my-quick-wins.yaml").read_text()
    assert not app.error
    app.button(key="home_delete").click().run()
    assert not (prepared.data / "trees" / "my-quick-wins.yaml").exists()
    assert not app.exception


def test_a_tree_broken_by_hand_shows_its_faults_and_leaves_the_page_usable(
    open_page: Open, prepared: Workspace
) -> None:
    (prepared.data / "trees").mkdir()
    (prepared.data / "trees" / "mine.yaml").write_text("nodes: []")
    app = open_page(prepared, tree="mine")
    assert any("is not sound" in entry.value for entry in app.error)
    assert app.button(key="home_delete")


def test_a_failed_step_is_offered_again(open_page: Open, prepared: Workspace) -> None:
    run_id = end_badly(prepared, "unified", state="failed", error="No memory left.")
    app = open_page(prepared)
    assert f"Its run {run_id} failed: No memory left." in texts(app)
    assert app.button(key="home_next_launch").label == "Resume Unified LoRA"


def test_faulty_parameters_are_named_before_the_launch(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared)
    unfold(app, "home_another")
    app.selectbox(key="home_experiment").set_value("unified").run()
    app.text_input(key="home_unified_learning_rate").set_value("fast")
    app.number_input(key="home_unified_rank").set_value(0).run()
    (error,) = [entry.value for entry in app.error]
    assert "rank" in error
    assert "rate" in error
    assert "home_unified_launch" not in [button.key for button in app.button]


def test_the_command_follows_the_form(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared)
    unfold(app, "home_another")
    app.selectbox(key="home_experiment").set_value("unified").run()
    app.number_input(key="home_unified_rank").set_value(16)
    app.text_input(key="home_unified_target_modules").set_value("q_proj").run()
    assert "--set rank=16 --set target_modules=q_proj" in commands(app)["home_unified_launch"]


def test_what_is_folded_is_computed_once_it_is_opened(
    open_page: Open, full: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Workspace] = []
    monkeypatch.setattr(onward, "_pilots", lambda ws: asked.append(ws) or [])
    app = open_page(full)
    assert "home_ahead" not in [box.key for box in app.selectbox]
    assert not asked
    unfold(app, "home_first_steps")
    assert app.selectbox(key="home_ahead")
    assert asked


def test_a_run_under_way_is_shown_with_its_progress(
    open_page: Open, prepared: Workspace, paced: None
) -> None:
    (entry,) = jobs.submit(prepared, counting_run(prepared, "unified", ticks=100_000, pause=0.05))
    try:
        app = open_page(prepared)
        assert app.get("progress")
        assert "home_next_launch" not in [button.key for button in app.button]
    finally:
        jobs.cancel(prepared, entry.record.run_id)


def test_what_cannot_exist_here_says_why(open_page: Open, prepared: Workspace) -> None:
    (prepared.dataset / "truth.jsonl").unlink()
    app = open_page(prepared)
    unfold(app, "home_another")
    app.selectbox(key="home_experiment").set_value("ceiling").run()
    assert "synthetic worlds only" in texts(app)
    assert "home_ceiling_launch" not in [button.key for button in app.button]


def test_a_launch_queues_the_plan(
    open_page: Open, prepared: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button queues what the plan showed; nothing is started here."""
    change_machine(prepared, training_slots=0)
    app = open_page(prepared)
    app.button(key="home_next_launch").click().run()
    queued = [(record.experiment, record.state) for record in jobs.list_runs(prepared)]
    assert queued == [("base", "queued"), ("unified", "queued")]


def test_a_missing_base_model_is_a_message_not_an_exception(open_page: Open, prepared: Workspace) -> None:
    shutil.rmtree(prepared.root / "tiny-base")
    app = open_page(prepared)
    assert any("base model" in entry.value for entry in app.error)


def test_an_empty_study_says_what_to_press_and_starts_a_first_verdict(
    open_page: Open, prepared: Workspace
) -> None:
    change_machine(prepared, training_slots=0)
    app = open_page(prepared)
    assert "No answer yet" in texts(app)
    assert [one.key for one in app.button if one.proto.type == "primary"] == ["home_first"]
    app.button(key="home_first").click().run()
    assert "Get a first verdict" not in texts(app)  # nor in words, once it is pressed
    queued = [record.experiment for record in jobs.list_runs(prepared)]
    assert queued == ["base", "profile-prompt", "unified"]  # something true first, then what grows it


def test_the_study_opens_with_its_answer(open_page: Open, full: Workspace) -> None:
    seen = texts(open_page(full))
    assert headline(full, compare_variants(full, split="val")).answer(competing=True) in seen
    assert "In embedding similarity, validation cho" in seen
    for told in ("The answer", "Leader on validation: **unified+retrieval-3**", "Runner-up on validation: "):
        assert told in seen
    assert "Who loses most on validation:" in seen


def test_one_step_has_one_name(empty: Workspace) -> None:
    for entry in tree_library.entries(empty):
        for node in tree_library.find(empty, entry.name).nodes:
            if node.experiment is None:
                continue
            assert node.name.startswith(registry.EXPERIMENTS[node.experiment].title), (entry.name, node.id)


def test_a_step_that_was_cancelled_or_ran_ahead_says_so(open_page: Open, prepared: Workspace) -> None:
    end_badly(prepared, "unified", state="cancelled", error="")
    finish(prepared, "profile-prompt")
    stood = study.stand(prepared, tree_library.find(prepared, "quick-wins"))
    box = next(one for one in tree_picture(stood)["boxes"] if one["id"] == "unified")
    assert (box["word"], box["tone"]) == ("Cancelled", "unclear")
    assert "Run failed" not in texts(open_page(prepared))


def test_estimates_of_one_page_agree(open_page: Open, full: Workspace) -> None:
    """What the tree says of a step and what its plan says are one number, and never "about under 1 s"."""
    seen = texts(open_page(full, node="prefix"))
    stood = study.stand(full, tree_library.find(full, "quick-wins"))
    told = stood.estimate_words("prefix")
    assert told.startswith("roughly ")
    assert f"Time: {told}" in seen
    assert f"in the background, {told}" in seen
    assert "no estimate before a first run" not in seen
    assert "about under" not in seen


def test_what_is_open_at_the_end_goes_on_by_buttons(
    open_page: Open, prepared: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_machine(prepared, training_slots=0)
    finish(prepared, "unified", "retrieval", per_persona=4)
    folder = prepared.data / "trees"
    folder.mkdir()
    (folder / "short.yaml").write_text(SHORT_TREE)
    app = open_page(prepared, tree="short")
    assert not app.error, [one.value for one in app.error]
    assert "Keep trying" in texts(app)
    app.button(key="home_sweep").click().run()
    assert not app.exception
    swept = [record for record in jobs.list_runs(prepared) if record.state == "queued"]
    assert {record.experiment for record in swept} == {"retrieval"}
    assert len(swept) > 1


def test_an_imported_study_is_offered_nothing_that_cannot_run(
    open_page: Open, tmp_path: Path, empty: Workspace
) -> None:
    import_study(empty, published.write_study(tmp_path / "study"))
    seen = texts(open_page(empty))
    assert "Leader on test: **" in seen
    assert "Keep trying:" not in seen
    assert "engine pilot" not in seen
    persona = texts(open_page(empty, "persona"))
    assert "engine run" not in persona
    assert "Nobody is routed" not in persona


SHORT_TREE = """
title: Short
gate: {over_reference: 0.9}
nodes:
  - {id: unified, experiment: unified, then: retrieval}
  - {id: retrieval, experiment: retrieval, passed: use, failed: open}
  - {id: use, result: Use it, use: [retrieval]}
  - {id: open, result: Keep trying, outcome: open, use: [retrieval, unified], record: None passed.}
"""
