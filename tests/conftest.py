"""What tests of several layers share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_base import save_tiny_base


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random base model; read it only."""
    return save_tiny_base(tmp_path_factory.mktemp("base") / "tiny")
