"""Loading a base: what is refused, with which words, and what the hub cache gives without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers.utils.logging import enable_progress_bar

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY
from engine.lm.encode import encode_chat, encode_prompt
from engine.lm.generate import generate
from engine.lm.load import find_base, load_base
from engine.lm.template import PLAIN_TEMPLATE

CHAT = [{"role": "user", "content": "Dim the lights."}]


@pytest.fixture
def folder(tiny_base: Path, tmp_path: Path) -> Path:
    """A copy of the tiny base that a test may spoil."""
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def refusal(folder: Path | str) -> EngineError:
    with pytest.raises(EngineError) as caught:
        load_base(str(folder))
    assert caught.value.hint
    return caught.value


def test_a_folder_is_loaded_frozen_in_fp32_and_ready_to_answer(tiny_base: Path) -> None:
    base = load_base(str(tiny_base))
    assert (base.dtype, base.device, base.name) == ("float32", "cpu", str(tiny_base))
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert base.tokenizer.padding_side == "left"


def test_nothing_is_printed_while_a_model_is_loaded(
    tiny_base: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    enable_progress_bar()
    load_base(str(tiny_base))
    assert capfd.readouterr() == ("", "")


def test_the_tokenizer_splits_text_as_it_did_when_it_was_saved(tiny_base: Path) -> None:
    ours = load_base(str(tiny_base)).tokenizer
    saved = Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    text = "Set it to 35% brightness,\n not 100. It's 7 degrees; déjà vu!"
    assert (
        ours(text, add_special_tokens=False)["input_ids"] == saved.encode(text, add_special_tokens=False).ids
    )
    # Every number up to 100 is one token, which is what lets a small model copy it.
    assert all(len(ours.tokenize(f" {number}")) == 1 for number in range(101))


@pytest.mark.parametrize(("native", "computed"), [(True, "bfloat16"), (False, "float32")])
def test_a_checkpoint_in_bf16_stays_so_where_the_processor_multiplies_in_it(
    folder: Path, native: bool, computed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    weights = load_file(folder / "model.safetensors")
    halves = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    rewrite(folder / "config.json", lambda config: config.update(dtype="bfloat16"))
    assert load_base(str(folder)).dtype == computed


def test_a_card_without_room_is_an_error_of_ours(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.nn.Module.to", full)
    assert "does not fit on the GPU" in refusal(tiny_base).message


def test_pickles_alone_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    error = refusal(folder)
    assert "pickled" in error.message
    assert "pytorch_model.bin" in error.message


def test_beside_safetensors_a_pickle_is_never_opened(folder: Path, tiny_base: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 3'\ntR.")
    ours, theirs = load_base(str(folder)).model.state_dict(), load_base(str(tiny_base)).model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_folder_without_weights_or_without_a_config_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "no weights" in refusal(folder).message
    (folder / "config.json").unlink()
    assert "no config.json" in refusal(folder).message


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_that_a_model_brings_is_never_run(folder: Path, name: str) -> None:
    """Where transformers has the architecture its own class is taken, else the model is refused."""
    mark = folder / "ran"
    (folder / "modeling.py").write_text(f"open({str(mark)!r}, 'w')\n")
    rewrite(folder / name, lambda config: config.update(auto_map={"AutoModelForCausalLM": "modeling.Model"}))
    assert load_base(str(folder)).model.config.model_type == "qwen2"
    rewrite(folder / "config.json", lambda config: config.update(model_type="qwen0"))
    assert "run code" in refusal(folder).message
    assert not mark.exists()


def test_garbage_for_weights_is_an_error_of_ours(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!" * 50)
    assert "cannot be loaded" in refusal(folder).message


def test_weights_cut_off_in_a_download_are_an_error_of_ours(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "cannot be loaded" in refusal(folder).message


def test_missing_tensors_are_not_made_up(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    error = refusal(folder)
    assert "incomplete" in error.message
    assert "model.layers.1.mlp.up_proj.weight" in error.message


@pytest.mark.parametrize("content", ['{"model_type": "no-such-architecture"}', "[1, 2]", '{"model_type": '])
def test_a_config_that_means_nothing_is_an_error_of_ours(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    refusal(folder)


def test_a_folder_without_a_tokenizer_is_an_error_of_ours(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()
    assert "no tokenizer" in refusal(folder).message


def test_a_tokenizer_without_a_chat_template_gets_the_plain_one(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    rewrite(folder / "tokenizer_config.json", lambda config: config.pop("chat_template", None))
    base = load_base(str(folder))
    assert base.tokenizer.chat_template == PLAIN_TEMPLATE
    prompt = encode_prompt(base.tokenizer, CHAT)
    assert base.tokenizer.decode(prompt) == "User: Dim the lights.\nAssistant:"
    assert generate(base.model, base.tokenizer, [prompt], max_new_tokens=4)[0].reply_tokens <= 4


def test_a_tokenizer_without_an_end_token_takes_the_models_or_is_refused(folder: Path) -> None:
    own = load_base(str(folder)).tokenizer.eos_token
    rewrite(folder / "tokenizer_config.json", lambda config: config.pop("eos_token"))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    assert load_base(str(folder)).tokenizer.eos_token == own
    for name in ("config.json", "generation_config.json"):
        rewrite(folder / name, lambda config: config.pop("eos_token_id", None))
    assert "no end-of-text token" in refusal(folder).message


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "~/nowhere", "one-word", "a/b/c"])
def test_a_name_that_can_be_nothing_is_refused_without_asking_the_hub(name: str) -> None:
    with pytest.raises(EngineError, match="There is no base model at") as caught:
        find_base(name)
    assert "embedded" in caught.value.hint


def test_an_impossible_hub_id_is_an_error_of_ours() -> None:
    with pytest.raises(EngineError, match="-bad-./name"):
        find_base("-bad-./name")


def hub_cache(home: Path, folder: Path, name: str) -> None:
    """Lay out a model as the hub library caches it."""
    owner, model = name.split("/")
    cached = home / "hub" / f"models--{owner}--{model}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)


OFFLINE = """
from engine.core.errors import EngineError
from engine.lm.load import load_base
base = load_base("lab/tiny")
print(base.name, sum(p.numel() for p in base.model.parameters()))
print(load_base("lab/tiny@0123456789abcdef0123456789abcdef01234567").name)
try:
    load_base("lab/absent")
except EngineError as error:
    print(error.message.replace("\\n", " "), "|", error.hint)
"""


def test_a_hub_id_is_found_in_the_local_cache_without_a_network(tiny_base: Path, tmp_path: Path) -> None:
    hub_cache(tmp_path, tiny_base, "lab/tiny")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_"))}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        env={**kept, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, pinned, absent = done.stdout.splitlines()
    assert pinned == "lab/tiny@0123456789abcdef0123456789abcdef01234567"
    parameters = sum(parameter.numel() for parameter in load_base(str(tiny_base)).model.parameters())
    assert found == f"lab/tiny {parameters}"
    assert "lab/absent is not in the hub cache" in absent
    assert "HF_HUB_OFFLINE is set" in absent
    assert "hf download lab/absent" in absent


def with_bos(folder: Path, *, template: str | None) -> None:
    """Let a folder's tokenizer put <|im_start|> before every text, with a chat template or without."""
    base = load_base(str(folder))
    tokenizer = base.tokenizer
    tokenizer.bos_token = "<|im_start|>"
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.bos_token_id)]
    )
    tokenizer.chat_template = template
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)


OWN_BOS = "{{ bos_token }}{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}"


@pytest.mark.parametrize("template", [None, OWN_BOS], ids=["plain", "its own"])
def test_a_bos_is_there_once_where_the_tokenizer_or_the_template_begins_with_one(
    folder: Path, template: str | None
) -> None:
    with_bos(folder, template=template)
    tokenizer = load_base(str(folder)).tokenizer
    assert tokenizer("Hello")["input_ids"][0] == tokenizer.bos_token_id
    for ids in (
        encode_prompt(tokenizer, CHAT),
        list(encode_chat(tokenizer, [*CHAT, {"role": "assistant", "content": "Done."}]).ids),
    ):
        assert ids[0] == tokenizer.bos_token_id
        assert ids.count(tokenizer.bos_token_id) == 1


def added(folder: Path, **tokens: str) -> None:
    """Add tokens to a folder's tokenizer, but not to the model."""
    tokenizer = load_base(str(folder)).tokenizer
    tokenizer.add_special_tokens(dict(tokens))
    tokenizer.save_pretrained(folder)


def test_tokens_without_an_embedding_are_refused_in_words(folder: Path) -> None:
    added(folder, eos_token="<|mine|>")
    error = refusal(folder)
    assert "<|mine|>" in error.message
    assert "2048 rows" in error.message
    assert "resize_token_embeddings" in error.hint


def test_padding_without_an_embedding_is_never_seen(folder: Path) -> None:
    added(folder, pad_token="<|pad|>")
    base = load_base(str(folder))
    assert base.tokenizer.pad_token_id == 2048
    assert base.pad_id == 0
    prompts = [encode_prompt(base.tokenizer, CHAT), encode_prompt(base.tokenizer, CHAT * 3)]
    together = generate(base.model, base.tokenizer, prompts, max_new_tokens=4)
    alone = [generate(base.model, base.tokenizer, [one], max_new_tokens=4)[0] for one in prompts]
    assert [reply.text for reply in together] == [reply.text for reply in alone]


def test_a_tokenizer_without_padding_needs_none(folder: Path) -> None:
    rewrite(folder / "tokenizer_config.json", lambda config: config.pop("pad_token"))
    base = load_base(str(folder))
    assert base.tokenizer.pad_token_id is None
    assert base.pad_id == 0


def test_an_embedding_with_more_rows_than_tokens_is_fine(folder: Path) -> None:
    base = load_base(str(folder))
    base.model.resize_token_embeddings(2112)
    base.model.save_pretrained(folder)
    assert load_base(str(folder)).model.get_input_embeddings().weight.shape[0] == 2112
