"""One process beside the app: where its files lie, how it is started, and what it says of itself.

Autopilot, report and generator are one each. Owns state.json, output.txt and the lock of its folder; what
state.json holds, and what else lies there, is of whoever it is.
"""

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.forms import Record
from engine.core.locks import locked
from engine.core.paths import make_folder, read_record, write_json
from engine.runs.launchers.local import detached
from engine.runs.processes import ProcessIdentity, identity, is_copied, place_of


@dataclass(frozen=True, slots=True)
class Background:
    """The process `python -m MODULE` of a workspace; `what` is its name in errors, such as "The report"."""

    folder: Path
    what: str
    module: str

    @property
    def output(self) -> Path:
        """What it prints, its last words among it."""
        return self.folder / "output.txt"

    def lock(self) -> AbstractContextManager[None]:
        """Return the lock that it is started under, and that others change its state under."""
        return locked(self.folder / ".lock", what=self.what)

    def start(self, *words: str, keys: Collection[str] = ()) -> ProcessIdentity | None:
        """Start it with these arguments, handing it the keys of these names; None when it ended at once.

        Raises EngineError when the system refuses.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            process = detached([self.module, *words], output=self.output, keys=keys)
        except OSError as error:
            raise EngineError(
                f"{self.what} cannot be started: {error}.", "Check free memory and disk space."
            ) from error
        return identity(process.pid)

    def read(self, form: type[Record]) -> Record | None:
        """Return state.json as a record of that form, None without one; EngineError when it is torn.

        Where the workspace is a copy its `process` is None: the one at work is the original's.
        """
        path, hint = self.folder / "state.json", "Delete it and start again."
        try:
            found, told = read_record(path, form, hint=hint), read_record(path, _Place, hint=hint)
        except FileNotFoundError:
            return None
        if not is_copied(told.place, self.folder):
            return found
        whole: Any = found
        alone: Record = replace(whole, process=None)
        return alone

    def write(self, state: Any) -> None:
        """Replace state.json by a record, atomically."""
        make_folder(self.folder)
        write_json(self.folder / "state.json", {**asdict(state), "place": place_of(self.folder)})


@dataclass(frozen=True, slots=True)
class _Place:
    place: str = ""
