"""What a workspace stands on and what this machine has, as files and environment tell it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.core.paths import Workspace, embedded_base, write_json
from engine.show import about
from tests.workspaces import make_workspace


@pytest.fixture
def prepared(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "prepared")


def test_sizes_are_those_on_disk(prepared: Workspace) -> None:
    found = {place.name: place for place in about.places(prepared)}
    on_disk = sum(path.stat().st_size for path in prepared.dataset.rglob("*") if path.is_file())
    assert found["Dataset"].size_bytes == on_disk
    assert (found["Report"].size_bytes, found["Report"].files) == (0, 0)
    assert about.in_words(5_200_000) == "5.2 MB"
    assert about.in_words(900) == "900 B"


def test_what_vanishes_or_is_a_link_does_not_count(prepared: Workspace, tmp_path: Path) -> None:
    before = {place.name: place.size_bytes for place in about.places(prepared)}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(b"x" * 100_000)
    os.symlink(tmp_path / "elsewhere", prepared.dataset / "link")
    after = {place.name: place.size_bytes for place in about.places(prepared)}
    assert after["Dataset"] - before["Dataset"] < 1_000


def test_the_embedded_base_tells_its_size_and_has_a_card(prepared: Workspace) -> None:
    write_json(prepared.config, {**prepared.read_config(), "base": "embedded"})
    found = about.base_model(prepared)
    assert found.folder == embedded_base()
    assert found.parameters
    assert found.layers
    assert found.card
    assert found.card.startswith("#")
    assert found.fault is None


def test_a_hub_model_has_no_folder_and_a_missing_one_a_fault(prepared: Workspace) -> None:
    write_json(prepared.config, {**prepared.read_config(), "base": "owner/name"})
    assert about.base_model(prepared) == about.BaseModel("owner/name", None)
    write_json(prepared.config, {**prepared.read_config(), "base": "/no/such/base"})
    found = about.base_model(prepared)
    assert "/no/such/base" in str(found.fault)
    assert found.hint


def test_the_processor_is_the_one_that_this_process_may_use() -> None:
    found = about.processor()
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.number_format.startswith("float32") == (not found.gpus)


def test_versions_are_those_installed() -> None:
    assert about.versions()["streamlit"].count(".") >= 1
