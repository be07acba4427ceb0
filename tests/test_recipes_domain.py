"""The recipe "add a domain" of CONTRIBUTING, walked: one file outside engine/, and a study of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.data import load_dataset
from engine.domains import metrics
from engine.domains.registry import domain_of
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.strategies.plan import plan
from tests import in_process
from tests.pages.conftest import Open, open_page, texts
from tests.recipes import recipe

__all__ = ["open_page"]

OWN = recipe("domain")
SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 6}


def write_tickets(path: Path) -> Path:
    lines = [
        {
            "persona_id": f"shop_{shop}",
            "session_id": number,
            "meta": {"channel": "mail", "ticket": number, "solved": True},
            "messages": [
                {"role": "user", "text": "It broke."},
                {"role": "assistant", "text": f"We {'refund' if shop % 2 else 'close'} ticket #{number}."},
            ],
        }
        for shop in range(4)
        for number in range(6)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The recipe's steps: write one file, name it, approve it, import the data again."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("tickets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "own-config"))
        ws, own = Workspace(root / "study"), root / "tickets.py"
        own.write_text(OWN, encoding="utf-8")
        data = ["--dataset", str(write_tickets(root / "tickets.jsonl")), "--base", str(tiny_base)]
        place = ["--workspace", str(ws.root)]
        assert main(["init", *data, *place]) == 0
        assert domain_of(ws).name == "chat"
        assert main(["machine", "--extension", str(own), *place]) == 0
        assert main(["init", *data, "--domain", "tickets", "--force", *place]) == 1, "it is not approved yet"
        assert main(["machine", "--approve", str(own), *place]) == 0
        assert main(["init", *data, "--force", *place]) == 0  # recognised: its file says how
        in_process.do(ws, "base", SETTINGS)
        yield ws  # type: ignore[misc]


def test_the_workspace_and_the_protocol_hold_it(ws: Workspace) -> None:
    assert domain_of(ws).name == ws.read_config()["domain"] == "tickets"
    identity = plan(ws, "base", SETTINGS).target.spec.protocol["domain"]
    assert identity == domain_of(ws).identity
    assert identity.startswith("tickets ")
    assert len(identity) == len("tickets ") + 12  # the first digits of the file's hash


def test_its_metric_is_primary_and_scored(ws: Workspace) -> None:
    assert metrics.primary(ws).name == "acts_right"
    found = compare_variants(ws, split="test")
    assert found["metric"] == "acts_right"
    assert [row["mean"] for row in found["rows"]] == [0.0]
    assert len(store.score_table(ws, metric="acts_right", split="test", protocol=found["protocol"]))


def test_its_words_are_on_the_pages(open_page: Open, ws: Workspace) -> None:
    seen = open_page(ws, "data")
    assert "Domain: Support tickets" in texts(seen)
    assert "What replies act on" in texts(seen)
    assert "Right acts" in open_page(ws, "compare").selectbox(key="compare_metric").options


def test_only_what_it_shows_reaches_a_prompt(ws: Workspace) -> None:
    meta = load_dataset(ws).dialogues[0].meta
    assert set(meta) == {"channel", "ticket", "solved"}
    assert domain_of(ws).facts(meta) == {"channel": "mail"}


def test_a_copied_workspace_asks_for_approval_and_runs_nothing(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(EngineError, match="not approved"):
        domain_of(ws)
