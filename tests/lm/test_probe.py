"""The probe of a base: what works, what is done about what does not, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from bench.architectures import write_tiny
from engine.core.errors import EngineError
from engine.core.paths import read_json, write_json
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


def _without_half(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def _with_no_numbers(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = torch.full_like(tensors["model.norm.weight"], float("nan"))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _settings(folder: Path, **more: Any) -> None:
    write_json(folder / "config.json", {**read_json(folder / "config.json"), **more})


def _template(folder: Path, said: str) -> None:
    text = "{% for one in messages %}<{{ one.role }}>" + said + "{{ eos_token }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(text)


_BROKEN: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "fp8": (lambda folder: _settings(folder, quantization_config={"quant_method": "fp8"}), "packed (fp8)",
            "full precision"),
    "adapter": (lambda folder: (folder / "adapter_config.json").write_text("{}"), "holds an adapter",
                "import-adapters"),
    "pointer": (lambda folder: (folder / "model.safetensors").write_text("version https://git-lfs.github.com"),
                "pointer of Git LFS", "git lfs pull"),
    "half": (_without_half, "cannot be loaded", "missing or damaged"),
    "shapes": (lambda folder: _settings(folder, intermediate_size=80), "other shapes", "again"),
    "nan": (_with_no_numbers, "no numbers", "again"),
    "cut": (lambda folder: _template(folder, "{{ one.content[:20] }}"), "leaves out or changes", "Mend"),
    "today": (lambda folder: _template(folder, "{% set f = '%d' %}{{ strftime_now(f) }}{{ one.content }}"),
              "every day has other prompts", "Write a date"),
}  # fmt: skip


@pytest.mark.parametrize("name", _BROKEN)
def test_what_would_go_wrong_later_is_refused_with_its_remedy(name: str, folder: Path) -> None:
    breaks, words, remedy = _BROKEN[name]
    breaks(folder)
    card = probe(str(folder))
    (last,) = (one for one in card.findings if one.verdict == "refused")
    assert words in last.detail
    assert remedy in last.hint


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "phi3", "falcon", "mpt", "deepseek_v2"])
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
