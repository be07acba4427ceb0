"""The commands for many runs at once and for few personas first: sweep, pilot."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from engine.cli.experiments.launch import (
    DETACH,
    DRY_RUN,
    SETTINGS,
    plan_record,
    read_settings,
    show_plan,
    with_obstacle,
)
from engine.cli.frame import Call, command, note, out, table
from engine.cli.watch import failure, watch
from engine.core.paths import Workspace
from engine.core.wording import count, percent, signed_points
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results.comparing import row_role
from engine.runs import jobs
from engine.strategies.plan import Plan, as_one, plan
from engine.strategies.sweep import Sweep, plan_sweep, sweep_of


@command(
    "sweep",
    examples=(
        "sweep constrained-lambda",
        "sweep learning-curve --detach",
        "sweep constrained l2=0.01,0.05,0.1,0.5 --set epochs=5",
        "sweep constrained-lambda --results",
    ),
)
@click.argument("name")
@click.argument("values", required=False, metavar="[PARAMETER=VALUE,VALUE...]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter of all; repeatable.")
@click.option("--seed", type=int, help="The runs' seed; by default the workspace's.")
@DETACH
@DRY_RUN
@click.option("--results", "only_results", is_flag=True, help="Show what is there, and run nothing.")
def sweep(
    call: Call,
    *,
    name: str,
    values: str | None,
    settings: Sequence[str],
    seed: int | None,
    detach: bool,
    dry_run: bool,
    only_results: bool,
) -> int:
    """Run an experiment at several values of one parameter, or a sweep that has a name, and compare.

    Values that were run before are not run again. Choose a value on val; each value shown on test counts
    as a look at test.
    """
    chosen = _sweep(call.ws, name, values)
    if only_results:
        return _answer_results(call, chosen)
    plans = plan_sweep(call.ws, chosen, read_settings(settings), seed=seed)
    if dry_run:
        together = with_obstacle(call.ws, as_one(plans))
        return call.answer({"plans": [plan_record(one) for one in plans]}, lambda: show_plan(together))
    return launch_all(call, plans, detach=detach) or (0 if detach else _answer_results(call, chosen))


@command("pilot", examples=("pilot", "pilot hybrid --personas 20", "pilot --split test --json"))
@click.argument("name", required=False)
@click.option("--personas", type=click.IntRange(min=3), default=20, show_default=True, help="How many.")
@SETTINGS
@click.option("--split", type=click.Choice(["val", "test"]), default="val", show_default=True, help="Where.")
def pilot(call: Call, *, name: str | None, personas: int, settings: Sequence[str], split: str) -> int:
    """Forecast the full study from its pilots; with an experiment's name, run its pilot first.

    The full run takes over what the pilot trained and said.
    """
    from engine.results.comparing.pilots import pilots

    if name is not None:
        given = {"personas": personas, **read_settings(settings)}
        failed = launch_all(call, [plan(call.ws, name, given)], detach=False)
        if failed:
            return failed
    found = [one for one in pilots(call.ws, split=split) if name in (None, one.experiment)]
    return call.answer({"pilots": [asdict(one) for one in found]}, lambda: _show_pilots(call, found))


def _sweep(ws: Workspace, name: str, given: str | None) -> Sweep:
    if given is None:
        return sweep_of(ws, name)
    ((parameter, values),) = read_settings([given]).items()
    return sweep_of(ws, name, parameter, values if isinstance(values, list) else [values])


def launch_all(call: Call, plans: Sequence[Plan], *, detach: bool) -> int:
    """Queue plans, all or none, and wait unless detached; raises EngineError for the first that failed."""
    joined = as_one(plans)
    for line in joined.notes:
        note(line)
    run_ids = [entry.record.run_id for entry in jobs.submit(call.ws, joined)]
    if detach:
        return call.answer({"runs": run_ids}, lambda: out().print(f"{count(len(run_ids), 'run')} queued."))
    bad = [record for record in watch(call.ws, run_ids, quiet=call.as_json) if record.state != "succeeded"]
    if bad:
        raise failure(bad[0], call.ws)
    return 0


def _answer_results(call: Call, chosen: Sweep) -> int:
    from engine.results.comparing.sweeps import sweep_results_of

    found = sweep_results_of(call.ws, chosen)
    return call.answer(
        {"sweep": chosen.name, "results": [asdict(one) for one in found]},
        lambda: _show_results(chosen, found),
    )


def _show_results(chosen: Sweep, found: Sequence[Any]) -> None:
    out().print(Text(chosen.question, style="bold"))
    numbers = ("val", "difference", "95 % CI")
    columns = [*numbers, *(f"{name} (test)" for name in numbers[1:])]
    shown = table("experiment", chosen.parameter, *columns, "run", right=columns)
    for results in found:
        metric = METRICS[results.metric]
        for point in results.points:
            mark = " (best on val)" if point.value == results.best and results.best is not None else ""
            val, test = point.rows.get("val"), point.rows.get("test")
            shown.add_row(
                results.experiment,
                f"{'all' if point.value is None else point.value}{mark}",
                metric.level(val["mean"]) if val else point.state,
                *_difference(val, metric),
                *_difference(test, metric),
                point.run_id,
            )
    out().print(shown)
    told = {(one.reference, METRICS[one.metric].in_points) for one in found if one.reference}
    for reference, in_points in sorted(told):
        unit = " in points" if in_points else ""
        note(f"Differences{unit} to {reference}. Choose on val; test judges what was chosen.")


def _difference(row: Any, metric: Metric) -> tuple[str, str]:
    if row is None or row_role.is_reference(row):
        return ("reference", "") if row else ("", "")
    return metric.change(row["delta"]), metric.spread(row["ci_low"], row["ci_high"])


def _show_pilots(call: Call, found: Sequence[Any]) -> None:
    if not found:
        call.say(f"No pilot yet. Start one: {call.command('pilot', 'per-persona', personas=20)}")
    for one in found:
        title = f"{one.variant}: {count(one.personas, 'persona')} of {one.personas_full}, {one.split}"
        out().print(Text(f"{title}, against {one.reference or 'nobody yet'}", style="bold"))
        if one.forecast is None:
            out().print(Text(f"  {one.reason}"))
        else:
            out().print(_prospects(one.forecast))
            for line in one.forecast.words:
                out().print(Text(f"  {line}"))
        out().print(Text(f"  Full study, taking over what is done: {one.scale_up}"))


def _prospects(made: Any) -> Any:
    shown = table("if the true difference is", "power", "cautiously", "personas for 80 %", "cautiously ")
    for words, one in (("as observed", made.observed), ("the smallest worth having", made.criterion)):
        needed = [
            "over 100,000" if number is None else f"{number:,}" for number in (one.needed, one.needed_high)
        ]
        shown.add_row(
            f"{words}: {signed_points(one.effect)}", percent(one.power), percent(one.power_low), *needed
        )
    return shown
