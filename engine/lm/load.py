"""Loading a base model: the embedded one, a folder, or one from the hub. One path for all of them.

Refuses pickled weights and models that bring their own code. Owns the choice of device and dtype.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

from engine.core.base_folder import check_base, local_base
from engine.core.errors import EngineError, first_line
from engine.core.paths import read_json
from engine.core.wording import count
from engine.lm.hub import hub_folder
from engine.lm.template import template_of
from engine.lm.vocabulary import check_ids, padding_id


@dataclass(frozen=True, slots=True)
class Base:
    """A frozen base model in evaluation mode, on its device, with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str

    @property
    def pad_id(self) -> int:
        return padding_id(self.model, self.tokenizer)

    @property
    def dtype(self) -> str:
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def device(self) -> str:
        return self.model.device.type


def load_base(name: str, *, cache: Path | None = None) -> Base:
    """Return the base named "embedded", by folder, or by hub id (`cache`: another hub cache folder).

    The checkpoint's own dtype on a GPU; on a CPU fp32, but bf16 for a checkpoint in bf16 where the processor
    multiplies in it. A tokenizer without a chat template gets a plain
    one ("User: ...", "Assistant: ..."). Raises EngineError when the model is missing, out of reach,
    pickled, has no embedding for some of its tokens, or wants to run code of its own.
    """
    folder = find_base(name, cache=cache)
    check_base(folder)
    disable_progress_bar()  # of loading; a download before has its own
    on_gpu = torch.cuda.is_available()
    try:
        tokenizer = _load_tokenizer(folder)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype="auto" if on_gpu or _has_native_bf16(folder) else torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except ImportError as error:  # of weights that are packed (GPTQ, AWQ), mostly
        raise EngineError(
            f"The base model in {folder} cannot be loaded: {first_line(error)}",
            "Install that, or choose the model in full precision: packed weights are not trained over.",
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _unloadable(folder, error) from error
    model, found = loaded
    if found["missing_keys"]:
        saved = ", ".join(model.config.architectures or ())
        raise EngineError(
            f"The weights in {folder} are incomplete: {count(len(found['missing_keys']), 'tensor')} missing, "
            f"{min(found['missing_keys'])} among them{f'; they are of a {saved}' if saved else ''}.",
            "Download the model again, or one that answers (...ForCausalLM): what is missing would be random"
            " numbers.",
        )
    _take_end(tokenizer, model)
    if tokenizer.eos_token_id is None:
        raise EngineError(
            f"The tokenizer in {folder} has no end-of-text token, so replies would never end.",
            "Set eos_token in its tokenizer_config.json.",
        )
    check_ids(model, tokenizer)
    tokenizer.chat_template = template_of(tokenizer)
    tokenizer.padding_side = "left"
    model.requires_grad_(False).eval()
    try:
        return Base(model.to("cuda") if on_gpu else model, tokenizer, name)
    except torch.OutOfMemoryError as error:
        raise EngineError(
            f"The base model in {folder} does not fit on the GPU: {first_line(error)}",
            "Choose a smaller base, or free the card: nvidia-smi names who is on it.",
        ) from error


def _unloadable(folder: Path, error: Exception) -> EngineError:
    """What keeps a model from being loaded, and what to do about it."""
    what, hint = first_line(error), "It must be a causal language model in transformers' format."
    if isinstance(error, SafetensorError | FileNotFoundError):
        hint = "Download the model again: a file of its weights is missing or damaged."
    elif "ignore_mismatched_sizes" in what:
        what, hint = "its weights have other shapes than its config.json says", "Download the model again."
    return EngineError(f"The base model in {folder} cannot be loaded: {what}", hint)


def _take_end(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Let the token that the model itself stops at end texts, where the tokenizer names none."""
    own: Any = model.generation_config.eos_token_id if model.generation_config is not None else None
    first = own[0] if isinstance(own, list) and own else own
    if tokenizer.eos_token_id is None and isinstance(first, int):
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(first)


def _has_native_bf16(folder: Path) -> bool:
    """Say whether a checkpoint is in bf16 and the processor has instructions for it; without, bf16 crawls."""
    settings = read_json(folder / "config.json")
    stored = settings.get("dtype") or settings.get("torch_dtype")
    return stored == "bfloat16" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer as it was saved.

    For some architectures (qwen2 among them) AutoTokenizer puts the class of the best known model in the
    place of a tokenizer of one's own, which then splits text otherwise than the model was trained on.
    """
    settings = folder / "tokenizer_config.json"
    declared = read_json(settings).get("tokenizer_class") if settings.exists() else None
    own = declared in ("TokenizersBackend", "PreTrainedTokenizerFast")
    kind = PreTrainedTokenizerFast if own and (folder / "tokenizer.json").exists() else AutoTokenizer
    return kind.from_pretrained(folder, trust_remote_code=False)


def find_base(name: str, *, cache: Path | None = None) -> Path:
    """Return the folder of a base by name, fetching a hub model's safetensors and tokenizer when needed."""
    folder = local_base(name)
    return hub_folder(name, cache=cache) if folder is None else folder
