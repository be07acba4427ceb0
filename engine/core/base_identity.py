"""Which base model a name means, for good: a hub id pinned to its revision, a folder by what its files hold.

Owns the pinning and the fingerprint. Loads no model and fetches none: of the hub it asks for one revision.
"""

import functools
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from engine.core import integrity
from engine.core.base_folder import deciding_files, local_base
from engine.core.errors import EngineError, first_line
from engine.core.paths import Workspace, read_json
from engine.core.stamps import Stamp, stamp

_SMALL_BASE_BYTES = 64 * 1024 * 1024
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BLOB = re.compile(r"[0-9a-f]{64}")
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class BaseIdentity:
    """A base's name, a hub id with its revision (owner/name@commit), and what tells its contents apart."""

    name: str
    fingerprint: str


def base_of(ws: Workspace) -> BaseIdentity:
    """Return the base of a workspace as it is now.

    A workspace made before hub ids were pinned stands on the revision in the hub cache. Raises EngineError
    when there is no workspace, no base, or no revision.
    """
    name = str(ws.read_config()["base"])
    if local_base(name) is None and hub_id(name)[1] is None:
        commit = _cached_commit(name, "main")
        if commit is None:
            raise EngineError(
                f"The base model {name} has no revision yet: it is not in the hub cache.",
                f"Fetch it: hf download {name}",
            )
        name = f"{name}@{commit}"
    return BaseIdentity(name, fingerprint_base(name))


def hub_id(name: str) -> tuple[str, str | None]:
    """Return the hub id and the revision of "owner/name@revision"; None for no revision."""
    owner, _, revision = name.partition("@")
    return owner, revision or None


def shown_base(name: str) -> str:
    """Return a base's name for screens: of a commit its first digits."""
    owner, revision = hub_id(name)
    return f"{owner}@{revision[:8]}" if revision and _COMMIT.fullmatch(revision) else name


def peft_base(name: str) -> tuple[str | None, str | None]:
    """Return the base of an adapter as PEFT finds it: a folder, or a hub id and revision; None for none."""
    if not name:
        return None, None
    folder = local_base(name)
    return hub_id(name) if folder is None else (str(folder), None)


def pin_base(name: str, *, cache: Path | None = None) -> str:
    """Return a base's name that means the same model for ever: a hub id with the commit it is at.

    The commit is that of the hub cache, else the hub's own. Embedded and folders are what they are. Raises
    EngineError for no folder, and where neither cache nor hub tells the commit.
    """
    if local_base(name) is not None:
        return name
    owner, revision = hub_id(name)
    if revision is not None and _COMMIT.fullmatch(revision):
        return name
    commit = _cached_commit(owner, revision or "main", cache) or _hub_commit(owner, revision)
    return f"{owner}@{commit}"


def fingerprint_base(name: str) -> str:
    """Return what tells one base model from another of the same name.

    It is a hash of weights, tokenizer, chat template and configuration; of a pinned hub id the commit, which
    is one; "" for a hub id without. Raises EngineError when a local base is not there.
    """
    folder = local_base(name)
    if folder is None:
        revision = hub_id(name)[1] or ""
        return revision[:_DIGITS] if _COMMIT.fullmatch(revision) else ""
    paths = deciding_files(folder)
    return _hash_base(tuple((path, stamp(path)) for path in paths))


def refuse_other_base(name: str, fingerprint: str) -> None:
    """Raise EngineError when a base is no longer the one that a run was launched with."""
    if fingerprint and fingerprint_base(name) != fingerprint:
        raise EngineError(
            f"The base model {name} was changed since this run was launched.",
            "Launch the experiment again: on the changed base it is another run.",
        )


def refuse_other_weights(ws: Workspace, run_id: str) -> None:
    """Raise EngineError when a run's adapters were trained over other weights than today's base has."""
    path = ws.run_folder(run_id) / "spec.json"
    if not path.exists():
        return
    spec, now = read_json(path), base_of(ws)
    if not _may_be(BaseIdentity(str(spec["base"]), str(spec.get("base_fingerprint", ""))), now):
        raise EngineError(
            f"{run_id} was trained over other weights than those that {now.name} has today.",
            f"Train it again over these: python -m engine run {run_id.rpartition('-')[0]}. "
            f"Or go back to its own: python -m engine base use {spec['base']}",
        )


def _may_be(told: BaseIdentity, now: BaseIdentity) -> bool:
    """Say whether a base as a run tells of it is today's, as far as was written down.

    Runs made before contents were hashed tell of a large base only its files' sizes, of a hub id nothing.
    """
    if told.fingerprint == now.fingerprint:
        return True
    folder = local_base(now.name)
    if folder is None:
        return not told.fingerprint and hub_id(now.name)[0] == told.name
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors", ".jinja"))
    return _hash_base(tuple((path, stamp(path)) for path in paths), by_size=True) == told.fingerprint


@functools.lru_cache(maxsize=8)
def _hash_base(files: tuple[tuple[Path, Stamp | None], ...], *, by_size: bool = False) -> str:
    """Small bases are hashed as a whole, the weights of large ones each by itself, once for each stamp."""
    sizes = [path.stat().st_size for path, _ in files]
    whole = sum(sizes) <= _SMALL_BASE_BYTES
    digest = hashlib.sha256()
    for (path, _), size in zip(files, sizes, strict=True):
        digest.update(f"{path.name}:{size};".encode())
        if whole or path.suffix != ".safetensors":
            digest.update(path.read_bytes())
        elif not by_size:
            digest.update(_sha256(path).encode())
    return digest.hexdigest()[:_DIGITS]


def _sha256(path: Path) -> str:
    """The sha256 of a large file. The hub's cache names files by it; else it is kept while the file stays."""
    blob = path.resolve()
    return blob.name if blob.parent.name == "blobs" and _BLOB.fullmatch(blob.name) else integrity.sha256(blob)


def _cached_commit(owner: str, revision: str, cache: Path | None = None) -> str | None:
    """The commit that the hub cache holds of a branch or tag; None where it holds none."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(cache or HF_HUB_CACHE) / f"models--{owner.replace('/', '--')}"
    try:
        commit = (folder / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return commit if _COMMIT.fullmatch(commit) and (folder / "snapshots" / commit).is_dir() else None


def _hub_commit(owner: str, revision: str | None) -> str:
    import httpx2  # the hub library's HTTP client; it lets some of its errors through
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        commit = HfApi().model_info(owner, revision=revision).sha
    except (HfHubHTTPError, HFValidationError, OSError, ValueError, httpx2.HTTPError) as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise EngineError(
            f"The model {owner} cannot be pinned to a revision: it is not in the hub cache, and the hub "
            f"does not answer{offline}: {first_line(error)}",
            f"Fetch it where there is a network: hf download {owner}; or give a folder.",
        ) from error
    if not commit:
        raise EngineError(f"The hub names no revision of {owner}.", "Give one: owner/name@revision.")
    return str(commit)
