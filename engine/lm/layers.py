"""Which linear layers of a base get an update: the usual ones of its architecture, and which names there are.

Read from a model folder's configuration and the headers of its safetensors, so that a launch can refuse a
name before anything is loaded. Loads no model code.
"""

import functools
import json
import re
import struct
from collections.abc import Sequence
from pathlib import Path

from engine.core.errors import EngineError, unknown_name
from engine.core.paths import read_json
from engine.core.stamps import Stamp, stamp

AUTO, AUTO_ONE = "auto", "auto-one"
"""The architecture's usual layers, and the first of them alone."""
USUAL: dict[str, tuple[str, ...]] = {
    "bloom": ("query_key_value",),
    "codegen": ("qkv_proj",),
    "falcon": ("query_key_value",),
    "gemma": ("q_proj", "v_proj"),
    "gemma2": ("q_proj", "v_proj"),
    "gemma3_text": ("q_proj", "v_proj"),
    "gpt2": ("c_attn",),
    "gpt_bigcode": ("c_attn",),
    "gpt_neo": ("q_proj", "v_proj"),
    "gpt_neox": ("query_key_value",),
    "gptj": ("q_proj", "v_proj"),
    "llama": ("q_proj", "v_proj"),
    "mistral": ("q_proj", "v_proj"),
    "mixtral": ("q_proj", "v_proj"),
    "mpt": ("Wqkv",),
    "opt": ("q_proj", "v_proj"),
    "phi": ("q_proj", "v_proj", "fc1", "fc2"),
    "qwen2": ("q_proj", "v_proj"),
    "qwen3": ("q_proj", "v_proj"),
    "stablelm": ("q_proj", "v_proj"),
}
"""As PEFT has them (TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING); a test holds them together."""
_KNOWN_SETS = (
    ("q_proj", "v_proj"),
    ("query_key_value",),
    ("qkv_proj",),
    ("c_attn",),
    ("Wqkv",),
    ("q_b_proj", "kv_b_proj"),  # DeepSeek's attention, with and without a small matrix before the queries
    ("q_proj", "kv_b_proj"),
    ("in_proj",),  # Mamba
)
"""What an architecture that PEFT names no layers for is tried with: the first set that it has."""
_PASSED_BY = dict.fromkeys(("falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h"), "out_proj")
"""Architecture -> the layer whose matrix its kernels read without calling the layer, so that no update
reaches it. PEFT refuses it, too (_check_lora_target_modules_mamba)."""
_ROUTERS = ("gate", "router")  # of experts: a matrix, or a layer that says more than its product
_A, _B = ".lora_A.weight", ".lora_B.weight"
_NUMBER, _LIST = re.compile(r"\.\d+\."), re.compile(r"(?:^|\.)(\w+)\.\d+\.")
_NO_LAYER = ("embed", "wte", "wpe", "lm_head", "norm", "ln_")


def usual_layers(folder: Path) -> list[str]:
    """Return the layers that a base gets an update in by default.

    Raises EngineError where its architecture is not known and has none of the usual names.
    """
    kind = str(read_json(folder / "config.json").get("model_type", ""))
    names = layer_names(folder)
    for known in (USUAL.get(kind, ()), *_KNOWN_SETS):
        if known and (names is None or set(known) <= set(names)):
            return list(known)
    raise EngineError(
        f"Which layers of a {kind or 'nameless'} model get an update is not known.",
        f"Name them: --set target_modules=NAME,NAME with names among {', '.join(names or ())}.",
    )


def chosen_layers(folder: Path, asked: Sequence[str]) -> list[str]:
    """Return the names of layers that `asked` means on a base. Raises EngineError for one it has not got."""
    if list(asked) == [AUTO]:
        return sorted(usual_layers(folder))
    if list(asked) == [AUTO_ONE]:
        return usual_layers(folder)[:1]
    if AUTO in asked or AUTO_ONE in asked:
        raise EngineError(
            f"target_modules: {AUTO} and {AUTO_ONE} stand alone, not beside names.", "Give one or the other."
        )
    names = layer_names(folder)
    missing = [] if names is None else [name for name in asked if name not in names]
    if missing:
        raise no_such_layer(missing, names or ())
    return sorted(asked)


def no_such_layer(missing: Sequence[str], known: Sequence[str]) -> EngineError:
    """Return the refusal of layer names that a base has not got."""
    near = unknown_name("layer", missing[0], known).hint if len(missing) == 1 else ""
    guess = near if near.startswith("Did you mean") else ""
    return EngineError(
        f"The base model has no layer called {', '.join(missing)}.{' ' + guess if guess else ''}",
        f"target_modules may hold: {', '.join(sorted(known))}.",
    )


def refuse_prefix(layer_types: Sequence[str] | None) -> None:
    """Raise EngineError for a base whose layers attend in different ways, by its configuration's word."""
    if set(layer_types or ("full_attention",)) != {"full_attention"}:
        raise EngineError(
            "This base model's layers attend in different ways, so it takes no prefix.",
            "Choose a LoRA strategy, or a base with full attention in every layer.",
        )


def refuse_misfit(adapter: Path, base: Path) -> None:
    """Raise EngineError for an adapter's file that changes what a base has not got, or has of another size.

    By the names and sizes at the head of their files; what these leave open lets it pass.
    """
    held, told, names = _sizes(sorted(base.glob("*.safetensors"))), _sizes([adapter]), layer_names(base)
    alike = {_NUMBER.sub(".", name) for name in held}
    for name, (_, wide) in told.items():
        before = name.removesuffix(_A)
        path, b = before.removeprefix("base_model.model."), told.get(before + _B)
        if before == name or b is None or names is None:
            continue
        size, is_named = held.get(f"{path}.weight"), path.rsplit(".", 1)[-1] in names
        if size is not None and sorted(size) != sorted((wide, b[0])):
            fault = f"is of another size than this base in {path}"
        elif size is None and (not is_named or _NUMBER.sub(".", f"{path}.weight") in alike):
            fault = f"changes {path}, which is no linear layer of this base"
        else:
            continue
        raise EngineError(
            f"The adapter in {adapter.parent} {fault}.",
            "Use the base that it was trained over: python -m engine base use NAME",
        )


def _sizes(files: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """The matrices of files by name: (rows, columns)."""
    found = [(name, told.get("shape", [])) for path in files for name, told in (_header(path) or {}).items()]
    return {name: (shape[0], shape[1]) for name, shape in found if len(shape) == 2}


def refuse_offsets(base: Path) -> None:
    """Raise EngineError for a base whose decoder layers are not where offsets are added (activations.py)."""
    names = [name for path in sorted(base.glob("*.safetensors")) for name in _header(path) or {}]
    lists = {found[1] for name in names if (found := _LIST.search(name))}
    if lists and lists.isdisjoint({"layers", "h"}):
        raise EngineError(
            "This base model's layers are not known, so nothing can be added to what they give.",
            "Choose a strategy that trains weights, or another base.",
        )


def layer_names(folder: Path) -> list[str] | None:
    """Return the last names of a base's linear layers, sorted; None where its files do not tell.

    They are the matrices in the safetensors that are no embedding, head or norm. Experts of a mixture are
    left out: they are held as one block.
    """
    names = _named(tuple((path, stamp(path)) for path in sorted(folder.glob("*.safetensors"))))
    kind = str(read_json(folder / "config.json").get("model_type", "")) if names else ""
    return [name for name in names if takes_update(kind, name)] if names else None


def takes_update(architecture: str, name: str) -> bool:
    """Say whether an update of a linear layer of that name is part of what the architecture computes."""
    return _PASSED_BY.get(architecture) != name and name not in _ROUTERS


@functools.lru_cache(maxsize=8)
def _named(files: tuple[tuple[Path, Stamp | None], ...]) -> list[str] | None:
    found = set()
    for path, _ in files:
        for name, told in (_header(path) or {}).items():
            parts = name.removesuffix(".weight").split(".")
            is_matrix = name.endswith(".weight") and len(told.get("shape", ())) == 2
            apart = "experts" in parts or any(mark in parts[-1].lower() for mark in _NO_LAYER)
            if is_matrix and len(parts) > 2 and not apart:
                found.add(parts[-1])
    return sorted(found) or None


def _header(path: Path) -> dict[str, dict[str, list[int]]] | None:
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
        if length > path.stat().st_size:
            return None
        try:
            told = json.loads(file.read(length))
        except ValueError:
            return None
    return {name: one for name, one in told.items() if name != "__metadata__" and isinstance(one, dict)}
