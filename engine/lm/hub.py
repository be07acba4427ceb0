"""Models of the hub: which files of one are needed, where they lie in the cache, and how they get there.

A model whose needed files are in the cache is used without asking the hub. Fetches no other weights (a
second format, another library's), no code and nothing pickled. What the hub refuses is said with the remedy.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from engine.core.base_folder import base_on_disk, decides, has_tokenizer
from engine.core.errors import EngineError, first_line
from engine.core.paths import read_json

POOLING = "1_Pooling/config.json"
"""How a sentence encoder makes one vector of its tokens'."""
_INDEX, _WHOLE = "model.safetensors.index.json", "model.safetensors"


def hub_folder(name: str, *, cache: Path | None = None) -> Path:
    """Return the folder of "owner/name" or "owner/name@revision", fetching what is missing of it.

    Raises EngineError where it is gated, unknown, out of reach, or has no safetensors.
    """
    found = base_on_disk(name, cache=cache)
    if found is not None and not missing_files(found):
        return found
    return _fetch(name, cache, missing_files(found) if found is not None else [])


def missing_files(folder: Path) -> list[str]:
    """Return the files that a model folder lacks of those that loading it takes; empty for none."""
    if not (folder / "config.json").exists():
        return ["config.json"]
    if (folder / _WHOLE).exists():
        shards: list[str] = []
    elif (folder / _INDEX).exists():
        shards = sorted(set(read_json(folder / _INDEX)["weight_map"].values()))
    else:
        return [_WHOLE]
    lacking = [shard for shard in shards if not (folder / shard).exists()]
    return lacking if has_tokenizer(folder) else [*lacking, "tokenizer.json"]


def needed(files: Iterable[str]) -> list[str]:
    """Return the files of a repository that loading takes: configuration, tokenizer, one set of weights."""
    there = [name for name in files if "/" not in name or name == POOLING]
    kept = [name for name in there if decides(name) and not name.endswith(".safetensors")]
    if _WHOLE in there:
        return [*(name for name in kept if name != _INDEX), _WHOLE]
    return [*kept, *(name for name in there if name.startswith("model-") and name.endswith(".safetensors"))]


def _fetch(name: str, cache: Path | None, lacking: list[str]) -> Path:
    import httpx2  # the hub library's HTTP client; it lets some of its errors through
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    owner, _, asked = name.partition("@")
    try:
        told = HfApi().model_info(owner, revision=asked or None)
        files = needed(one.rfilename for one in told.siblings or ())
        if not any(file.endswith(".safetensors") for file in files):
            raise EngineError(
                f"The model {owner} has no safetensors on the hub.",
                "Choose another one, or convert it: model.save_pretrained(DIR), and give the folder.",
            )
        return Path(snapshot_download(owner, revision=told.sha, allow_patterns=files, cache_dir=cache))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, httpx2.HTTPError) as error:
        raise _refusal(error, owner, asked, lacking) from error


def _refusal(error: Exception, owner: str, asked: str, lacking: list[str]) -> EngineError:
    """Word why the hub gave no model, by its kind of refusal, with the remedy for just that."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return EngineError(
            f"The model {owner} is gated: its owner gives it to accounts that have agreed to its terms.",
            f"Agree at https://huggingface.co/{owner}, then let this machine know you: hf auth login "
            "(or set HF_TOKEN).",
        )
    if isinstance(error, RevisionNotFoundError):
        return EngineError(
            f"The model {owner} has no revision {asked}.", "Leave @REVISION out for the newest."
        )
    if isinstance(error, RepositoryNotFoundError):
        has_token = bool(os.environ.get("HF_TOKEN"))
        opens = "and the token of this machine opens no such model"
        token = opens if has_token else "or it is private and this machine has no token"
        return EngineError(
            f"There is no model {owner} on the hub, {token}.",
            "Look at the spelling (owner/name); for a private one: hf auth login (or set HF_TOKEN).",
        )
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
    cached = (
        f"only partly in the hub cache (it lacks {', '.join(lacking)})" if lacking else "not in the hub cache"
    )
    fetched = f"{owner} --revision {asked}" if asked else owner
    return EngineError(
        f"The model {owner} is {cached} and cannot be fetched{offline}: {first_line(error)}",
        f"Fetch it where there is a network: hf download {fetched}; or give a folder.",
    )
