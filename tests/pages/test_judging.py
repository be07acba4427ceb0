"""Test is judged by a press alone: no page looks at it before, whatever its address asks for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.core.paths import Workspace
from engine.results.comparing import frozen, looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.looks import Look
from tests.pages.conftest import Open, texts
from tests.pages.test_home import SHORT_TREE

PAGES = (
    "home",
    "experiments",
    "runs",
    "compare",
    "persona",
    "playground",
    "votes",
    "data",
    "report",
    "settings",
)


@pytest.fixture
def fresh(full: Workspace, tmp_path: Path) -> Workspace:
    """A study that ends its tree, which nobody has judged on test."""
    ws = Workspace(shutil.copytree(full.root, tmp_path / "fresh"))
    (ws.data / "looks.jsonl").unlink(missing_ok=True)
    (ws.data / "trees").mkdir()
    (ws.data / "trees" / "short.yaml").write_text(SHORT_TREE)
    return ws


def seen(ws: Workspace) -> list[Look]:
    return looks.seen(ws, looks.at(compare_variants(ws, split="val")))


def test_no_page_looks_at_test_before_the_press(open_page: Open, fresh: Workspace) -> None:
    on_test = {"split": "test", "reference": "base", "metric": "device_f1"}
    asked = {"home": {"tree": "short"}, "compare": on_test, "persona": on_test, "runs": on_test, "report": {}}
    for page in PAGES:
        open_page(fresh, page, **asked.get(page, {}))
        assert seen(fresh) == [], page


def test_a_press_judges_what_the_address_asks_for_and_no_more(open_page: Open, fresh: Workspace) -> None:
    app = open_page(fresh, "compare", split="test")
    app.button(key="compare_freeze").click().run()
    (plan,) = frozen.plans(fresh, looks.at(compare_variants(fresh, split="val")))
    assert f"Planned beforehand: {plan.hash}" in texts(app)
    assert seen(fresh) == []
    app.button(key="compare_judge_all").click().run()
    assert not frozen.later([one for one in seen(fresh) if one.metric == plan.primary], [plan])
    known = {one.variant for one in seen(fresh) if one.metric == "embedding_similarity"}
    assert "base" in known
    assert "unified" not in known
    app = open_page(fresh, "compare", split="test", reference="base")  # judges unified, which was none before
    assert "Test is not judged yet" in texts(app)
    assert app.button(key="compare_judge_all").label == "Judge on test (1 variant)"
    persona = open_page(fresh, "persona", split="test", reference="base")
    assert "Test is not judged yet" in texts(persona)
    assert "Character and routines" in texts(persona)
    persona.button(key="persona_judge_all").click().run()
    assert not persona.exception
    assert "on test" in texts(persona)
    assert "unified" in {one.variant for one in seen(fresh)}


def test_the_end_of_a_tree_offers_the_press(open_page: Open, fresh: Workspace) -> None:
    app = open_page(fresh, tree="short")
    assert "on validation. Test has not judged it yet." in texts(app)
    app.button(key="home_judge_0").click().run()
    assert not app.exception
    assert [one.variant for one in seen(fresh)] == ["unified+retrieval-3"]
    assert "on test" in texts(app)
    assert "Leader on validation: **unified+retrieval-3**" in texts(app)
