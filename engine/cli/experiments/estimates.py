"""The command that holds estimates against the truth: estimates."""

from __future__ import annotations

import statistics
from dataclasses import asdict

from engine.cli.frame import Call, command, out, table
from engine.core.wording import duration
from engine.runs.records import scan
from engine.strategies import costs
from engine.strategies.costs import Checked


@command("estimates", examples=("estimates", "estimates --json"))
def estimates(call: Call) -> None:
    """Compare the estimate made before each run with the time that it took."""
    found = costs.check(scan(call.ws))
    median = statistics.median(one.error for one in found) if found else None
    runs = [{**asdict(one), "error": one.error} for one in found]
    call.answer({"runs": runs, "median_error": median}, lambda: _show(found, median))


def _show(found: list[Checked], median: float | None) -> None:
    if median is None:
        out().print("No run that had an estimate has ended yet: first runs have nothing to learn from.")
        return
    shown = table("run", "expected", "took", "off by", right=("expected", "took", "off by"))
    for one in found:
        times = duration(one.estimate_seconds), duration(one.seconds)
        shown.add_row(one.run_id, *times, f"{100 * one.error:.0f} %")
    out().print(shown)
    out().print(f"Median error of {len(found)} runs: {100 * median:.0f} %")


COMMANDS = (estimates,)
