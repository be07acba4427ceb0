"""The command that gives a strategy its budget: tune."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import click
from rich.text import Text

from engine.cli.experiments.launch import read_settings
from engine.cli.experiments.sweep import launch_all
from engine.cli.frame import Call, command, note, out, table
from engine.core.command import command_line, typed
from engine.core.errors import EngineError
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.runs.runfolder import fingerprint, read_status
from engine.strategies import registry
from engine.strategies.ground import read_ground
from engine.strategies.plan import Plan, look, plan
from engine.strategies.spec import EvaluationSettings, Experiment
from engine.strategies.tuned import NAME as TUNED
from engine.strategies.tuned import ROLE
from engine.strategies.tuning import Budget, Rung, cost, draw, rungs, that_fit


@command(
    "tune", examples=("tune hybrid --budget 6", "tune per-persona --budget 10m --set epochs=2 --json", "tune")
)
@click.argument("name", required=False)
@click.option(
    "--budget", default="6", show_default=True, help="In runs on all personas (6), or in time (90s, 10m, 1h)."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Fixed for all; repeatable.")
@click.option("--seed", type=int, help="Of the settings that are drawn; by default the workspace's.")
@click.option("--dry-run", is_flag=True, help="Show what would be tried, and run nothing.")
def tune(
    call: Call, *, name: str | None, budget: str, settings: Sequence[str], seed: int | None, dry_run: bool
) -> int:
    """Try settings of a strategy on val by successive halving, and keep the best.

    Many settings on few personas, the better half on twice as many, the last ones on all; the defaults are
    always among them. What is kept becomes a variant, NAME-tuned, whose val scores took no part in its
    choice. Give every strategy the same budget; `compare` says who was tuned and how much. Without a name:
    what was tuned here.
    """
    from engine.results import tuning

    if name is None:
        found = tuning.tuned(call.ws)
        return call.answer(
            {"tuned": [asdict(one) for one in found]}, lambda: _show_tuned(tuning.tuned_words(call.ws))
        )
    entry, ground, fixed = registry.get(name, call.ws), read_ground(call.ws), read_settings(settings)
    asked, each = Budget.read(budget), _seconds_a_run(call, name, fixed)
    if asked.seconds and not each and not dry_run:  # the defaults are tried anyway: by them it is measured
        launch_all(call, [plan(call.ws, name, fixed)], detach=False)
        each = _seconds_a_run(call, name, fixed)
    # Where each has an adapter of her own, leaving personas out changes nothing for the others.
    is_cut = entry.fixed.get("by") == "persona" and "personas" in entry.parameters.model_fields
    known = ground.personas - ground.unseen
    drawn = _drawn(call, entry, fixed, seed=ground.seed if seed is None else seed)
    rounds = rungs(asked.in_runs(each), known, is_cut=is_cut, most=len(drawn))
    drawn = drawn[: rounds[0].settings]
    if dry_run:
        value = {"rounds": [asdict(one) for one in rounds], "settings": drawn}
        return call.answer(value, lambda: _show_rounds(rounds, drawn))
    tried = _Tried(drawn)
    for rung in rounds:
        share = (rung.personas or known) / known
        rung = that_fit(rung, spent=tried.seconds, budget=asked, seconds_each=share * (each or 0.0))
        each = _try(call, name, rung, tried, fixed, share=share) / share
    _keep(call, name, asked, tried, fixed, personas=known)
    return 0


@dataclass(slots=True)
class _Tried:
    """A tuning under way: the settings that are left, the best first, its rounds so far, their seconds, the
    runs of the last one, `best` of them, and of all with what each counts (`Tuned.counted`)."""

    left: list[Mapping[str, Any]]
    done: list[Rung] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    runs: list[str] = field(default_factory=list)
    ever: dict[str, tuple[str, float]] = field(default_factory=dict)
    best: str = ""


def _try(
    call: Call, name: str, rung: Rung, tried: _Tried, fixed: Mapping[str, Any], *, share: float
) -> float:
    """Run a round, tell where it stands, and return the seconds that a run of it took."""
    from engine.results import tuning

    drawn = _kept(tried.left, rung.settings)
    plans = _plans(call, name, rung, drawn, fixed)
    launch_all(call, plans, detach=False)
    by_run = {one.target.run_id: given for one, given in zip(plans, drawn, strict=True)}
    tried.runs = list(by_run)
    tried.ever |= {run: (fingerprint({**fixed, **given}, 8), share) for run, given in by_run.items()}
    here = _measured(call, tried.runs)
    found = tuning.standings(call.ws, tried.runs)
    tried.seconds += sum(here)
    tried.done.append(Rung(len(by_run), rung.personas))
    tried.told.append({"personas": rung.personas, "standings": [asdict(one) for one in found]})
    if not call.as_json:
        _show_standings(metrics.primary(call.ws), rung, found, by_run)
    tried.best, tried.left = found[0].run_id, [by_run[one.run_id] for one in found]
    return sum(here) / len(here)


def _keep(
    call: Call, name: str, asked: Budget, tried: _Tried, fixed: Mapping[str, Any], *, personas: int
) -> None:
    """Make a variant of the best of the last round, write down what was spent, and say how to run it."""
    from engine.results import tuning

    evaluation = {key: value for key, value in fixed.items() if key in EvaluationSettings.model_fields}
    kept = plan(
        call.ws,
        TUNED,
        {"of": name, "settings": len(tried.runs), **evaluation},
        upstream={f"{ROLE}{place}": run_id for place, run_id in enumerate(tried.runs)},
    )
    launch_all(call, [kept], detach=False)
    best = {**fixed, **tried.left[0]}
    record = tuning.remember(
        call.ws,
        name,
        budget=asked.runs,
        budget_seconds=asked.seconds,
        spent=cost(tuple(tried.done), personas),
        seconds=tried.seconds,
        settings=tried.done[0].settings,
        kept=best,
        run_id=tried.best,
        counted=tried.ever,
    )
    line = command_line("run", name, ws=call.ws, settings=best)
    call.answer(
        {"tuned": asdict(record), "rounds": tried.told},
        lambda: out().print(f"Kept: {tried.best} ({_words(tried.left[0])}). {line}"),
    )


def _drawn(call: Call, entry: Experiment, fixed: Mapping[str, Any], *, seed: int) -> list[Mapping[str, Any]]:
    """All settings there are, each once, the defaults first, without what is fixed and what cannot be here.

    Raises EngineError where that leaves one, or the defaults themselves cannot be.
    """
    seen, found = look(call.ws), list[Mapping[str, Any]]()
    for one in draw(entry, sys.maxsize, seed=seed):
        left = {key: value for key, value in one.items() if key not in fixed}
        try:
            plan(call.ws, entry.name, {**fixed, **left}, seen=seen)
        except EngineError:
            if not left:
                raise
            continue
        found += [left] if left not in found else []
    if len(found) < 2:
        raise EngineError(
            f"All that {entry.name} could be tuned in is fixed or cannot be here, so there is one setting.",
            f"Leave some of it open: {', '.join(entry.space)}.",
        )
    return found


def _seconds_a_run(call: Call, name: str, fixed: Mapping[str, Any]) -> float | None:
    """How long one run on all personas takes here: as its run with the defaults did, else by the estimate."""
    target = plan(call.ws, name, dict(fixed)).target
    if target.state == "succeeded":
        return _measured(call, [target.run_id])[0]
    return target.spec.estimate_seconds


def _measured(call: Call, run_ids: Sequence[str]) -> list[float]:
    """The seconds that runs took, whenever that was: what was done before counts as if it were done now."""
    return [read_status(call.ws.run_folder(run_id)).seconds for run_id in run_ids]


def _kept(drawn: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """The first settings, the defaults among them and before all: what differences are to."""
    return [{}, *[one for one in drawn if one][: most - 1]]


def _plans(
    call: Call, name: str, rung: Rung, drawn: Sequence[Mapping[str, Any]], fixed: Mapping[str, Any]
) -> list[Plan]:
    few = {} if rung.personas is None else {"personas": rung.personas}
    return [plan(call.ws, name, {**fixed, **given, **few}) for given in drawn]


def _words(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={typed(value)}" for key, value in given.items()) or "the defaults"


def _show_standings(
    metric: Metric, rung: Rung, found: Sequence[Any], by_run: Mapping[str, Mapping[str, Any]]
) -> None:
    who = "all personas" if rung.personas is None else f"{rung.personas} personas"
    out().print(Text(f"{len(found)} settings on {who}, val", style="bold"))
    numbers = ("val", "to the defaults", "95 % CI")
    shown = table("settings", *numbers, "run", right=numbers)
    for one in found:
        spread = "" if one.delta is None else metric.spread(one.ci_low, one.ci_high)
        told = "" if one.delta is None else metric.change(one.delta)
        shown.add_row(_words(by_run[one.run_id]), metric.level(one.mean), told, spread, one.run_id)
    out().print(shown)


def _show_rounds(rounds: Sequence[Rung], drawn: Sequence[Mapping[str, Any]]) -> None:
    for rung in rounds:
        who = "all personas" if rung.personas is None else f"{rung.personas} personas"
        out().print(f"{rung.settings} settings on {who}")
    for one in drawn:
        out().print(f"  {_words(one)}")


def _show_tuned(lines: Sequence[str]) -> None:
    for line in lines or ["Nothing was tuned here."]:
        note(line)
