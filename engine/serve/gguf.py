"""One model in one GGUF file, as llama.cpp reads it: made by llama.cpp's own converter.

Owns where the converter is looked for and what is said where it is not. Converts nothing itself.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from engine.core.errors import EngineError
from engine.core.secrecy import environment

CONVERTER: Final = "convert_hf_to_gguf.py"
SETTING: Final = "PERSONA_LAB_LLAMA_CPP"


def converter() -> Path:
    """Return llama.cpp's converter: in the folder that PERSONA_LAB_LLAMA_CPP names, or on PATH.

    Raises EngineError where it is in neither.
    """
    named = os.environ.get(SETTING, "").strip()
    if named:
        found = Path(named).expanduser()
        found = found / CONVERTER if found.is_dir() else found
        if not found.is_file():
            raise EngineError(
                f"{SETTING} names {named}, and there is no {CONVERTER}.", "Name the folder of llama.cpp."
            )
        return found
    on_path = shutil.which(CONVERTER)
    if on_path is None:
        raise EngineError(
            f"GGUF files are made by llama.cpp's {CONVERTER}, which is not on PATH.",
            f"Get llama.cpp (https://github.com/ggml-org/llama.cpp) and set {SETTING} to its folder.",
        )
    return Path(on_path)


def convert(model: Path, file: Path) -> None:
    """Write a model's folder as one GGUF file. Raises EngineError with the converter's last words."""
    script = converter()
    # On PATH it is a program with a Python of its own; in llama.cpp's folder this one runs it.
    by = [] if os.access(script, os.X_OK) and not os.environ.get(SETTING) else [sys.executable]
    command = [*by, str(script), str(model), "--outfile", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode or not file.is_file():
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise EngineError(
            f"llama.cpp's converter could not write it: {said[-1] if said else 'it said nothing'}",
            "A newer llama.cpp knows more models; the folder without --gguf holds the same weights.",
        )
