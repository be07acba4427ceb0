"""The table of architectures, in small: what it says holds, and it would say so if it did not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.architectures import ZOO, Found, _chats, look_at, main
from engine.lm import reply_loss
from engine.lm.load import Base, load_base

KINDS = ("granite", "gemma2", "gpt2", "falcon", "mpt", "phi3", "qwen2_moe", "deepseek_v3")


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> Base:
    torch.set_num_threads(1)
    return load_base(str(tiny_base))


@pytest.mark.parametrize("name", KINDS)
def test_loss_texts_and_exports_are_as_the_ordinary_tools_have_them(
    base: Base, tmp_path: Path, name: str
) -> None:
    found = look_at(name, base.tokenizer, _chats(), tmp_path)
    assert found.holds, found
    assert found.changes_logits is (name in ("granite", "gemma2"))


def test_a_loss_without_the_models_own_tail_is_seen(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply_loss, "is_bare_matrix", lambda model: True)
    found = look_at("granite", base.tokenizer, _chats(), tmp_path)
    assert not found.holds
    assert found.loss is not None
    assert found.loss > 1e-2


def test_one_that_breaks_is_a_row_and_the_rest_follow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(name: str, *_: Any) -> Found:
        if name == "gpt2":
            raise IndexError("out of\nrange")
        return Found(name, probe=0.0, loss=0.0, same_texts=True, round_trip=0.0)

    monkeypatch.setattr(sys, "argv", ["architectures", "gpt2", "llama"])
    with pytest.raises(SystemExit, match="gpt2"):
        main(look)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert rows == [
        "| gpt2 | **failed: IndexError: out of range** | | | | |",
        "| llama | head | 0.0e+00 | 0.0e+00 | same | 0.0e+00 |",
    ]


@pytest.mark.parametrize(
    "broken", [{"probe": 0.1}, {"loss": None}, {"same_texts": False}, {"round_trip": 2e-4}]
)
def test_one_column_that_does_not_hold_is_enough(broken: dict[str, Any]) -> None:
    good: dict[str, Any] = {"probe": 0.0, "loss": 1e-6, "same_texts": True, "round_trip": 0.0}
    assert Found("llama", **good).holds
    assert not Found("llama", **{**good, **broken}).holds


def test_the_table_has_the_architectures_that_people_use() -> None:
    assert {*KINDS, "llama", "qwen2", "qwen3", "mistral", "mixtral", "gemma3_text", "smollm3"} <= ZOO.keys()
