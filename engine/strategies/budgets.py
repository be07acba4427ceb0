"""What a run trained with: optimiser steps, passes over dialogues, tokens, and whether validation had turned.

Owns the form of training.json's records as they are read again, and the sum over all that a run is built on.
Trains nothing.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core.paths import Workspace, read_json
from engine.core.stamps import Stamp, stamp
from engine.core.wording import count
from engine.runs.runfolder import read_spec

TRAINING = "training.json"


@dataclass(frozen=True, slots=True)
class Budget:
    """What training took. `passes` counts dialogues, each as often as it was trained on; `tokens` is None
    where a run of an earlier version did not count them.

    Of `judged` adapters, whose losses on val are known, `unturned` had their best epoch last: they might have
    gone on improving.
    """

    adapters: int
    steps: int
    passes: int
    tokens: int | None
    judged: int
    unturned: int

    def __add__(self, other: "Budget") -> "Budget":
        tokens = None if self.tokens is None or other.tokens is None else self.tokens + other.tokens
        return Budget(
            self.adapters + other.adapters,
            self.steps + other.steps,
            self.passes + other.passes,
            tokens,
            self.judged + other.judged,
            self.unturned + other.unturned,
        )

    @property
    def warning(self) -> str:
        """Say that the best epoch was the last; "" where validation had turned for nearly all."""
        if not self.judged or self.unturned * 10 <= self.judged:
            return ""
        if self.judged == 1:
            return "the best epoch was the last: it might have gone on improving"
        return (
            f"the best epoch was the last for {self.unturned:,} of {count(self.judged, 'adapter')}: "
            "they might have gone on improving"
        )


NOTHING = Budget(0, 0, 0, 0, 0, 0)


def own_budget(ws: Workspace, run_id: str) -> Budget:
    """Return what a run itself trained with; `NOTHING` where it trained nothing. Raises on a torn file."""
    path = ws.run_folder(run_id) / TRAINING
    told = stamp(path)
    return NOTHING if told is None else _read(path, told)


def whole_budget(ws: Workspace, run_id: str) -> Budget:
    """Return what a run and all that it is built on trained with, each run once; runs that are gone count 0.

    What a control is matched to is left out of it: that was trained for another variant.
    """
    told, open_, seen = NOTHING, [run_id], set[str]()
    while open_:
        one = open_.pop()
        spec = stamp(ws.run_folder(one) / "spec.json")
        if one in seen or spec is None:
            continue
        seen.add(one)
        told += own_budget(ws, one)
        open_ += _stands_on(ws.run_folder(one), spec)
    return told


@functools.lru_cache(maxsize=4096)
def _stands_on(folder: Path, _: Stamp) -> tuple[str, ...]:
    return tuple(run for role, run in read_spec(folder).upstream.items() if role != MATCHED_TO)


MATCHED_TO = "matched"
MATCHED = "matched"
"""The family of unified adapters that were trained on as much as others were: controls."""
"""The role under which a step-matched unified finds the run whose budget it has."""


@functools.lru_cache(maxsize=512)
def _read(path: Path, _: Stamp) -> Budget:
    told = NOTHING
    for record in read_json(path):
        told += budget_of(record)
    return told


def budget_of(record: Mapping[str, Any]) -> Budget:
    """Return one adapter's budget from its record."""
    losses, best = record.get("val_losses") or [], int(record.get("best_epoch") or 0)
    epochs = int(record.get("epochs") or len(losses) or best)
    return Budget(
        adapters=1,
        steps=int(record.get("steps") or 0),
        passes=epochs * int(record.get("train_dialogues") or 0),
        tokens=record.get("tokens"),
        judged=1 if losses else 0,
        unturned=1 if losses and best >= len(losses) else 0,
    )
