"""What the user chooses at an import, under the names of the command line.

Owns the defaults and refuses values that mean nothing.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, get_args

from engine.core.base_folder import EMBEDDED, check_base, local_base
from engine.core.errors import EngineError, unknown_name
from engine.data.mapping import Mapping, read_mapping

Scheme = Literal["auto", "by-time", "by-persona"]


class Options(TypedDict, total=False):
    """What both doors take by keyword. The defaults are those of `Choices`."""

    split: Scheme
    base: str
    domain: str | None
    personas: int | None
    dialogues: int | None
    min_dialogues: int | None
    unseen: float | None
    map: Any
    task: str | None
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
    min_dialogues: int | None = None
    unseen: float | None = None
    map: Any = None
    task: str | None = None
    seed: int = 0
    keep_good: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        if self.split not in get_args(Scheme):
            raise unknown_name("split", str(self.split), get_args(Scheme))
        numbers = {
            "personas": self.personas,
            "dialogues": self.dialogues,
            "min-dialogues": self.min_dialogues,
        }
        for name, value in numbers.items():
            if value is not None and value < 1:
                raise EngineError(f"--{name} must be 1 or more, is {value}.", f"Leave --{name} out for all.")
        if self.unseen is not None and not 0 < self.unseen < 1:
            raise EngineError(
                f"--unseen must be a share between 0 and 1, is {self.unseen}.",
                "Write --unseen 0.2, or leave it out.",
            )
        refuse_unloadable(self.base)

    @property
    def mapping(self) -> Mapping:
        """Which column is what, as far as the user says. Raises EngineError for parts nobody knows."""
        found = read_mapping(self.map)
        return replace(found, task=self.task) if self.task else found

    @property
    def asked(self) -> dict[str, Any]:
        """What was chosen of who and what is taken, beside what a workspace's settings hold."""
        names = ("domain", "personas", "dialogues", "min_dialogues", "unseen", "keep_good")
        return {name: value for name in names if (value := getattr(self, name))}


def refuse_unloadable(base: str) -> None:
    """Refuse now what no run could load. A hub model is fetched, and checked, when the first run needs it."""
    folder = None if base == EMBEDDED else local_base(base)
    if folder is not None:
        check_base(folder)
