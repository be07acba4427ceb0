"""The probe of a base: what works, what is done about what does not, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from bench.architectures import write_tiny
from engine.core.errors import EngineError
from engine.lm import probe as probing
from engine.lm.load import load_base
from engine.lm.probe import Card, probe
from tests.lm.test_layers import SHAPES
from tests.lm.test_turns import GEMMA, QWEN3


@pytest.fixture
def folder(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


def verdicts(card: Card) -> dict[str, str]:
    return {one.name: one.verdict for one in card.findings}


def test_of_a_good_base_everything_works(tiny_base: Path) -> None:
    card = probe(str(tiny_base))
    assert card.usable
    assert set(verdicts(card).values()) == {"works"}
    assert card.facts["usual_layers"] == ["q_proj", "v_proj"]
    assert card.facts["window"] == 1024
    assert card.facts["step_seconds"] > 0 < card.facts["reply_seconds"]


def test_no_system_role_and_alternating_turns_are_mended(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(GEMMA)
    card = probe(str(folder))
    assert card.usable
    mended = {name for name, verdict in verdicts(card).items() if verdict == "mended"}
    assert mended == {"System message", "Two turns of one role"}


def test_rewritten_turns_and_thinking_are_mended(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(QWEN3)
    found = verdicts(probe(str(folder)))
    assert (found["A longer chat"], found["Thinking"]) == ("mended", "mended")


def test_tokens_beyond_the_embedding_are_refused_unless_they_are_padding(folder: Path) -> None:
    tokenizer = load_base(str(folder)).tokenizer
    tokenizer.add_special_tokens({"pad_token": "<pads>"})
    tokenizer.save_pretrained(folder)
    assert verdicts(probe(str(folder)))["Token ids"] == "mended"
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(folder)
    card = probe(str(folder))
    assert not card.usable
    assert "<more>" in card.findings[-1].detail
    with pytest.raises(EngineError, match="cannot be the base. Weights and tokenizer"):
        card.refuse()


def test_what_does_not_fit_is_refused_before_it_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "free_bytes", lambda device: 1000)
    card = probe(str(folder))
    assert list(verdicts(card).items())[-1] == ("Memory", "refused")


def test_a_window_that_holds_no_dialogue_is_refused_in_words(folder: Path, tmp_path: Path) -> None:
    write_tiny("gpt2", tmp_path / "short", load_base(str(folder)).tokenizer, n_positions=48)
    last = probe(str(tmp_path / "short")).findings[-1]
    assert (last.name, last.verdict) == ("Window", "refused"), last
    assert "48 tokens" in last.detail


def test_what_cannot_be_loaded_is_a_refusal_and_no_error(folder: Path, tmp_path: Path) -> None:
    assert verdicts(probe(str(tmp_path / "nowhere"))) == {"Files": "refused"}
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    card = probe(str(folder))
    assert "pickled" in card.findings[-1].detail
    assert card.findings[-1].hint
    json.dumps(card.as_json())


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "phi3", "falcon", "mpt"])
def test_other_architectures_train_on_their_usual_layers(kind: str, folder: Path, tmp_path: Path) -> None:
    tokenizer = load_base(str(folder)).tokenizer
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **SHAPES[kind])
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / kind)
    tokenizer.save_pretrained(tmp_path / kind)
    card = probe(str(tmp_path / kind))
    assert card.usable, card.findings[-1]


@pytest.mark.parametrize(
    ("kind", "shape", "stage", "words"),
    [
        ("bert", {"intermediate_size": 32}, "Reading order", "depends on those behind it"),
        ("openai-gpt", {"n_embd": 16, "n_layer": 2, "n_head": 2}, "Use", "breaks when it is used"),
        ("ctrl", {"n_embd": 16, "n_layer": 2, "n_head": 2, "dff": 32}, "Layers", "not known"),
    ],
)
def test_architectures_that_cannot_answer_here_are_refused_in_words(
    kind: str, shape: dict[str, int], stage: str, words: str, folder: Path, tmp_path: Path
) -> None:
    tokenizer = load_base(str(folder)).tokenizer
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2} if kind == "bert" else {}
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), initializer_range=0.3, **sizes, **shape)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / kind)
    tokenizer.save_pretrained(tmp_path / kind)
    last = probe(str(tmp_path / kind)).findings[-1]
    assert (last.name, last.verdict) == (stage, "refused"), last
    assert words in last.detail
    assert last.hint
