"""The check-up of a workspace. Owns what is looked at, and says what to do.

Mends, when asked, what loses nothing: temporary files, folders that never became a run, an unreadable
database (built again from the run folders), dead runs noted as running. Never touches results or checkpoints.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core import integrity
from engine.core.base_folder import EMBEDDED
from engine.core.checkup import wrong_files
from engine.core.errors import EngineError
from engine.core.locks import holders, is_held, queue_lock
from engine.core.machine import read_machine, read_only, refuse_if_read_only
from engine.core.paths import REPOSITORY, Workspace, is_temporary
from engine.core.stamps import held
from engine.data import checks
from engine.results import store
from engine.results.checks import study_checks
from engine.runs import jobs, launchers, leases, manifest, slots
from engine.runs.records import RunRecord, scan
from engine.runs.runfolder import Status
from engine.show import about
from engine.show.base_cards import probed
from engine.show.persona import route
from engine.strategies import clusterings, reference
from engine.strategies.clusterings import Clusters
from engine.strategies.ground import read_ground
from engine.strategies.reference import Reference

_RECORDS: Mapping[str, Any] = {
    "status.json": Status,
    clusterings.FILE: Clusters,
    reference.FILE: dict[str, Reference],
    route.WEIGHTS: route.KeptWeights,
}
"""As what files of a run and of the study are read, by their names."""
_BEFORE_A_RUN = frozenset({"status.json", "log.txt", ".worker.lock"})
_LEAST_FREE_BYTES = 1_000_000_000
_LOCK_SECONDS = 2.0
_TOLD = 5  # faults of one folder


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it is in order, what was found, and what to do otherwise."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def examine(ws: Workspace, *, fix: bool = False, base: bool = False) -> list[Check]:
    """Look at all that a workspace needs; return one check each. With `fix`, mend what loses nothing.

    With `base`, the base model is probed too.
    """
    if fix:
        refuse_if_read_only(ws, "mend anything")
    busy = _looked("locks", lambda: _locks(ws))
    free = all(check.ok for check in busy)
    moved = _looked("queue", lambda: _moved_on(ws)) if fix and free else []
    records: list[RunRecord] = []
    read = _looked("runs", lambda: _scanned(ws, records))
    return [
        *busy,
        *moved,
        *read,
        *_looked("files", lambda: _wrong_files(ws)),
        *_looked("workspace", lambda: _files(ws)),
        *_looked("data as taken in", lambda: _changed(ws)),
        *_looked("dataset", lambda: _dataset(ws)),
        *_looked("results.duckdb", lambda: [_database(ws, fix=fix)] if free else []),
        *_looked("runs", lambda: _runs(records)),
        *_looked("folders", lambda: _folders(ws, records)),
        *_looked("folders", lambda: _strays(ws, records, fix=fix and free)),
        *_looked("machine", lambda: _machine(ws)),
        *_looked("temporary files", lambda: [_temporary(ws, records, fix=fix)]),
        *_looked("disk", lambda: [_space(ws)]),
        *(_looked("base model", lambda: _base_works(ws)) if base else []),
        *_looked("versions", lambda: [_versions()]),
    ]


def _looked(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """Return what a look finds; one that cannot be finished is a finding too, and the next look follows."""
    found: list[Check] = []
    try:
        found.extend(look())
    except EngineError as error:
        found.append(Check(name, False, error.message, error.hint))
    except OSError as error:
        what = f"{error.filename or 'A file'}: {error.strerror or error}."
        found.append(Check(name, False, what, "Check that it is there and belongs to you."))
    except Exception as error:  # noqa: BLE001 - a check-up that breaks off tells nothing of all the rest
        what = f"The check broke off: {type(error).__name__}: {error}"
        found.append(Check(name, False, what, "Mend what is named above and repeat; else report it."))
    return found


def _scanned(ws: Workspace, records: list[RunRecord]) -> Iterator[Check]:
    records.extend(scan(ws))
    return iter(())


def _locks(ws: Workspace) -> Iterator[Check]:
    """Locks are held for moments: one that stays held is named with its holder."""
    names = {ws.runs / ".queue.lock": "the queue", ws.data / ".results.lock": "the results database"}
    until = time.monotonic() + _LOCK_SECONDS
    held = [path for path in names if path.is_file()]
    while (held := [path for path in held if is_held(path)]) and time.monotonic() < until:
        time.sleep(_LOCK_SECONDS / 10)
    for path in held:
        who = holders(path)
        told = " and ".join(f"process {one}" for one in who) or "a process that the kernel does not name"
        numbers = " ".join(one.split(" ", 1)[0] for one in who) or "PID"
        yield Check(
            f"lock of {names[path]}",
            False,
            f"{path} is held by {told} for more than {_LOCK_SECONDS:.0f} s.",
            f"See what it does: ps -fp {numbers}. Where it hangs, kill {numbers} frees the lock.",
        )
    if not held:
        yield Check("locks", True, "nobody holds one")


def _moved_on(ws: Workspace) -> Iterator[Check]:
    if ws.config.exists():
        jobs.advance(ws)
    return iter(())


def _wrong_files(ws: Workspace) -> Iterator[Check]:
    found = list(wrong_files(ws, _RECORDS))
    for one in found:
        yield Check(f"file {_within(ws, one.path)}", False, f"{one.path} {one.what}.", one.mend)
    if not found and ws.data.is_dir():
        yield Check("files", True, "all can be read and are of their form")


def _base_works(ws: Workspace) -> Iterator[Check]:
    """A look at a base that did not come with the project, in a process of its own: it takes seconds."""
    base = str(ws.read_config()["base"]) if ws.config.exists() else EMBEDDED
    if base == EMBEDDED:
        return
    card = probed(base)
    refused = [one for one in card["findings"] if one["verdict"] == "refused"]
    for one in refused:
        yield Check("base model", False, f"{one['name']}: {one['detail']}", one["hint"])
    mended = [one["name"].lower() for one in card["findings"] if one["verdict"] == "mended"]
    if not refused:
        about = f"; done about it: {', '.join(mended)}" if mended else ""
        yield Check("base model", True, f"{base} trains and answers{about}")


def _changed(ws: Workspace) -> Iterator[Check]:
    if not ws.config.exists():
        return
    try:
        found = [*integrity.changed(ws), *(base := integrity.changed_base(ws))]
    except EngineError as error:  # told by the look at workspace.json itself
        yield Check("data as taken in", False, error.message, error.hint)
        return
    for one in found:
        hint = integrity.remedy(ws, "base" if one in base else "data")
        yield Check(f"file {_within(ws, one.path)}", False, f"{one}.", hint)
    if not found:
        yield Check("data as taken in", True, "no file was changed since")


def _within(ws: Workspace, path: Path) -> str:
    return str(path.relative_to(ws.root)) if path.is_relative_to(ws.root) else str(path)


def _files(ws: Workspace) -> Iterator[Check]:
    try:
        config = ws.read_config()
    except EngineError as error:
        yield Check("workspace", False, error.message, error.hint)
        return
    yield Check(
        "workspace", True, f"{ws.root}: {config['dataset'].get('source', '?')}, split {config['split']}"
    )
    try:
        ground = read_ground(ws)
    except EngineError as error:
        yield Check("data and base", False, error.message, error.hint)
        return
    yield Check("data and base", True, f"{ground.personas} personas, base {ground.base}")


def _dataset(ws: Workspace) -> Iterator[Check]:
    from engine.data.dataset import load_dataset, load_splits

    if not ws.config.exists():
        return
    try:
        dataset, splits = load_dataset(ws), load_splits(ws)
    except EngineError as error:
        yield Check("dataset", False, error.message, error.hint)
        return
    without = sum(dialogue.dialogue_id not in splits.assignment for dialogue in dataset.dialogues)
    hint = "Create the workspace again: python -m engine init" if without else ""
    detail = f"{len(dataset.dialogues)} dialogues, {without} without a split"
    yield Check("dataset", not without, detail, hint)
    for one in study_checks(ws):
        if not one["ok"]:
            told = checks.TOLD.get(one["name"])
            means, do = (f" {told.means}", told.do) if told else ("", "")
            yield Check(f"data: {one['name']}", False, f"{one['detail'].removesuffix('.')}.{means}", do)


def _database(ws: Workspace, *, fix: bool) -> Check:
    reason = store.unreadable(ws)
    if reason is not None and fix:
        built = store.rebuild(ws)
        return Check("results.duckdb", True, f"It was built again: {len(built.taken_in)} runs.")
    if reason is None:
        there = "is readable" if ws.database.exists() else "is made when first needed"
        return Check("results.duckdb", True, f"It {there}.")
    return Check(
        "results.duckdb", False, f"It cannot be read: {reason}", "Build it again: python -m engine rebuild-db"
    )


def _runs(records: list[RunRecord]) -> Iterator[Check]:
    for record in records:
        if record.spec is None or record.state in ("failed", "lost"):
            what = (record.error or "").split("\n", 1)[0]
            again = f"python -m engine resume {record.run_id}"
            hint = f"Resume it: {again}" if record.spec else "Launch the same thing again: it is mended."
            yield Check(f"run {record.run_id}", False, f"{record.state}: {what}", hint)
    good = sum(record.state == "succeeded" for record in records)
    yield Check("runs", True, f"{len(records)}, of which {good} succeeded")


def _folders(ws: Workspace, records: list[RunRecord]) -> Iterator[Check]:
    for record in records:
        faults = _torn(ws, record) if record.state == "succeeded" else []
        if faults:
            hint = "Restore its files, or remove the folder and run it again; then rebuild-db."
            more = [f"and {len(faults) - _TOLD:,} more"] if len(faults) > _TOLD else []
            yield Check(f"folder {record.run_id}", False, "; ".join([*faults[:_TOLD], *more]), hint)


def _strays(ws: Workspace, records: list[RunRecord], *, fix: bool) -> Iterator[Check]:
    """Folders that belong to no run: half-written ones, and adapters whose run was deleted."""
    known = {record.run_id for record in records}
    for folder in _others(ws.runs, known):
        if fix and _removed(ws, folder):
            yield Check(f"folder {folder.name}", True, "It never became a run and was removed.")
            continue
        hint = "Remove it: python -m engine doctor --fix" if _never_began(folder) else f"Remove {folder}."
        yield Check(f"folder {folder.name}", False, "It holds no run: spec.json is missing.", hint)
    for folder in _others(ws.models, known):
        if any(folder.rglob("adapter_config.json")):
            size = held(folder)[0]
            yield Check(
                f"adapters {folder.name}",
                False,
                f"{size / 1e6:.0f} MB of adapters, whose run is not in data/runs.",
                f"Bring the run's folder back, or remove {folder}.",
            )


def _never_began(folder: Path) -> bool:
    return all(path.is_file() and path.name in _BEFORE_A_RUN for path in folder.iterdir())


def _removed(ws: Workspace, folder: Path) -> bool:
    """Remove a folder in which no run began; under the queue's lock, for one may be beginning just now."""
    with queue_lock(ws):
        if not folder.is_dir() or not _never_began(folder):
            return False
        shutil.rmtree(folder)
    return True


def _others(place: Path, known: set[str]) -> list[Path]:
    entries = sorted(place.iterdir()) if place.is_dir() else []
    return [one for one in entries if one.is_dir() and one.name not in known and one.name[0] != "."]


def _machine(ws: Workspace) -> Iterator[Check]:
    """Who holds this machine's devices, and whether the settings can be read and obeyed."""
    try:
        machine = read_machine(ws)
        if machine.launcher != "local":
            launchers.get(machine.launcher).told(machine)
    except EngineError as error:
        yield Check("machine", False, error.message, error.hint)
        return
    devices = slots.slots(machine, machine.launcher)
    held = [f"{device} held by {who.what}" for device in devices if (who := leases.holder(device))]
    closed = ", read-only" if read_only(ws) else ""
    found = ", ".join(held or devices) or "the queue is paused"
    yield Check("machine", True, f"{machine.launcher}: {found}{closed}")


def _torn(ws: Workspace, record: RunRecord) -> list[str]:
    folder = ws.run_folder(record.run_id)
    try:
        done = manifest.read(folder)
    except EngineError as error:
        return [error.message]
    return manifest.faults(folder, done) + manifest.adapter_faults(ws, record.run_id, done)


def _temporary(ws: Workspace, records: list[RunRecord], *, fix: bool) -> Check:
    """Files that a killed process was about to put in place. Those of a run at work are left alone."""
    busy = {record.run_id for record in records if record.state == "running"}
    places = [ws.data, *(ws.run_folder(record.run_id) for record in records if record.run_id not in busy)]
    inside = (path for place in places if place.is_dir() for path in place.iterdir())
    found = [path for path in inside if is_temporary(path.name) and path.is_file()]
    if fix:
        for path in found:
            path.unlink(missing_ok=True)
    if not found or fix:
        return Check("temporary files", True, f"{len(found)} removed" if found else "none left over")
    names = ", ".join(path.name for path in found[:5])
    return Check(
        "temporary files",
        False,
        f"{len(found)} left over: {names}",
        "Remove them: python -m engine doctor --fix",
    )


def _space(ws: Workspace) -> Check:
    place = ws.root if ws.root.exists() else REPOSITORY
    free = shutil.disk_usage(place).free
    return Check(
        "disk",
        free >= _LEAST_FREE_BYTES,
        f"{free / 1e9:.1f} GB free",
        "Free some space." if free < _LEAST_FREE_BYTES else "",
    )


def _versions() -> Check:
    found = about.versions()
    missing = [name for name, version in found.items() if version == about.MISSING]
    hint = f"Missing: {', '.join(missing)}. Run: make setup" if missing else ""
    return Check("versions", not missing, ", ".join(f"{name} {found[name]}" for name in found), hint)
