"""The main door of the data layer: from a name, a path or an upload to a workspace ready for runs.

Owns the order of things: fetch, make ready, write, and workspace.json last. Refuses to
replace data that runs were made with.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack

from engine.core import integrity
from engine.core.base_folder import EMBEDDED, SMOLLM2, local_base
from engine.core.base_identity import hub_id, pin_base
from engine.core.errors import EngineError, Fault
from engine.core.machine import changes
from engine.core.paths import Workspace, embedded_base, read_json, write_json
from engine.data.archive import Upload, named, unpack_upload
from engine.data.checks import check_splits, keep_repeats, repeats
from engine.data.choices import Choices, Options, refuse_unloadable
from engine.data.dataset import (
    CARD,
    SPLITS,
    TRUTH,
    data_hash,
    dataset_files,
    example_turns,
    hash_of,
    json_lines,
)
from engine.data.likeness import Pair
from engine.data.lines import read_lines
from engine.data.ready import Ready, card_of, make_ready
from engine.data.sources import Source, find_source
from engine.data.splits import export_edgesplits, hash_splits, split_statistics
from engine.data.staging import incoming, json_bytes, move_in, write_parts
from engine.domains.registry import domain_of

_DECISIVE = ("dataset/personas.jsonl", "dataset/dialogues.jsonl", "dataset/truth.jsonl", "splits/splits.json")


@changes("import data", least="own")
def prepare(ws: Workspace, *, dataset: str | Path, **options: Unpack[Options]) -> dict[str, Any]:
    """Import `dataset` ("world:NAME", a path or a hub id) into the workspace; return its card.

    `personas` takes a seeded subset, `dialogues` the first so many of each persona (for a world: their
    numbers). "auto" splits by time where every persona has 5 dialogues, else by persona; `min_dialogues`
    leaves out whoever has fewer, `unseen` keeps a share of the personas out of all training. `map` says which
    column is what (mapping.py), `task` which task of a benchmark. `keep_good` leaves faulty rows out and
    lists them in the card; `domain` is what the data is about (None: as it looks); `force` replaces data that
    has no runs yet. The returned card also holds "unchanged": True when the workspace held exactly this
    already. Raises EngineError (DataError with all faults), and then the workspace is as it was.
    """
    choices = Choices(**options)
    with incoming(ws) as staging:
        source = find_source(
            dataset,
            staging / "source",
            personas=choices.personas,
            dialogues=choices.dialogues,
            seed=choices.seed,
        )
        return _prepare(ws, source, choices, staging)


@changes("import data", least="own")
def prepare_upload(ws: Workspace, files: Upload, **options: Unpack[Options]) -> dict[str, Any]:
    """Import uploaded files (names with contents: files of data, or one .zip) as `prepare` does for a
    path.
    """
    choices = Choices(**options)
    with incoming(ws) as staging:
        unpack_upload(files, staging / "source")
        source = Source(named(files), staging / "source")
        return _prepare(ws, source, choices, staging)


def _prepare(ws: Workspace, source: Source, choices: Choices, staging: Path) -> dict[str, Any]:
    ready = make_ready(ws, source, choices)
    files = dataset_files(ready.dataset)
    card = card_of(ready, data_hash(files))
    found = repeats(ready.dataset, ready.splits)
    splits = _splits_record(ready, found)
    config = {
        "dataset": {
            "source": source.label,
            "data_hash": card["data_hash"],
            "personas": len(ready.dataset.personas),
            "dialogues": len(ready.dataset.dialogues),
            **({} if ready.acts else {"acts": False}),
        },
        "domain": ready.domain.name,
        "base": _base_name(ws, choices.base),
        "split": ready.splits.scheme,
        "seed": choices.seed,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    truth = _truth(ready)
    files |= {CARD: json_bytes(card)} | ({TRUTH: json_lines(truth)} if truth else {})
    exported = export_edgesplits(ready.dataset, ready.splits)
    divided = {SPLITS: json_bytes(splits), "edgesplits.json": json_bytes(exported)}
    config |= noted(files, divided) | _noted_base(str(config["base"]))
    is_same = _is_same(ws, config, splits, choices)
    if is_same and not integrity.changed(ws):
        _take_up_base(ws, config)
        return {**read_json(ws.dataset / CARD), "unchanged": True}
    if not is_same:
        _refuse_loss(ws, config, splits, force=choices.force)
    move_in(write_parts(staging, ws, files, divided, config), aside=staging / "aside")
    keep_repeats(ws, found)
    return card | {"unchanged": False}


def noted(dataset: Mapping[str, bytes], splits: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """Return what workspace.json says of the files written beside it (engine/core/integrity.py)."""
    places = {"dataset": dataset, "splits": splits}
    return {
        "files": {
            f"{place}/{name}": digest
            for place, contents in places.items()
            for name, digest in integrity.digests(contents).items()
        }
    }


def _noted_base(base: str) -> dict[str, dict[str, str]]:
    """The same of a base that is a folder; the hub's own are kept by their digests."""
    folder = local_base(base) if base != EMBEDDED or (embedded_base() / "config.json").exists() else None
    return {"base_files": integrity.base_digests(folder)} if folder is not None else {}


def write_base(ws: Workspace, base: str) -> str:
    """Make another base the workspace's, as `init` would name it; return that name.

    Results over the base before stand in a table of their own, so none is lost. Raises EngineError for one
    that no run could load.
    """
    refuse_unloadable(base)
    held, name = ws.read_config(), _base_name(ws, base)
    kept = {key: value for key, value in held.items() if key != "base_files"}
    write_json(ws.config, {**kept, "base": name, **_noted_base(name)})
    return name


def _take_up_base(ws: Workspace, config: dict[str, Any]) -> None:
    """Note the base as it is now: results over other weights stand in another table, so none is lost."""
    held = ws.read_config()
    if held.get("base_files", {}) != config.get("base_files", {}):
        write_json(ws.config, {**held, "base_files": config["base_files"]})


def _splits_record(ready: Ready, found: Sequence[Pair]) -> dict[str, Any]:
    placed = {"assignment": ready.splits.assignment, "online": sorted(ready.splits.online)}
    return {
        "scheme": ready.splits.scheme,
        "splits_hash": hash_of(json.dumps(placed, sort_keys=True)),
        **placed,
        **({"unseen": sorted(ready.splits.unseen)} if ready.splits.unseen else {}),
        "order": ready.order.as_json(),
        "checks": check_splits(ready.dataset, ready.splits, ready.order, found=found),
        "statistics": split_statistics(ready.dataset, ready.splits),
    }


def _truth(ready: Ready) -> list[dict[str, str]]:
    """Return the oracle replies of a world's examples, by example id."""
    path = ready.source.path / TRUTH
    if ready.source.world is None or not path.exists():
        return []
    ids = [persona.persona_id for persona in ready.dataset.personas]
    rows = ready.dataset.dialogues
    known = {f"{row.dialogue_id}#{turn}" for row in rows for turn in example_turns(row.messages)}
    found = []
    for line in read_lines(path):
        if line.value is None:
            raise EngineError(f"The world's {Fault(TRUTH, line.number, line.fault)}")
        row = line.value
        example_id = row.get("example_id") or (
            f"{ids[row['persona_index']]}/{row['session_id']:04d}#{row['turn']}"
        )
        if example_id not in known:
            raise EngineError(
                f"The world's truth.jsonl:{line.number} names {example_id}, which is no example."
            )
        oracle = {key: row[key] for key in ("knows_persona", "knows_population")}
        found.append({"example_id": example_id} | oracle)
    return found


def _base_name(ws: Workspace, base: str) -> str:
    """A base keeps its meaning wherever and whenever the next command is run: a path whole, a hub id pinned.

    Asked for again by its bare id it is the revision that this workspace has already.
    """
    path = Path(base).expanduser()
    if base in (EMBEDDED, SMOLLM2) or path.is_dir():
        return base if base in (EMBEDDED, SMOLLM2) else str(path.resolve())
    held = _held_base(ws)
    return held if hub_id(held)[0] == base else pin_base(base)


def _held_base(ws: Workspace) -> str:
    try:
        return str(ws.read_config()["base"])
    except EngineError:  # none yet, or torn: it is written anew
        return ""


def _is_same(ws: Workspace, config: dict[str, Any], splits: dict[str, Any], choices: Choices) -> bool:
    """Tell whether the workspace took in exactly this. Where its files came from does not matter.

    A workspace older than domains stays as it is, unless another domain is asked for.
    """
    try:
        old = ws.read_config()
    except EngineError:
        return False
    same = all(old.get(key) == config[key] for key in ("base", "split", "seed"))
    older = "domain" not in old and choices.domain in (None, domain_of(ws).name)
    same = same and (older or old.get("domain") == config["domain"])
    same = same and old["dataset"].get("data_hash") == config["dataset"]["data_hash"]
    if old.get("files"):
        return same and all(old["files"].get(name) == config["files"].get(name) for name in _DECISIVE)
    try:
        return same and read_json(ws.splits / SPLITS).get("splits_hash") == splits["splits_hash"]
    except (OSError, EngineError):
        return False


def _made_with_this(runs: Sequence[Path], config: dict[str, Any], splits: dict[str, Any]) -> bool:
    """Tell whether all runs were made with this data, split and base, whatever the files now say."""
    split_hash = hash_splits(splits)
    for folder in runs:
        try:
            spec = read_json(folder / "spec.json")
        except (OSError, EngineError):
            return False
        theirs = (spec["data_hash"], spec.get("protocol", {}).get("split_hash", split_hash), spec["base"])
        if theirs != (config["dataset"]["data_hash"], split_hash, config["base"]):
            return False
    return True


def _refuse_loss(ws: Workspace, config: dict[str, Any], splits: dict[str, Any], *, force: bool) -> None:
    runs = [path for path in ws.runs.glob("*") if path.is_dir() and not path.name.startswith(".")]
    if runs and not _made_with_this(runs, config, splits):
        count = "a run was" if len(runs) == 1 else f"{len(runs)} runs were"
        raise EngineError(
            f"{ws.root} holds other data, and {count} made with it; it is not replaced.",
            "Use another folder: --workspace DIR",
        )
    if ws.config.exists() and not force and not runs:
        raise EngineError(
            f"{ws.root} holds other data already.",
            "Replace it with --force (there are no runs yet), or use another folder: --workspace DIR",
        )
