"""The errors a user may see. Owns their wording; shows nothing itself (the CLI and the pages do)."""

import difflib
import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class EngineError(Exception):
    """Something the user can mend. `message` says what happened, `hint` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one place of a file. `line` is 1-based, 0 when it concerns the whole file."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


class DataError(EngineError):
    """Input that did not pass validation; `faults` lists every fault found."""

    def __init__(self, message: str, faults: Sequence[Fault], hint: str = "") -> None:
        super().__init__(message, hint)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        shown = [f"  {fault}" for fault in self.faults[:20]]
        if len(self.faults) > 20:
            shown.append(f"  ... and {len(self.faults) - 20} more")
        return "\n".join([self.message, *shown, *([self.hint] if self.hint else [])])


_REFUSALS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    }
)


def refusal(error: OSError) -> EngineError | None:
    """Return the error for a disk that is full or refuses a name or to be written, and for a current folder
    that was deleted; None for other trouble."""
    if error.errno == errno.ENOENT and _stands_nowhere():
        return EngineError("The current folder was deleted.", "Go to another one, or give whole paths.")
    if error.errno not in _REFUSALS:
        return None
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return EngineError(
        f"{error.filename or 'A file'}: {error.strerror}.",
        "Free disk space." if is_full else "Choose another place, or check that this one belongs to you.",
    )


def _stands_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def first_line(error: BaseException) -> str:
    """Return what another program's error says first; its name where it says nothing."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__


def unknown_name(kind: str, name: str, known: Iterable[str]) -> EngineError:
    """Return the error for a name nobody knows, with the nearest known one as the hint."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names) or 'none yet'}."
    return EngineError(f"There is no {kind} named {name!r}.", hint)
