"""What the pages say of files that were edited, torn or are of another form: words and a remedy."""

from __future__ import annotations

import pytest

from engine.core.paths import Workspace
from tests.pages.conftest import Open, texts


@pytest.mark.parametrize("page", ["home", "data", "compare"])
def test_edited_data_is_told_with_what_can_be_done(open_page: Open, prepared: Workspace, page: str) -> None:
    assert "was changed" not in texts(open_page(prepared, page))
    path = prepared.dataset / "truth.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("light", "lamp"), encoding="utf-8")
    seen = texts(open_page(prepared, page))
    assert f"{path} was changed or cut off" in seen
    assert f"--workspace NEW --dataset {prepared.dataset}" in seen


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"counts": 7}', ""])
@pytest.mark.parametrize("name", ["workspace.json", "dataset/card.json", "splits/splits.json"])
def test_a_torn_file_is_an_error_in_words(
    open_page: Open, prepared: Workspace, name: str, content: str
) -> None:
    (prepared.data / name).write_text(content, encoding="utf-8")
    for page in ("home", "data"):
        assert name.rpartition("/")[2] in texts(open_page(prepared, page))
