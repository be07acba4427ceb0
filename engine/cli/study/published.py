"""The commands about a published study: import-study, route-imported."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from engine.cli.frame import Call, Place, command, note, out, table
from engine.core.wording import count, percent, points

if TYPE_CHECKING:
    from engine.domains.metric import Metric
    from engine.results.imported import Imported
    from engine.results.imported.routing import ImportedRouting


@command(
    "import-study",
    examples=("import-study results --workspace W", "import-study results.zip --workspace W --json"),
    anywhere=True,
)
@click.argument("source", metavar="DIR", type=Place())
def import_study(call: Call, *, source: Path) -> int:
    """Import a study's published result files (JSON, CSV) from a folder or a .zip.

    They become variants under an imported protocol, paired by persona. Without a workspace, one is made.
    """
    from engine.results import store
    from engine.results.imported import import_study as take_in

    found = take_in(call.ws, source)
    store.refresh(call.ws)
    return call.answer(asdict(found), lambda: _show(call, found))


def _show(call: Call, found: "Imported") -> None:
    state = "was imported before" if found.unchanged else "imported"
    out().print(Text(f"{found.run_id}: {state}, protocol {found.protocol}", style="bold"))
    shown = table("variant", "personas", "examples a persona", "mean", "file", right=("personas", "mean"))
    for row in found.rows:
        origin = row["file"] if row["derived"] is None else row["derived"]
        shown.add_row(
            row["variant"], str(row["personas"] or ""), row["examples"], points(row["mean"]), origin
        )
    out().print(shown)
    if any(row["examples"].endswith("*") for row in found.rows):
        out().print("* inferred from the lengths of the reference replies; the file does not say.")
    for warning in found.warnings:
        note(warning)
    if found.left_aside:
        note(f"Left aside, of no known form: {', '.join(found.left_aside)}")
    if found.created_workspace:
        note(f"{call.ws.root} is a new workspace of these scores; it holds no dialogues to train on.")
    call.say(f"Next: {call.command('compare')}")


@command(
    "route-imported",
    examples=("route-imported --workspace W", "route-imported --metric embedding_similarity --margin 1"),
)
@click.option("--metric", help="The metric to choose by; by default the study's primary one.")
@click.option("--fallback", help="Who is not routed stays here; by default unified, else base.")
@click.option(
    "--margin",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Route only for a gain of more than so many points.",
)
@click.option("--protocol", help="The import to route on; by default the newest.")
def route_imported(call: Call, *, metric: str | None, margin: float, **asked: str | None) -> int:
    """Say what routing is worth on published scores: a bound in hindsight, and what is left without it.

    Such scores are one mean a persona on one split, so a route by persona is chosen on what judges it.
    """
    from engine.domains.metrics import METRICS, chosen
    from engine.results.imported.routing import route_imported as route
    from engine.results.store import refresh

    refresh(call.ws)
    unit = chosen(call.ws, metric).factor
    found = route(call.ws, metric=metric, margin=margin / unit, **asked)
    return call.answer(found.as_json(), lambda: _show_routing(found, METRICS[found.metric]))


def _show_routing(found: "ImportedRouting", metric: "Metric") -> None:
    from engine.results.imported.routing import WHY

    title = f"Routing by {metric.label} over {found.fallback}, import {found.protocol}"
    out().print(Text(title, style="bold"))
    numbers = ("gain", "95 % CI", "better", "equal", "worse")
    shown = table("choice", *numbers, "it is", "how", right=numbers)
    for rule in found.rules:
        row = rule.comparison
        shown.add_row(
            rule.name,
            metric.change(row.delta),
            metric.spread(row.ci_low, row.ci_high),
            *(str(number) for number in (row.wins, row.ties, row.losses)),
            rule.kind,
            rule.words,
        )
    out().print(shown)
    bound = found.rules[0]
    told = ", ".join(f"{name} {percent(share)}" for name, share in bound.shares.items())
    out().print(f"In hindsight the best of {count(len(found.candidates) + 1, 'variant')}: {told}")
    note(WHY)
