"""The one reader of clusters.json: what a clustering leaves is checked before anybody believes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace, write_json
from engine.strategies.clusterings import read_clusters

WHOLE: dict[str, Any] = {
    "k": 2,
    "features": "both",
    "assignment": {"a": 0, "b": 1, "c": 1},
    "map": {"a": [0, 0.5], "b": [1, 1], "c": [2, 2]},
    "centroids_similarity": {"a": 1, "b": 0.9, "c": 0.8},
    "silhouette": None,
    "stability_ari": 0.5,
    "sizes": [1, 2],
    "warning": None,
}


@pytest.mark.parametrize(
    ("torn", "told"),
    [
        ({"assignment": 3}, "assignment"),
        ({"assignment": {"a": "0", "b": 1, "c": 1}}, "assignment.a"),
        ({"map": {"a": [0, 0]}}, "map is not about"),
        ({"centroids_similarity": {"x": 1}}, "centroids_similarity is not about"),
        ({"map": {"a": [0], "b": [1, 1], "c": [2, 2]}}, "map.a"),
    ],
)
def test_another_form_is_refused_with_the_place(tmp_path: Path, torn: dict[str, Any], told: str) -> None:
    ws = Workspace(tmp_path)
    path = ws.run_folder("clustering-1") / "clusters.json"
    with pytest.raises(EngineError, match="clustering-1 left no clusters.json"):
        read_clusters(ws, "clustering-1")
    write_json(path, WHOLE)
    assert read_clusters(ws, "clustering-1").sizes == {0: 1, 1: 2}
    write_json(path, {**WHOLE, **torn})
    with pytest.raises(EngineError, match=told):
        read_clusters(ws, "clustering-1")
    path.write_text("[1]")
    with pytest.raises(EngineError, match="clusters.json is of another form"):
        read_clusters(ws, "clustering-1")


def test_nobody_else_names_the_file() -> None:
    named = {
        str(path.relative_to(REPOSITORY))
        for folder in ("engine", "pages")
        for path in (REPOSITORY / folder).rglob("*.py")
        if '"clusters.json"' in path.read_text(encoding="utf-8")
    }
    assert named == {"engine/strategies/clusterings.py"}
