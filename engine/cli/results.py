"""The commands about results: compare, rebuild-db."""

from __future__ import annotations

import csv
import sys
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, note, out, table
from engine.stats.metrics import METRICS, Metric
from engine.wording import p_value, percent, points, signed_points


@command(
    "compare",
    examples=(
        "compare",
        "compare --reference base --metric device_f1",
        "compare --split val --csv > table.csv",
    ),
)
@click.option("--reference", help="The variant to compare with; by default unified, else base.")
@click.option("--metric", default="embedding_similarity", show_default=True, help="The metric to compare.")
@click.option("--split", type=click.Choice(["val", "test"]), default="test", show_default=True, help="Where.")
@click.option("--protocol", help="The protocol to compare under; by default the newest with the reference.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
def compare(
    call: Call, *, reference: str | None, metric: str, split: str, protocol: str | None, as_csv: bool
) -> int:
    """Compare every variant with the reference, persona by persona."""
    from engine.comparison import compare_variants
    from engine.store import refresh

    call.ws.read_config()
    _tell(refresh(call.ws))
    found = compare_variants(call.ws, reference=reference, metric=metric, split=split, protocol=protocol)
    if as_csv:
        _print_csv(found["rows"])
    else:
        call.answer(found, lambda: _show(found))
    return 0


@command("rebuild-db", examples=("rebuild-db", "rebuild-db --workspace W --json"))
def rebuild_db(call: Call) -> int:
    """Build results.duckdb anew from the run folders, and report what was found."""
    from engine.store import rebuild

    call.ws.read_config()
    report = rebuild(call.ws)

    def show() -> None:
        out().print(f"results.duckdb holds {len(report.taken_in)} runs.")
        for torn in report.torn:
            out().print(Text(f"Left out: {torn.run_id}: {torn.reason}", style="red"))

    call.answer(asdict(report), show)
    return 1 if report.torn else 0


def _tell(report: Any) -> None:
    for torn in report.torn:
        note(f"Left out: {torn.run_id}: {torn.reason}")


def _print_csv(rows: list[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "aliases": ";".join(row["aliases"])} for row in rows)


def _show(found: dict[str, Any]) -> None:
    metric = METRICS[found["metric"]]
    unit = "in points" if metric.unit == "fraction" else f"as a {metric.unit}"
    title = f"{metric.label} on {found['split']}, {unit}, against {found['reference']}"
    out().print(Text(title, style="bold"))
    numbers = ("mean", "delta", "95 % CI", "p", "p (Holm)", "personas", "wins", "ties", "losses", "improved")
    shown = table("variant", *numbers, right=numbers)
    for row in found["rows"]:
        shown.add_row(*_cells(row, metric, is_reference=row["variant"] == found["reference"]))
    out().print(shown)
    if found["other_protocols"]:
        others = ", ".join(found["other_protocols"])
        note(f"Scored under protocol {found['protocol']}. Others exist and are never mixed in: {others}.")


def _cells(row: dict[str, Any], metric: Metric, *, is_reference: bool) -> list[str]:
    first = [row["variant"], _level(row["mean"], metric)]
    if is_reference:
        return [*first, "reference", *[""] * 3, str(row["n_paired"]), *[""] * 4]
    return [
        *first,
        _difference(row["delta"], metric),
        f"{_difference(row['ci_low'], metric)} to {_difference(row['ci_high'], metric)}",
        p_value(row["p"]),
        p_value(row["p_holm"]),
        *(str(row[name]) for name in ("n_paired", "wins", "ties", "losses")),
        percent(row["share_improved"]),
    ]


def _level(value: float | None, metric: Metric) -> str:
    return points(value) if metric.unit == "fraction" or value is None else f"{value:.2f}"


def _difference(value: float | None, metric: Metric) -> str:
    return (
        signed_points(value)
        if metric.unit == "fraction" or value is None
        else f"{round(value, 2) + 0.0:+.2f}"
    )


COMMANDS = (compare, rebuild_db)
