"""A base with a short window: runs go through, cuts are counted, who cannot take part is not covered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.architectures import write_tiny
from engine.core.paths import Workspace, read_json
from engine.data import prepare
from engine.lm.load import load_base
from engine.results.comparing.comparison import compare_variants
from engine.results.store import refresh
from engine.strategies.steps.lessons import training_dialogues
from tests.strategies.steps.test_steps import do

_WINDOW, _NEW = 120, 8


def talk(persona: str, number: int, turns: int, words: int) -> dict[str, Any]:
    """A dialogue of so many turns, each of so many words."""
    said = " ".join(["dim the lights please now"] * (words // 5))
    lines = [
        {"role": role, "content": f"{said} {turn}"} for turn in range(turns) for role in ("user", "assistant")
    ]
    return {"persona_id": persona, "session_id": f"{persona}-{number}", "messages": lines}


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three personas over an OPT of few positions: short dialogues, long dialogues, endless messages."""
    root = tmp_path_factory.mktemp("window")
    tokenizer = load_base(str(tiny_base)).tokenizer
    base = write_tiny("opt", root / "base", tokenizer, max_position_embeddings=_WINDOW)
    kinds = {"brief": (2, 5), "chatty": (6, 10), "endless": (2, 200)}
    rows = [talk(name, number, *kind) for name, kind in kinds.items() for number in range(8)]
    (root / "talks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ws = Workspace(root / "ws")
    prepare(ws, dataset=str(root / "talks.jsonl"), base=str(base), domain="chat")
    return ws


def summary(ws: Workspace, run_id: str) -> dict[str, Any]:
    return read_json(ws.run_folder(run_id) / "done.json")["summary"]


def test_scores_are_of_cut_prompts_and_say_so(ws: Workspace) -> None:
    base = do(ws, "base").run_id
    counts = summary(ws, base)
    assert counts["prompts_cut"] > 0
    assert counts["examples_left_out"] > 0
    own = do(ws, "per-persona", epochs=1).run_id
    counts = summary(ws, own)
    assert counts["dialogues_cut"] > 0
    assert counts["dialogues_left_out"] > 0
    assert counts["personas_not_covered"] == 1
    assert set(read_json(ws.adapters(own) / "personas.json")) == {"brief", "chatty"}
    refresh(ws)
    told = "\n".join(compare_variants(ws, reference="base")["warnings"])
    assert "without the oldest turns" in told
    assert "1 persona not covered" in told


def test_a_long_dialogue_is_trained_by_its_newest_turns(ws: Workspace) -> None:
    from engine.runs.context import RunContext
    from engine.runs.runfolder import RunSpec

    base = load_base(str(read_json(ws.config)["base"]))
    spec = RunSpec("per-persona", 1, {"by": "persona"}, 0, "", "")
    rows = training_dialogues(RunContext(ws, spec), base, {"chatty"})
    for row in rows["chatty"]["train"]:
        assert len(row) <= _WINDOW
        assert "now 5" in base.tokenizer.decode(row.ids), "its newest turn"
        assert "now 0" not in base.tokenizer.decode(row.ids), "its oldest turn"
