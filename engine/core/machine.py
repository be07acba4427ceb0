"""How a workspace uses its machine: training slots, launcher, read-only. Owns data/machine.json.

None of it decides a result, so none of it is in a spec: the same run may be done with other settings.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

from pydantic import AfterValidator, ConfigDict, Field, Strict, ValidationError
from pydantic.dataclasses import dataclass

from engine.core.consent import agree, agreed
from engine.core.errors import EngineError
from engine.core.parameters import worded
from engine.core.paths import Workspace, read_json, read_record, write_json
from engine.core.roles import Role, refuse_unless

Change = TypeVar("Change", bound=Callable[..., Any])

READ_ONLY = "PERSONA_LAB_READ_ONLY"
Launcher = Literal["local", "ray"]
LAUNCHERS = get_args(Launcher)
_FALSE = ("", "0", "false", "no", "off")
_MOST_SLOTS = 64
MOST_TASKS = 256


def _without_spaces(address: str) -> str:
    if any(letter.isspace() for letter in address):
        raise ValueError("must be HOST:PORT, or auto")
    return address


def _python_file(name: str) -> str:
    if not name.endswith(".py"):
        raise ValueError("must be a Python file")
    return name


@dataclass(frozen=True, slots=True, config=ConfigDict(strict=True, allow_inf_nan=False))
class Machine:
    """The settings. Raises ValidationError for values that mean nothing.

    `training_slots` is how many runs may be at work at once on the processor (on a machine with GPUs it is
    one a GPU); with 0 the queue is paused. Of a Ray cluster: its `ray_address`, what a task asks for
    (`ray_cpus`, `ray_gpus`; None: a GPU where the cluster has any), into how many tasks a run is divided
    (`ray_tasks`, None: as many as fit at once), and how many runs may be there at once.
    """

    training_slots: Annotated[int, Field(ge=0, le=_MOST_SLOTS)] = 1
    launcher: Launcher = "local"
    ray_address: Annotated[str, AfterValidator(_without_spaces)] = ""
    ray_cpus: Annotated[float, Field(gt=0)] = 1.0
    ray_gpus: Annotated[float | None, Field(ge=0)] = None
    ray_tasks: Annotated[int | None, Field(ge=1, le=MOST_TASKS)] = None
    ray_runs: Annotated[int, Field(ge=0, le=_MOST_SLOTS)] = 2
    read_only: bool = False
    extensions: Annotated[tuple[Annotated[str, AfterValidator(_python_file)], ...], Strict(False)] = ()


def read_machine(ws: Workspace) -> Machine:
    """Return the workspace's settings; what is not set has its default. Raises EngineError on a torn file."""
    path = _path(ws)
    try:
        return read_record(path, Machine, hint=f"Mend it, or delete {path.name}.")
    except FileNotFoundError:
        return Machine()


def unreadable(ws: Workspace) -> EngineError | None:
    """Return what is wrong with the file of the settings, None where it can be read, or is not there."""
    try:
        read_machine(ws)
    except EngineError as error:
        return error
    return None


def change_machine(ws: Workspace, **values: Any) -> Machine:
    """Change some settings and return all. Raises EngineError for values that mean nothing, changing nothing.

    Works in a read-only workspace too, so that it can be opened again; not under PERSONA_LAB_READ_ONLY.
    """
    ws.read_config()
    refuse_unless("own", "change the settings")
    if _told_read_only() or unwritable(ws) is not None:
        refuse_if_read_only(ws, "change the settings")
    try:
        changed = replace(read_machine(ws), **values)
    except ValidationError as error:
        raise EngineError(f"{_worded(error)}.", "Nothing was changed.") from error
    ours = "ray_address" in values or cluster_is_ours(ws, changed)
    token = {"consent": agree(ws, "cluster", changed.ray_address)} if ours and changed.ray_address else {}
    write_json(_path(ws), {**asdict(changed), **token})
    return changed


def cluster_is_ours(ws: Workspace, machine: Machine) -> bool:
    """Say whether the Ray cluster's address was set by this user, here, and did not come with the folder."""
    path = _path(ws)
    token = read_json(path).get("consent", "") if path.exists() else ""
    return not machine.ray_address or agreed(ws, token, "cluster", machine.ray_address)


def refuse_foreign_cluster(ws: Workspace, machine: Machine) -> None:
    """Raise EngineError where settings that came with the folder name the cluster: it could run code here."""
    named = machine.launcher != LAUNCHERS[0] and machine.ray_address == read_machine(ws).ray_address
    if named and not cluster_is_ours(ws, machine):
        raise EngineError(
            f"The settings that came with this workspace name the Ray cluster {machine.ray_address}.",
            f"To use it: python -m engine machine --launcher ray --ray-address {machine.ray_address}. "
            "To run here: python -m engine machine --launcher local",
        )


def read_only(ws: Workspace) -> bool:
    """Say whether nothing is written here: so told by PERSONA_LAB_READ_ONLY=1 or by the workspace's settings,
    because these cannot be read, or because the folder takes nothing (mounted read-only, or not this
    user's to write)."""
    return declared_read_only(ws) or unwritable(ws) is not None


def declared_read_only(ws: Workspace) -> bool:
    """Say whether somebody wants nothing to be changed here, whatever the file system would take.

    What settings say that cannot be read is not known: nothing is changed by them, and all can be looked at.
    """
    try:
        return _told_read_only() or read_machine(ws).read_only
    except EngineError:
        return True


def unwritable(ws: Workspace) -> Path | None:
    """Return the folder of the workspace that takes no files, None where all do. Tries nothing out."""
    there = (folder for folder in (ws.root, ws.data) if folder.is_dir())
    return next((folder for folder in there if not os.access(folder, os.W_OK | os.X_OK)), None)


def refuse_if_read_only(ws: Workspace, doing: str) -> None:
    """Raise EngineError where nothing may be changed; `doing` completes "cannot ..."."""
    if _told_read_only():
        raise EngineError(
            f"This is a read-only view: it cannot {doing}.", f"Start without {READ_ONLY} to change things."
        )
    if (folder := unwritable(ws)) is not None:
        raise EngineError(
            f"{folder} takes no files (it is mounted read-only, or not yours): it cannot {doing}.",
            "Copy the workspace to a folder of yours, or have the rights to write mended.",
        )
    if read_machine(ws).read_only:
        raise EngineError(
            f"This workspace is read-only: it cannot {doing}.",
            "Open it again: python -m engine machine --no-read-only",
        )


def changes(doing: str, *, least: Role = "run") -> Callable[[Change], Change]:
    """Make a function, whose first argument is a workspace, refuse its work where that is read-only.

    `doing` completes "cannot ..."; `least` is the role that may do it (engine/core/roles.py).
    """

    def wrap(function: Change) -> Change:
        @functools.wraps(function)
        def checked(ws: Workspace, *args: Any, **kwargs: Any) -> Any:
            refuse_unless(least, doing)
            refuse_if_read_only(ws, doing)
            return function(ws, *args, **kwargs)

        return cast(Change, checked)

    return wrap


def _told_read_only() -> bool:
    return os.environ.get(READ_ONLY, "").strip().lower() not in _FALSE


def _path(ws: Workspace) -> Path:
    return ws.data / "machine.json"


def _worded(error: ValidationError) -> str:
    return "; ".join(f"{fault['loc'][0]} {worded(fault)}".replace("_", " ", 1) for fault in error.errors())
