"""Dialogues about no home, from the file to the comparison: over the embedded base, and on the pages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from engine.core.paths import Workspace
from engine.data import load_dataset, load_splits, prepare
from engine.data.augment.preview import preview
from engine.data.dataset import examples
from engine.domains import metrics
from engine.domains.chat import CHAT
from engine.domains.registry import domain_of
from engine.domains.smart_home import SMART_HOME
from engine.lm.effects import Prompt
from engine.lm.remote.prompts import told
from engine.results.comparing.comparison import compare_variants
from tests import in_process
from tests.device_words import WORDS
from tests.domains.chats import write_chats
from tests.pages.conftest import Open, open_page, texts

__all__ = ["open_page"]
SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four users with six dialogues each; base and unified are trained and scored for real."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("chat")
    ws = Workspace(root / "study")
    prepare(ws, dataset=write_chats(root / "chats.jsonl"))
    in_process.do(ws, "unified", {**SETTINGS, "epochs": 1, "rank": 2})
    return ws


def device_words(app: AppTest) -> list[str]:
    shown = [texts(app)]
    shown += [str(table.value.to_dict()) for table in app.dataframe]
    shown += [f"{box.label} {box.options}" for box in app.selectbox]
    shown += [f"{one.label} {one.value}" for one in app.metric]
    return WORDS.findall("\n".join(shown))


def test_no_prompt_speaks_of_a_home_or_tells_a_rating(ws: Workspace) -> None:
    asked = examples(load_dataset(ws), load_splits(ws), "test")
    for one in told(ws, asked, shown=Prompt(profile=True, memories=1)):
        said = one.messages[0]["content"]
        assert said.startswith(f"{CHAT.instruction}\nNow: ")
        assert "rating" not in said
        assert not WORDS.findall(said)


def test_similarity_is_primary_and_no_metric_reads_a_device(ws: Workspace) -> None:
    assert list(metrics.of_study(ws)) == ["embedding_similarity", "length_ratio"]
    found = compare_variants(ws, split="test")
    assert found["metric"] == "embedding_similarity"
    assert {row["variant"] for row in found["rows"]} == {"base", "unified"}
    assert all(row["mean"] is not None for row in found["rows"])


def test_clusters_and_augmentation_go_by_words_alone(ws: Workspace) -> None:
    in_process.do(ws, "clustering", {"k": [2]})
    made = preview(ws, "ana", 3)
    assert {pair.method for pair in made.pairs} == {"spoken"}
    for pair in made.pairs:
        replies = [
            [one.text for one in side.messages if one.role == "assistant"]
            for side in (pair.source, pair.dialogue)
        ]
        assert replies[0] == replies[1]


@pytest.mark.parametrize(
    ("page", "asked"),
    [
        ("data", {}),
        ("data", {"view": "augmentation"}),
        ("data", {"view": "clusters"}),
        ("compare", {}),
        ("persona", {"persona": "ana", "variant": "unified", "split": "val"}),
        ("playground", {"persona": "ana"}),
        ("home", {}),
        ("experiments", {}),
    ],
)
def test_no_page_speaks_of_a_device(open_page: Open, ws: Workspace, page: str, asked: dict[str, str]) -> None:
    app = open_page(ws, page, **asked)
    assert not app.exception
    assert device_words(app) == []


def test_the_data_page_names_the_domain_and_has_no_empty_chart(open_page: Open, ws: Workspace) -> None:
    app = open_page(ws, "data")
    assert "Domain: Chat" in texts(app)
    assert "Devices" not in texts(app)  # the counts of what replies act on, of which there is nothing here
    assert [one.value for one in app.metric if one.label == "Personas"] == ["4"]


def test_where_nothing_acts_what_replies_do_is_not_compared(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "study")
    card = prepare(ws, dataset=write_chats(tmp_path / "chats.jsonl"), domain="smart-home")
    assert any("No reply acts on anything that the domain smart-home knows" in note for note in card["notes"])
    assert list(metrics.of_study(ws)) == ["embedding_similarity", "length_ratio"]
    assert domain_of(ws).co_primary is None
    assert domain_of(ws).identity == SMART_HOME.identity
