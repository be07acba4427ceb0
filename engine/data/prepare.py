"""The main door of the data layer: from a name, a path or an upload to a workspace ready for runs.

Owns the order of things: fetch, read, choose, split, check, write, and workspace.json last. Refuses to
replace data that runs were made with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args

from engine.core import integrity
from engine.core.base_folder import EMBEDDED, SMOLLM2, check_base, local_base
from engine.core.base_identity import hub_id, pin_base
from engine.core.errors import EngineError, Fault, unknown_name
from engine.core.machine import changes
from engine.core.paths import Workspace, embedded_base, read_json, write_json
from engine.core.types import Dataset, Splits
from engine.data.archive import Upload, named, unpack_upload
from engine.data.assemble import Imported, accept
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
from engine.data.given_split import read_given_split
from engine.data.lines import read_lines
from engine.data.sources import Source, find_source, read_source
from engine.data.splits import (
    NAMES,
    check_splits,
    choose_personas,
    export_edgesplits,
    hash_splits,
    make_splits,
    split_statistics,
    too_short_for_time,
)
from engine.data.staging import incoming, move_in, write_files
from engine.data.statistics import dataset_statistics
from engine.domains.domain import Domain
from engine.domains.registry import domain_of, find_domain, recognise

Scheme = Literal["auto", "by-time", "by-persona"]
_DECISIVE = ("dataset/personas.jsonl", "dataset/dialogues.jsonl", "dataset/truth.jsonl", "splits/splits.json")


class Options(TypedDict, total=False):
    """What both doors take by keyword. The defaults are those of `Choices`."""

    split: Scheme
    base: str
    domain: str | None
    personas: int | None
    dialogues: int | None
    seed: int
    keep_good: bool
    force: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose at `init`. Raises EngineError for values that mean nothing."""

    split: Scheme = "auto"
    base: str = EMBEDDED
    domain: str | None = None
    personas: int | None = None
    dialogues: int | None = None
    seed: int = 0
    keep_good: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        if self.split not in get_args(Scheme):
            raise unknown_name("split", str(self.split), get_args(Scheme))
        for name, value in (("personas", self.personas), ("dialogues", self.dialogues)):
            if value is not None and value < 1:
                raise EngineError(f"--{name} must be 1 or more, is {value}.", f"Leave --{name} out for all.")
        _check_base(self.base)


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything about to be written. `domain` is what the data is about, named or recognised."""

    source: Source
    imported: Imported
    dataset: Dataset
    splits: Splits
    domain: Domain
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


@changes("import data", least="own")
def prepare(ws: Workspace, *, dataset: str | Path, **options: Unpack[Options]) -> dict[str, Any]:
    """Import `dataset` ("world:NAME", a path or a hub id) into the workspace; return its card.

    `personas` takes a seeded subset, `dialogues` the first so many of each persona (for a world: their
    numbers). "auto" splits by time where every persona has 5 dialogues, else by persona. `keep_good`
    leaves faulty rows out and lists them in the card; `domain` is what the data is about (None: as it looks);
    `force` replaces data that has no runs yet. The
    returned card also holds "unchanged": True when the workspace held exactly this already. Raises
    EngineError (DataError with all faults), and then the workspace is as it was.
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
    """Import uploaded files (names with contents: .jsonl files, or one .zip) as `prepare` does for a path."""
    choices = Choices(**options)
    with incoming(ws) as staging:
        unpack_upload(files, staging / "source")
        source = Source(f"upload of {named(files)}", staging / "source")
        return _prepare(ws, source, choices, staging)


def _prepare(ws: Workspace, source: Source, choices: Choices, staging: Path) -> dict[str, Any]:
    ready = _read(ws, source, choices)
    files = dataset_files(ready.dataset)
    card = _card(ready, data_hash(files))
    splits = _splits_record(ready)
    config = {
        "dataset": {
            "source": source.label,
            "data_hash": card["data_hash"],
            "personas": len(ready.dataset.personas),
            "dialogues": len(ready.dataset.dialogues),
        },
        "domain": ready.domain.name,
        "base": _base_name(ws, choices.base),
        "split": ready.splits.scheme,
        "seed": choices.seed,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    truth = _truth(ready)
    files |= {CARD: _json(card)} | ({TRUTH: json_lines(truth)} if truth else {})
    exported = export_edgesplits(ready.dataset, ready.splits)
    divided = {SPLITS: _json(splits), "edgesplits.json": _json(exported)}
    config |= noted(files, divided) | _noted_base(str(config["base"]))
    is_same = _is_same(ws, config, splits, choices)
    if is_same and not integrity.changed(ws):
        _take_up_base(ws, config)
        return {**read_json(ws.dataset / CARD), "unchanged": True}
    if not is_same:
        _refuse_loss(ws, config, splits, force=choices.force)
    write_files(staging / "dataset", files)
    write_files(staging / "splits", divided)
    write_files(staging, {ws.config.name: _json(config)})
    moves = [
        (staging / "dataset", ws.dataset),
        (staging / "splits", ws.splits),
        (staging / ws.config.name, ws.config),
    ]
    move_in(moves, aside=staging / "aside")
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
    _check_base(base)
    held, name = ws.read_config(), _base_name(ws, base)
    kept = {key: value for key, value in held.items() if key != "base_files"}
    write_json(ws.config, {**kept, "base": name, **_noted_base(name)})
    return name


def _take_up_base(ws: Workspace, config: dict[str, Any]) -> None:
    """Note the base as it is now: results over other weights stand in another table, so none is lost."""
    held = ws.read_config()
    if held.get("base_files", {}) != config.get("base_files", {}):
        write_json(ws.config, {**held, "base_files": config["base_files"]})


def _read(ws: Workspace, source: Source, choices: Choices) -> Ready:
    """Read, choose and split. Every fault of the rows and of a given split is known before any stops it."""
    imported = read_source(source)
    dataset, faults, notes = imported.dataset, imported.faults, imported.notes
    given: Splits | None = None
    if imported.given_split is not None and dataset.dialogues:
        if choices.dialogues is not None or not _wants_time(dataset, choices):
            notes += (
                f"{imported.given_split.name} was not used: it is for a split by time of all dialogues.",
            )
        else:
            dataset, given, more = read_given_split(imported.given_split, imported)
            faults += more
            notes += (f"The split is the one given in {imported.given_split.name}.",) if given else ()
    accept(dataset, faults, source=source.label, keep_good=choices.keep_good)
    chosen = choose_personas(dataset, personas=choices.personas, seed=choices.seed)
    chosen = first_dialogues(chosen, choices.dialogues)
    splits = (
        _restrict(given, chosen) if given else make_splits(chosen, scheme=choices.split, seed=choices.seed)
    )
    _refuse_empty_split(chosen, splits)
    domain = find_domain(ws, choices.domain) if choices.domain else recognise(ws, chosen)
    if choices.base == EMBEDDED and not domain.embedded_base_fits:
        notes += (
            f"The embedded base was not made for the domain {domain.name}: its replies will be poor. Choose"
            " another one with --base.",
        )
    return Ready(source, imported, chosen, splits, domain, faults, notes)


def _wants_time(dataset: Dataset, choices: Choices) -> bool:
    return choices.split == "by-time" or (choices.split == "auto" and not too_short_for_time(dataset))


def first_dialogues(dataset: Dataset, dialogues: int | None) -> Dataset:
    """Return the dataset with the first `dialogues` of every persona (None: all)."""
    if dialogues is None:
        return dataset
    return Dataset(dataset.personas, tuple(row for row in dataset.dialogues if row.order < dialogues))


def _restrict(splits: Splits, dataset: Dataset) -> Splits:
    kept = {row.dialogue_id for row in dataset.dialogues}
    assignment = {one: split for one, split in splits.assignment.items() if one in kept}
    return Splits(splits.scheme, assignment, splits.online & kept)


def _refuse_empty_split(dataset: Dataset, splits: Splits) -> None:
    held = {splits.assignment[row.dialogue_id] for row in dataset.dialogues if example_turns(row.messages)}
    for name in NAMES:
        if name not in held:
            raise EngineError(
                f"The {name} split would hold no example (no reply after a user message).",
                "Use more personas or dialogues, or the other --split.",
            )


def _card(ready: Ready, digest: str) -> dict[str, Any]:
    statistics = dataset_statistics(ready.dataset)
    by_split = {name: found["examples"] for name, found in _split_counts(ready).items()}
    card: dict[str, Any] = {
        "source": ready.source.label,
        "importer": ready.imported.importer,
        "domain": ready.domain.name,
        "data_hash": digest,
        "counts": {
            "personas": len(ready.dataset.personas),
            "dialogues": statistics["dialogues"],
            "messages": statistics["messages"],
            "assistant_turns": statistics["assistant_turns"],
            "examples": sum(by_split.values()),
            "examples_by_split": by_split,
            "personas_with_character": statistics["personas_with_character"],
            "personas_with_routines": statistics["personas_with_routines"],
            "dialogues_with_meta": statistics["dialogues_with_meta"],
        },
        "statistics": statistics,
        "split": ready.splits.scheme,
        "notes": list(ready.notes),
        "left_out": [{"file": fault.file, "line": fault.line, "what": fault.what} for fault in ready.faults],
    }
    return card | ({"world": ready.source.world} if ready.source.world else {})


def _split_counts(ready: Ready) -> dict[str, Any]:
    found = split_statistics(ready.dataset, ready.splits)
    return {name: found[name] for name in NAMES}


def _splits_record(ready: Ready) -> dict[str, Any]:
    placed = {"assignment": ready.splits.assignment, "online": sorted(ready.splits.online)}
    return {
        "scheme": ready.splits.scheme,
        "splits_hash": hash_of(json.dumps(placed, sort_keys=True)),
        **placed,
        "checks": check_splits(ready.dataset, ready.splits),
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
        example_id = f"{ids[row['persona_index']]}/{row['session_id']:04d}#{row['turn']}"
        if example_id not in known:
            raise EngineError(
                f"The world's truth.jsonl:{line.number} names {example_id}, which is no example."
            )
        oracle = {key: row[key] for key in ("knows_persona", "knows_population")}
        found.append({"example_id": example_id} | oracle)
    return found


def _check_base(base: str) -> None:
    """Refuse now what no run could load. A hub model is fetched, and checked, when the first run needs it."""
    folder = None if base == EMBEDDED else local_base(base)
    if folder is not None:
        check_base(folder)


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


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode("utf-8")
