"""The settings page: base, machine, keys, sizes, the check-up and rebuilding."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core import extensions, keyring
from engine.core.machine import read_machine, read_only
from engine.core.paths import Workspace
from engine.results import store
from engine.show import about
from tests.pages.conftest import ON, Open, texts
from tests.sample_study import finish


def test_without_data_machine_keys_and_versions_are_shown(open_page: Open, empty: Workspace) -> None:
    seen = texts(open_page(empty, "settings"))
    assert "No data yet" in seen
    assert "OPENAI_API_KEY" in seen
    assert not empty.root.exists()


def test_a_key_is_present_or_absent_and_never_shown(
    open_page: Open, prepared: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    app = open_page(prepared, "settings")
    seen = texts(app)
    assert "`OPENAI_API_KEY` :green[:material/check_circle: present]" in seen
    assert "sent to api.openai.com alone" in seen
    assert "`ANTHROPIC_API_KEY` :gray[:material/do_not_disturb_on: absent]" in seen
    assert "secret" not in "".join(str(entry.proto) for entry in app.main)
    assert about.endpoint_keys() == [
        about.Key("ANTHROPIC_API_KEY", False, ("api.anthropic.com",)),
        about.Key("OPENAI_API_KEY", True, ("api.openai.com",)),
    ]


def test_a_base_that_cannot_be_used_says_why(open_page: Open, prepared: Workspace) -> None:
    base = about.base_model(prepared)
    assert base.folder is not None
    (base.folder / "model.safetensors").unlink()
    assert "holds no weights" in texts(open_page(prepared, "settings"))


def test_the_check_finds_a_damaged_run_and_rebuilding_is_confirmed(
    open_page: Open, prepared: Workspace
) -> None:
    (base, *_) = finish(prepared, "base", per_persona=2)
    store.refresh(prepared)
    app = open_page(prepared, "settings")
    app.button(key="settings_check").click().run()
    assert not app.exception
    assert "Everything is in order" in "".join(entry.value for entry in app.success)
    (prepared.run_folder(base) / "scores.parquet").write_bytes(b"torn")
    app.button(key="settings_check").click().run()
    assert any("to look at" in entry.value for entry in app.warning)
    before = prepared.database.stat().st_mtime_ns
    app.button(key="settings_rebuild").click().run()
    assert prepared.database.stat().st_mtime_ns == before
    app.button(key="settings_rebuild_yes").click().run()
    assert not app.exception
    assert prepared.database.stat().st_mtime_ns > before
    assert any("1 torn run left out" in entry.value for entry in app.success)


def test_what_can_be_mended_without_loss_is_mended_by_a_button(open_page: Open, prepared: Workspace) -> None:
    never_began = prepared.runs / "unified-0123abcd"
    never_began.mkdir(parents=True)
    app = open_page(prepared, "settings")
    app.button(key="settings_check").click().run()
    assert never_began.exists()
    app.button(key="settings_mend").click().run()
    assert not app.exception
    assert not never_began.exists()
    assert "settings_mend" not in {one.key for one in app.button}


def test_leftovers_are_listed_with_sizes_and_only_chosen_kinds_go(
    open_page: Open, prepared: Workspace
) -> None:
    left = {
        prepared.models / "unified-0123abcd" / "adapter_model.safetensors": 5_200_000,
        prepared.models / "hybrid-0123abcd" / "adapter_model.safetensors": 1_000,
        prepared.data / "rescored" / "unified-0123abcd" / "scores.parquet": 900,
    }
    for path, size_bytes in left.items():
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(size_bytes))
    app = open_page(prepared, "settings")
    assert "Look for leftovers" in [one.label for one in app.button]
    app.button(key="settings_clean_look").click().run()
    found = next(one.value for one in app.dataframe if "Kind" in one.value).set_index("Kind")
    assert list(found.loc["Adapters", ["Number", "Size"]]) == ["2", "5.2 MB"]
    assert list(found.loc["Outdated", ["Number", "Size"]]) == ["1", "900 B"]
    app.multiselect(key="settings_clean_kinds").set_value(["adapters"]).run()
    (takes,) = [one for one in app.button if one.label.startswith("Take away")]
    assert takes.label == "Take away 2 files and folders, 5.2 MB"
    app.button(key="settings_clean").click().run()
    assert all(path.exists() for path in left)  # until it is confirmed
    app.button(key="settings_clean_yes").click().run()
    assert not app.exception
    assert [path.exists() for path in left] == [False, False, True]
    assert r"Gone\: 2 files and folders, 5.2 MB." in [one.value for one in app.success]
    app.button(key="settings_clean_look").click().run()
    found = next(one.value for one in app.dataframe if "Kind" in one.value)
    assert "Adapters" not in set(found["Kind"])


def test_a_workspace_is_made_read_only_and_opened_again(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "settings")
    app.toggle(key="settings_read_only").set_value(True).run()
    assert read_only(prepared)
    app.toggle(key="settings_read_only").set_value(False).run()
    assert not read_only(prepared)


def test_code_of_ones_own_is_shown_with_what_lets_it_run(
    open_page: Open, prepared: Workspace, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text("raise RuntimeError('must not run')\n", encoding="utf-8")
    found = extensions.name_file(prepared, own)
    app = open_page(prepared, "settings")
    assert f"{own} :orange[:material/block: not approved]" in texts(app)
    assert found.sha256 in texts(app)
    told = [entry.value.replace(ON, " ") for entry in app.code]
    allowing = next(one for one in told if f"--approve {own}" in one)
    assert f"machine --workspace {prepared.root} " in allowing
    own.write_text("STRATEGIES = ()\n", encoding="utf-8")
    extensions.approve(prepared, own)
    assert f"{own} :green[:material/check_circle: approved]" in texts(open_page(prepared, "settings"))


def test_queue_launcher_and_keys_are_set_here(
    open_page: Open, prepared: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    app = open_page(prepared, "settings")
    app.number_input(key="settings_slots").set_value(3)
    app.text_input(key="settings_ray_address").set_value("10.0.0.1:6379")
    next(button for button in app.button if button.label == "Save").click().run()
    settings = read_machine(prepared)
    assert (settings.training_slots, settings.ray_address, settings.launcher) == (3, "10.0.0.1:6379", "local")
    app.selectbox(key="settings_key").set_value("OPENAI_API_KEY")
    app.text_input(key="settings_key_value").set_value("sk-typed-here")
    next(button for button in app.button if button.label == "Keep it").click().run()
    assert not app.exception
    assert "`OPENAI_API_KEY` :green[:material/check_circle: present]" in texts(app)
    assert "sk-typed-here" not in "".join(str(entry.proto) for entry in app.main)
    assert keyring.key_of("OPENAI_API_KEY") == "sk-typed-here"
    assert all(
        b"sk-typed-here" not in path.read_bytes() for path in prepared.root.rglob("*") if path.is_file()
    )
    next(button for button in app.button if button.label == "Delete what is kept").click().run()
    assert keyring.key_of("OPENAI_API_KEY") is None
