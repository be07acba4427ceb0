"""The experiments page: cards, forms with their faults, presets, sweeps, the address, and the launch."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.machine import change_machine
from engine.core.paths import Workspace
from engine.runs import jobs
from engine.runs.records import find
from engine.strategies import registry
from engine.strategies.cloning import clone
from engine.strategies.faults import way_in
from engine.strategies.ground import read_ground
from engine.strategies.plan import plan
from pages.shared import launch, launch_fields
from tests.pages.conftest import Open, commands, texts
from tests.sample_study import end_badly, prepare_world

KEY = "experiments_per-persona"


def _commands(app: AppTest) -> list[str]:
    return list(commands(app).values())


def _buttons(app: AppTest) -> list[str | None]:
    return [button.key for button in app.button]


def test_without_data_the_page_leads_to_it(open_page: Open, empty: Workspace) -> None:
    assert "No data yet" in texts(open_page(empty, "experiments"))


def test_every_experiment_has_a_card(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "experiments")
    assert not any(str(key).startswith("experiments_open_") for key in _buttons(app))  # families are folded
    for name in ("sweeps", *dict.fromkeys(entry.group for entry in registry.EXPERIMENTS.values())):
        app.session_state[f"experiments_fold_{name}_False"] = True
    app.run()
    seen = texts(app)
    assert {f"experiments_open_{name}" for name in registry.EXPERIMENTS} <= set(_buttons(app))
    assert all(entry.question in seen for entry in registry.EXPERIMENTS.values())
    assert "Builds on Unified LoRA, done" in seen
    assert "Needs Clusters of personas" in seen


def test_every_experiment_stands_under_a_heading_of_its_own_choice() -> None:
    headings = dict.fromkeys(entry.group for entry in registry.EXPERIMENTS.values())
    assert list(headings) == [
        *("Without training", "More data", "Adapters", "Prefixes", "Clusters", "From profile and history"),
        *("Merges", "Choosing and mixing", "Steering", "Remote models", "Bounds and controls"),
    ]


def test_what_a_remote_model_lacks_is_said_before_the_click(
    open_page: Open, prepared: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    lacks = "It needs the name of a model, and either OPENAI_API_KEY or the address"
    assert lacks in texts(open_page(prepared, "experiments", family="Remote models"))
    app = open_page(prepared, "experiments", experiment="frontier")
    assert lacks in texts(app)
    assert app.button(key="experiments_frontier_launch").disabled
    own = {"model": "one", "base_url": "http://localhost:8000/v1"}
    app = open_page(prepared, "experiments", experiment="frontier", **own)
    assert "localhost:8000 is an address of this machine or its network that the owner" in texts(app)
    assert app.button(key="experiments_frontier_launch").disabled
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", "localhost:8000")
    app = open_page(prepared, "experiments", experiment="frontier", **own)
    assert "It needs" not in texts(app)
    assert "Sends the dialogues of the examples to localhost:8000" in texts(app)
    assert not app.button(key="experiments_frontier_launch").disabled
    app = open_page(prepared, "experiments", experiment="frontier", model="one")
    assert "api.openai.com needs a key, and OPENAI_API_KEY is not set" in texts(app)
    assert app.button(key="experiments_frontier_launch").disabled


def test_a_read_only_workspace_launches_nothing(open_page: Open, prepared: Workspace) -> None:
    change_machine(prepared, read_only=True)
    app = open_page(prepared, "experiments", experiment="base")
    assert app.button(key="experiments_base_launch").disabled


def test_cards_are_filtered(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "experiments", show="done")
    opened = {key for key in _buttons(app) if key and key.startswith("experiments_open_")}
    done = ("base", "unified", "retrieval", "profile-prompt", "ceiling")
    assert opened == {f"experiments_open_{name}" for name in done}
    app.text_input(key="find").set_value("frozen base").run()
    assert "experiments_open_unified" not in _buttons(app)
    app.text_input(key="find").set_value("nothing like it").run()
    assert "No experiment is like this" in texts(app)


def test_the_address_fills_the_form_and_the_form_the_address(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "experiments", experiment="per-persona", rank="16", target_modules="q_proj")
    assert app.number_input(key=f"{KEY}_rank").value == 16
    assert any("--set rank=16 --set target_modules=q_proj" in line for line in _commands(app))
    app.text_input(key=f"{KEY}_learning_rate").set_value("0.001").run()
    app.number_input(key=f"{KEY}_rank").set_value(8).run()
    assert app.query_params["learning_rate"] == "0.001"
    assert "rank" not in app.query_params
    app.number_input(key=f"{KEY}_seed").set_value(5).run()
    assert any("--seed 5" in line for line in _commands(app))


def test_an_address_that_cannot_be_is_said_and_not_taken(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "experiments", experiment="per-persona", rank="many", l2_toward="sideways")
    told = [entry.value.replace("\\", "") for entry in app.warning]
    assert any("rank=many" in line for line in told)
    assert any("l2_toward=sideways" in line for line in told)
    assert app.number_input(key=f"{KEY}_rank").value == 8


def test_faults_stand_beside_their_fields_and_lose_nothing(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "experiments", experiment="per-persona")
    app.number_input(key=f"{KEY}_rank").set_value(0)
    app.number_input(key=f"{KEY}_epochs").set_value(7)
    app.text_input(key=f"{KEY}_learning_rate").set_value("fast").run()
    seen = texts(app)
    assert "Rank must be 1 or more, not 0" in seen
    assert "Learning rate must be a number, not fast" in seen
    assert f"{KEY}_launch" not in _buttons(app)
    assert app.number_input(key=f"{KEY}_epochs").value == 7
    assert app.query_params["learning_rate"] == "fast"
    app.number_input(key=f"{KEY}_rank").set_value(4)
    app.text_input(key=f"{KEY}_learning_rate").set_value("0.002").run()
    assert not app.error
    assert any("--set epochs=7" in line and "--set rank=4" in line for line in _commands(app))


def test_a_preset_fills_the_form_and_is_told_from_own_values(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "experiments", experiment="constrained")
    key = "experiments_constrained"
    assert app.selectbox(key=f"{key}_preset").value == "defaults"
    preset = registry.get("constrained").presets[0]
    app.selectbox(key=f"{key}_preset").set_value(preset.name).run()
    held = launch_fields.fields_of(registry.get("constrained").parameters)
    for one in held:
        if one.name in preset.parameters:
            value = app.session_state[f"{key}_{one.name}"]
            assert value == one.to_raw(preset.parameters[one.name]), one.name
    assert preset.source in texts(app)
    app.number_input(key=f"{key}_rank").set_value(3).run()
    assert app.selectbox(key=f"{key}_preset").value == "own values"


def test_what_must_run_first_is_told_before_the_launch(open_page: Open, prepared: Workspace) -> None:
    seen = texts(open_page(prepared, "experiments", experiment="routing"))
    for name in ("unified", "per-persona", "hybrid"):
        assert f"**{registry.get(name).title}** (needed, runs first)" in seen


def test_what_could_only_fail_is_told_instead_of_a_launch(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "experiments", experiment="merge-weighted")
    assert "cannot be split into 5 or 10" in texts(app)
    assert "experiments_merge-weighted_launch" not in _buttons(app)


def test_a_sweep_plans_one_run_a_value(open_page: Open, prepared: Workspace) -> None:
    change_machine(prepared, training_slots=0)  # nothing is started here
    app = open_page(prepared, "experiments", experiment="per-persona", sweep="rank", values="4,8,many")
    assert "Values must be a whole number, not many" in texts(app)
    assert f"{KEY}_sweep_launch" not in _buttons(app)
    app.text_input(key=f"{KEY}_sweep_of_values").set_value("4, 8").run()
    assert any("engine sweep per-persona rank=4,8" in line for line in _commands(app))
    app.button(key=f"{KEY}_sweep_launch").click().run()
    queued = [record for record in jobs.list_runs(prepared) if record.experiment == "per-persona"]
    assert sorted(record.spec.parameters["rank"] for record in queued if record.spec) == [4, 8]


def test_a_named_sweep_has_its_own_view(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "experiments", study="learning-curve")
    assert any("engine sweep learning-curve" in line for line in _commands(app))
    assert "history 5" in texts(app)


def test_a_launch_queues_the_plan_once(open_page: Open, prepared: Workspace) -> None:
    change_machine(prepared, training_slots=0)
    for _ in range(2):  # the second visitor clicks a page that was drawn before the first click
        app = open_page(prepared, "experiments", experiment="unified", rank="4")
        key = "experiments_unified_launch"
        if key in _buttons(app):
            app.button(key=key).click().run()
    queued = [(record.experiment, record.state) for record in jobs.list_runs(prepared)]
    assert queued == [("base", "queued"), ("unified", "queued")]


def test_what_cannot_exist_here_says_why(open_page: Open, prepared: Workspace) -> None:
    (prepared.dataset / "truth.jsonl").unlink()
    app = open_page(prepared, "experiments", experiment="ceiling")
    assert "synthetic worlds only" in texts(app)
    assert "experiments_ceiling_launch" not in _buttons(app)


@pytest.mark.parametrize("name", list(registry.EXPERIMENTS))
def test_the_form_asks_for_the_defaults_until_something_is_changed(name: str) -> None:
    """What a form gives for untouched fields is what the experiment gives itself."""
    for one in launch_fields.all_fields(registry.get(name)):
        raw = one.raw_default
        assert one.read(one.written(raw)) == raw, one.name
    given = {one.name: one.given(one.raw_default) for one in launch_fields.all_fields(registry.get(name))}
    assert (
        registry.get(name).parameters(
            **{key: given[key] for key in registry.get(name).parameters.model_fields}
        )
        == registry.get(name).parameters()
    )


def test_a_clone_opens_filled_with_what_the_run_was(open_page: Open, prepared: Workspace) -> None:
    planned = plan(prepared, "unified", {"rank": 4, "splits": ["val"]}, seed=9)
    assert planned.target.spec.seed == 9
    change_machine(prepared, training_slots=0)
    jobs.submit(prepared, planned)
    query = launch.clone_query(find(prepared, planned.target.run_id))
    parent = {"clone_of": planned.target.run_id}
    assert query == {"experiment": "unified", "rank": "4", "splits": "val", "seed": "9", **parent}
    app = open_page(prepared, "experiments", **query)
    links = [link.label.replace("\\", "") for link in app.get("page_link")]
    assert f"This run is queued: {planned.target.run_id}" in links
    app.number_input(key="experiments_unified_epochs").set_value(2).run()
    assert any("--set rank=4" in line and "--set epochs=2" in line for line in _commands(app))
    assert clone(prepared, planned.target.run_id, {"epochs": 2}).target.spec.parameters["epochs"] == 2


def test_a_failed_run_is_resumed_from_its_form(open_page: Open, prepared: Workspace) -> None:
    end_badly(prepared, "unified", state="failed", error="No memory left.")
    app = open_page(prepared, "experiments", experiment="unified")
    assert app.button(key="experiments_unified_launch").label == "Resume Unified LoRA"
    assert Path(prepared.root).exists()


def test_what_the_defaults_cannot_a_choice_may(open_page: Open, tmp_path: Path) -> None:
    ws = prepare_world(tmp_path / "unseen", personas=8, dialogues=6, split="by-persona")
    ground = read_ground(ws)
    assert way_in(registry.get("clustering"), ground) == {"features": "character"}
    assert way_in(registry.get("retrieval"), ground) == way_in(registry.get("unified"), ground) == {}
    told = "With features = character it can be"
    assert told in texts(open_page(ws, "experiments", experiment="clustering"))
    app = open_page(ws, "experiments", experiment="clustering", features="character")
    assert app.button(key="experiments_clustering_launch").label == "Run Clusters of personas"
    app = open_page(ws, "experiments", find="Clusters of personas")
    app.button(key="experiments_open_clustering").click().run()
    assert app.query_params["features"] in ("character", ["character"])
