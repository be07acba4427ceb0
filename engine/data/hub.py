"""Datasets of the Hugging Face hub: "owner/name", "owner/name:config" or "owner/name:config:split".

Owns which files of a repository a config and a split are (its card's header says, else names of folders and
files do), and that what is too large is refused before anything is downloaded. Runs no code of a dataset.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from engine.core.errors import EngineError, unknown_name
from engine.core.limits import allow_more, limits, megabytes
from engine.core.wording import count
from engine.data.folder import files_in
from engine.data.mapping import named_split, split_of
from engine.data.packed import ENDINGS

CARD: Final = "README.md"
PATTERNS: Final = [f"*{ending}" for ending in ENDINGS]
_HUB_ID = re.compile(r"(?P<id>[\w.-]{1,96}/[\w.-]{1,96})(:(?P<config>[\w.-]{1,96})?(:(?P<split>\w{1,40}))?)?")
_MOST_CARD_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the hub: a dataset, one of its configs ("" where it has one), and a split ("":
    all).
    """

    hub_id: str
    config: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The local folder of a dataset, and which of its files were asked for."""

    folder: Path
    files: tuple[Path, ...]


def asked(text: str) -> Asked | None:
    """Return what a text asks of the hub, None where it is no hub id."""
    found = _HUB_ID.fullmatch(text)
    if found is None or text.startswith(".") or found["id"].lower().endswith((*ENDINGS, ".zip")):
        return None
    return Asked(found["id"], found["config"] or "", found["split"] or "")


def download(
    wanted: Asked | str, *, cache: Path | None = None, offline: bool = False, endpoint: str | None = None
) -> Fetched:
    """Return a hub dataset's files, downloading what is missing.

    `cache` is the hub's cache folder (default: its own), `offline` uses that alone, `endpoint` is the hub's
    address (default: its own). Raises EngineError when the dataset, config or split is not there, cannot be
    reached, or is more than is taken, which is asked before anything is downloaded.
    """
    import httpx2  # the hub library's HTTP client; it lets some of its errors through
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    one = Asked(wanted) if isinstance(wanted, str) else wanted
    taken: dict[str, Any] = {
        "endpoint": endpoint,
        "repo_type": "dataset",
        "cache_dir": cache,
        "local_files_only": offline,
    }
    try:
        told = None
        if not (offline or HF_HUB_OFFLINE):
            with suppress(OSError, httpx2.HTTPError):  # not reached: what is in the cache may do
                told = HfApi(endpoint=endpoint).dataset_info(one.hub_id, files_metadata=True, timeout=30)
        patterns = PATTERNS if told is None else _patterns(one, list(told.siblings or ()), taken)
        folder = Path(snapshot_download(one.hub_id, **taken, allow_patterns=[*patterns, CARD]))
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise EngineError(
            f"The hub has no dataset {one.hub_id!r} that you may read (and there is no such path here).",
            "Check the name; for a private or gated dataset log in with `hf auth login`.",
        ) from error
    except LocalEntryNotFoundError as error:
        raise _unreachable(one.hub_id) from error
    except HFValidationError as error:
        raise EngineError(f"{one.hub_id!r} is neither a path nor a hub id.", str(error)) from error
    except (HfHubHTTPError, OSError, httpx2.HTTPError) as error:
        raise _unreachable(one.hub_id, error) from error
    held = files_in(folder, ENDINGS, trusted=store_of(folder))
    names = chosen(one, [path.relative_to(folder).as_posix() for path in held], folder)
    return Fetched(folder, tuple(path for path in held if path.relative_to(folder).as_posix() in names))


def _patterns(one: Asked, siblings: list[Any], taken: Mapping[str, Any]) -> Sequence[str]:
    """Return what to download of a dataset's files. Raises EngineError where that is more than is taken."""
    from huggingface_hub import snapshot_download

    _refuse_large_card(one, siblings)
    header: Path | None = None
    if (one.config or one.split or _may_have_configs(siblings)) and _holds_card(siblings):
        header = Path(snapshot_download(one.hub_id, **taken, allow_patterns=[CARD]))
    names = chosen(one, [file.rfilename for file in siblings], header)
    _refuse_large(one.hub_id, [file for file in siblings if file.rfilename in names])
    return [_literal(name) for name in names] or PATTERNS


def store_of(folder: Path) -> Path | None:
    """The place that the files of a hub's snapshot link to; None for any other folder."""
    repository = folder.parent.parent
    return repository / "blobs" if folder.parent.name == "snapshots" else None


# --- configs and splits


def chosen(one: Asked, names: Sequence[str], card_folder: Path | None) -> frozenset[str]:
    """Return which of a repository's files are asked for. Raises EngineError where several configs might
    be.
    """
    data = [name for name in names if name.lower().endswith(ENDINGS)]
    configs = _configs(card_folder, data)
    if one.config and one.config not in configs:
        raise unknown_name(f"config of {one.hub_id}", one.config, configs)
    if not one.config and len(configs) > 1 and "default" not in configs:
        some = ", ".join(sorted(configs)[:12])
        raise EngineError(
            f"{one.hub_id} has several configs: {some}.", f"Name one: {one.hub_id}:{sorted(configs)[0]}"
        )
    name = one.config or ("default" if "default" in configs else next(iter(configs), ""))
    splits = configs.get(name, {"": data})
    if not one.split:
        return frozenset(file for files in splits.values() for file in files)
    known = {named_split(split) or split for split in splits}
    wanted = named_split(one.split) or one.split
    if wanted not in known:
        raise unknown_name(f"split of {one.hub_id}", one.split, splits)
    return frozenset(
        file for split, files in splits.items() if (named_split(split) or split) == wanted for file in files
    )


def _configs(card_folder: Path | None, data: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Config -> split -> files: as the card's header says, else a folder a config, as the names tell."""
    header = _header(card_folder / CARD) if card_folder is not None else {}
    found: dict[str, dict[str, list[str]]] = {}
    listed = header.get("configs")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("config_name"), str):
            splits = _data_files(entry.get("data_files"), data, str(entry.get("data_dir") or ""))
            if any(splits.values()):
                found[entry["config_name"]] = splits
    if found:
        return found
    folders = {name.split("/")[0] for name in data if name.count("/") == 1 and split_of(Path(name))} - {
        "data"
    }
    for folder in sorted(folders):
        inside = [name for name in data if name.startswith(f"{folder}/")]
        found[folder] = _by_split(inside)
    return found or {"default": _by_split(data)}


def _by_split(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(split_of(Path(name)), []).append(name)
    return found


def _data_files(told: Any, data: Sequence[str], folder: str) -> dict[str, list[str]]:
    """What a config says of its files: a pattern, a list of them, or {split, path} each."""
    if told is None and folder:
        return _by_split(name for name in data if name.startswith(f"{folder.strip('/')}/"))
    entries = told if isinstance(told, list) else [told]
    found: dict[str, list[str]] = {}
    for entry in entries:
        split, path = (entry.get("split", ""), entry.get("path")) if isinstance(entry, dict) else ("", entry)
        for pattern in path if isinstance(path, list) else [path]:
            if isinstance(pattern, str):
                named = [name for name in data if fnmatch(name, pattern.removeprefix("./"))]
                for name in named:
                    found.setdefault(str(split) or split_of(Path(name)), []).append(name)
    return found


def _header(path: Path) -> dict[str, Any]:
    """The YAML between the first two lines of dashes of a card; {} where there is none that can be read."""
    import yaml

    try:
        text = path.read_bytes()[:_MOST_CARD_BYTES].decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return {}
    found = re.match(r"\ufeff?---\n(.*?)\n---", text, re.DOTALL)
    try:
        header = yaml.load(found[1], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if found else {}
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}


def _literal(name: str) -> str:
    """A pattern that only this name fits."""
    return re.sub(r"[*?\[]", lambda sign: f"[{sign[0]}]", name)


def _holds_card(siblings: Iterable[Any]) -> bool:
    return any(file.rfilename == CARD for file in siblings)


def _may_have_configs(siblings: Iterable[Any]) -> bool:
    return sum(file.rfilename.lower().endswith(ENDINGS) for file in siblings) > 1


def _refuse_large_card(one: Asked, siblings: Iterable[Any]) -> None:
    size = max((file.size or 0 for file in siblings if file.rfilename == CARD), default=0)
    if size > 10 * _MOST_CARD_BYTES:
        raise EngineError(
            f"{one.hub_id}: its {CARD} has {megabytes(size)}.", "Download its files, and name the folder."
        )


def _refuse_large(hub_id: str, wanted: Sequence[Any]) -> None:
    """Raise EngineError when the files that would be downloaded are too many or too large."""
    total, allowed = sum(file.size or 0 for file in wanted), limits()
    if total > allowed.hub_bytes or len(wanted) > allowed.files:
        raise EngineError(
            f"{hub_id} is too large: {count(len(wanted), 'file')} of data, {megabytes(total)}"
            f" (at most {allowed.files:,} files, {megabytes(allowed.hub_bytes)}).",
            f"Name a config and a split ({hub_id}:CONFIG:SPLIT), download the part you need and"
            " give its folder,"
            f" or allow more: {allow_more('hub_bytes', total)}",
        )


def _unreachable(hub_id: str, error: Exception | None = None) -> EngineError:
    why = f": {' '.join(str(error).split())[:200]}" if error else ""
    return EngineError(
        f"{hub_id!r} is no path here, not in the local hub cache, and the hub was not reached{why}.",
        "Check the connection (or HF_HUB_OFFLINE), or download the files and give their folder.",
    )
