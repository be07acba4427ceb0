"""How settings that are tuned stand on val, and the record of who was tuned and how much.

Owns data/tuned.jsonl, which is only appended to: one line a tuning. Never reads test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from engine.core import keyring
from engine.core.errors import EngineError
from engine.core.machine import changes
from engine.core.paths import Workspace
from engine.core.wording import duration
from engine.domains import metrics
from engine.runs import answers
from engine.runs.background import Background
from engine.runs.ledger import Ledger
from engine.runs.processes import ProcessIdentity, running
from engine.runs.runfolder import now
from engine.stats.compare import compare
from engine.stats.pairing import Table, index, pair


@dataclass(frozen=True, slots=True)
class Standing:
    """One run on val: its mean over the personas that all have, and its difference to the defaults' run."""

    run_id: str
    mean: float
    delta: float | None
    ci_low: float | None
    ci_high: float | None
    personas: int


@dataclass(frozen=True, slots=True)
class Tuned:
    """One tuning: `spent` of `budget` in runs on all personas, on so many settings; what was kept.

    `seconds` is what its runs took, of `budget_seconds` where the budget was time and `budget` is None.
    """

    at: str
    experiment: str
    budget: float | None
    spent: float
    settings: int
    kept: Mapping[str, Any]
    run_id: str
    seconds: float | None = None
    budget_seconds: float | None = None
    tried: tuple[str, ...] = ()
    """All its runs, of every round; () in records of an earlier version."""
    counted: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """Of each run its setting, as a hash, and its share of one on all personas; {} in earlier records."""


_TUNED = Ledger("tuned", "tunings", Tuned)


def standings(ws: Workspace, run_ids: list[str]) -> list[Standing]:
    """Return the runs from the best on val to the worst; of a run with several variants its best counts.

    Differences are to the first of `run_ids`, paired example by example; of equal ones the earlier is first.
    """
    decides = metrics.primary(ws)
    better = decides.higher_is_better is not False
    tables = {
        run_id: _best_on_val(answers.read(ws, run_id).values(decides), decides.sign) for run_id in run_ids
    }
    shared = set.intersection(*({who for who, _ in table.rows.values()} for table in tables.values()))
    tables = {
        run_id: Table({name: row for name, row in table.rows.items() if row[0] in shared})
        for run_id, table in tables.items()
    }
    found = []
    for run_id in run_ids:
        row = compare(pair(tables[run_id], tables[run_ids[0]]), higher_is_better=better)
        is_first = run_id == run_ids[0]
        low, high = (None, None) if is_first else (row.ci_low, row.ci_high)
        delta = None if is_first else row.delta
        found.append(Standing(run_id, row.mean or 0.0, delta, low, high, row.n_paired))
    return sorted(found, key=lambda one: -decides.sign * one.mean)


def _best_on_val(scores: pd.DataFrame, sign: float) -> Table:
    val = scores[scores["split"] == "val"]
    means = val.groupby(["variant", "persona_id"])["value"].mean().groupby("variant").mean()
    best = (sign * means).idxmax() if len(means) else ""
    rows = val[val["variant"] == best]
    return index(
        [
            (str(row.example_id), str(row.persona_id), None if pd.isna(row.value) else float(row.value))
            for row in rows.itertuples()
        ],
        name=str(best),
    )


def remember(
    ws: Workspace,
    experiment: str,
    *,
    budget: float | None,
    spent: float,
    settings: int,
    kept: Mapping[str, Any],
    run_id: str,
    seconds: float,
    counted: Mapping[str, tuple[str, float]],
    budget_seconds: float | None = None,
) -> Tuned:
    """Append a tuning that ends now to the workspace's record, and return it; asked again it counts once."""
    runs, spent, seconds = tuple(sorted(counted)), round(spent, 3), round(seconds, 3)
    one = Tuned(
        now(), experiment, budget, spent, settings, kept, run_id, seconds, budget_seconds, runs, counted
    )
    before = next((old for old in tuned(ws) if (old.experiment, old.tried) == (experiment, runs)), None)
    if before is not None:
        return before
    _TUNED.append(ws, one)
    return one


def tuned(ws: Workspace) -> list[Tuned]:
    """Return the tunings of a workspace, the first first; a torn line is left out."""
    return _TUNED.read(ws)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A tuning in the background: of which experiment, and its process."""

    experiment: str
    process: ProcessIdentity | None = None


def under_way(ws: Workspace) -> UnderWay | None:
    """Return the tuning that is at work in the background, if one is."""
    found = _process(ws).read(UnderWay)
    return found if found is not None and running(found.process) else None


@changes("tune")
def start(ws: Workspace, experiment: str, *, budget: float) -> UnderWay:
    """Tune in the background, as the command `tune` does. Raises EngineError where one is at it."""
    with _process(ws).lock():
        at_it = under_way(ws)
        if at_it is not None:
            raise EngineError(
                f"{at_it.experiment} is being tuned already.", "Wait for it: one tuning at a time."
            )
        words = ("tune", experiment, "--budget", f"{budget:g}", "--workspace", str(ws.root))
        begun = UnderWay(experiment, _process(ws).start(*words, keys=keyring.held()))
        _process(ws).write(begun)
    return begun


def _process(ws: Workspace) -> Background:
    return Background(ws.data / "tuning", "The tuning", "engine")


def tuned_words(ws: Workspace) -> list[str]:
    """Return a line an experiment that was tuned, for whoever compares it with others that were not."""
    told: dict[str, list[Tuned]] = {}
    for one in tuned(ws):
        told.setdefault(one.experiment, []).append(one)
    return [
        f"{name} was tuned on val: {_spent(all_of_it)} ({_given(all_of_it)}); "
        "compare it with others that were given as much."
        for name, all_of_it in told.items()
    ]


def _spent(tunings: Sequence[Tuned]) -> str:
    """How many settings were tried for how many runs: what several tunings share counts once."""
    earlier = [one for one in tunings if not one.counted]
    runs = {run: part for one in tunings for run, part in one.counted.items()}
    settings = len({of for of, _ in runs.values()}) + sum(one.settings for one in earlier)
    spent = sum(share for _, share in runs.values()) + sum(one.spent for one in earlier)
    return f"{settings} settings for {spent:.3g} runs"


def _given(tunings: Sequence[Tuned]) -> str:
    """The budget in words: "budget 6", "budget 10 min", both where both were given."""
    runs = sum(one.budget or 0.0 for one in tunings)
    seconds = sum(one.budget_seconds or 0.0 for one in tunings)
    parts = [f"{runs:g}"] if runs else []
    parts += [duration(seconds)] if seconds else []
    return f"budget {' and '.join(parts)}"
