"""The commands of the Compare page: compare, rescore; and the comparison as it is printed."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, note, out, table
from engine.core.integrity import warn_changed
from engine.core.plain import in_cell
from engine.core.wording import count, known, p_value, percent, points, signed_points
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results.comparing.protocol_guard import older_words
from engine.stats.co_primary import beside_words


@command(
    "compare",
    examples=(
        "compare",
        "compare --reference base --metric length_ratio",
        "compare --family retrieval --criteria",
        "compare --margin 1",
        "compare --split val --csv > table.csv",
    ),
)
@click.option("--reference", help="The variant to compare with; by default unified, else base.")
@click.option("--metric", help="The metric to compare; by default the study's primary one.")
@click.option("--split", type=click.Choice(["val", "test"]), default="test", show_default=True, help="Where.")
@click.option("--protocol", help="The protocol to compare under; by default the newest with the reference.")
@click.option("--family", help="Show this family of variants only, such as retrieval.")
@click.option("--variant", "variants", multiple=True, help="Show this variant only; repeatable.")
@click.option(
    "--across-protocols", is_flag=True, help="Show variants scored under other settings too, with a warning."
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Count a persona as better only by more than so many points.",
)
@click.option("--criteria", "with_criteria", is_flag=True, help="Show what each variant lacks for success.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
def compare(call: Call, *, as_csv: bool, with_criteria: bool, margin: float, **asked: Any) -> int:
    """Compare every variant with the reference, persona by persona.

    All variants that compete are one family for Holm's correction, whatever is shown of them. Variants
    judged on test are counted: "test seen 3 times".
    """
    from engine.domains.metrics import chosen
    from engine.results.comparing.comparison import compare_variants
    from engine.results.store import refresh
    from engine.results.tuning import tuned_words

    warn_changed(call.ws)
    for torn in refresh(call.ws).torn:
        note(f"Left out: {torn.run_id}: {torn.reason}")
    unit = 100 if chosen(call.ws, asked["metric"]).unit == "fraction" else 1
    found = compare_variants(call.ws, margin=margin / unit, **asked)
    if as_csv:
        print_csv(found["rows"])
    else:
        call.answer(found, lambda: show(found, with_criteria=with_criteria))
    for line in tuned_words(call.ws):
        note(line)
    return 0


@command("rescore", examples=("rescore", "rescore --metric length_ratio", "rescore --json"))
@click.option("--metric", "names", multiple=True, help="Compute this metric only; repeatable.")
def rescore(call: Call, *, names: tuple[str, ...]) -> int:
    """Compute metrics for the replies that are there; nothing is generated again.

    For a metric that is new since the runs were made, or that is defined otherwise now. Finished runs stay as
    they are: the scores are kept beside them, in data/rescored.
    """
    from engine.results import rescoring

    call.ws.read_config()
    done = rescoring.rescore(call.ws, names, on_run=lambda one: note(one.words))

    def show_done() -> None:
        told, runs = sum(one.replies for one in done), len({one.run_id for one in done})
        words = f"{count(told, 'reply', 'replies')} of {count(runs, 'run')} scored."
        out().print(words if done else "Nothing is missing.")

    call.answer([asdict(one) for one in done], show_done)
    return 0


_STYLES = {"better": "green", "worse": "red"}
Record = dict[str, Any]


def print_csv(rows: Sequence[Record]) -> None:
    """Print the rows as CSV, fractions throughout."""
    flat = [
        {**row, "aliases": ";".join(row["aliases"]), **_flat_placebo(row), **_flat_second(row)}
        for row in rows
    ]
    writer = csv.DictWriter(sys.stdout, fieldnames=list(flat[0]) if flat else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: in_cell(value) for name, value in row.items()} for row in flat)


def show(found: Record, *, with_criteria: bool = False) -> None:
    """Print the leaderboard, the criteria where asked for, and the remarks on stderr."""
    metric = METRICS[found["metric"]]
    unit = "in points" if metric.unit == "fraction" else f"as a {metric.unit}"
    title = f"{metric.label} on {found['split']}, {unit}, against {found['reference']}"
    out().print(Text(title, style="bold"))
    sizes = ("mean", "difference", "95 % CI")
    counted = ("p (Holm)", "personas", "better", "equal", "worse", "lost > 10")
    columns = ("variant", *sizes, "verdict", *counted, "improved (95 % CI)")
    shown = table(*columns, right=(*sizes, *counted))
    for row in found["rows"]:
        shown.add_row(*_cells(row, metric))
    out().print(shown)
    _show_second(found)
    _show_settings(found)
    _show_placebos(found, metric)
    if with_criteria:
        _show_criteria(found)
    for line in _remarks(found, metric):
        note(line)


def _cells(row: Record, metric: Metric) -> list[str | Text]:
    first: list[str | Text] = [row["variant"], _level(row["mean"], metric)]
    if row["role"] == "reference":
        return [*first, "", "", "reference", "", str(row["n_paired"]), *[""] * 5]
    lost = str(row["catastrophic"]) if metric.unit == "fraction" else ""
    return [
        *first,
        _difference(row["delta"], metric),
        f"{_difference(row['ci_low'], metric)} to {_difference(row['ci_high'], metric)}",
        Text(row["verdict"], style=_STYLES.get(row["verdict"], "")),
        p_value(row["p_holm"]),
        *(str(row[name]) for name in ("n_paired", "wins", "ties", "losses")),
        lost,
        _share(row),
    ]


def _flat_second(row: Record) -> Record:
    """The second primary metric's numbers as columns of their own: `co_primary` is the difference."""
    held = row["co_primary"] or {}
    named = {"co_primary_metric": held.get("metric"), "co_primary": held.get("delta")}
    return {**named, **{f"co_primary_{name}": held.get(name) for name in ("ci_low", "ci_high", "margin")}}


def _flat_placebo(row: Record) -> Record:
    """The placebo's numbers as columns of their own: `above_placebo` is the difference."""
    above = row["above_placebo"] or {}
    named = {"placebo": above.get("placebo"), "above_placebo": above.get("delta")}
    return {**named, **{f"above_placebo_{name}": above.get(name) for name in ("ci_low", "ci_high", "p")}}


def _show_second(found: Record) -> None:
    """A line for each variant: the second primary metric, without which nothing is better."""
    rows = [row for row in found["rows"] if row["co_primary"] and row["role"] != "reference"]
    if not rows:
        return
    shown = table("beside it", "what must hold too")
    for row in rows:
        shown.add_row(row["variant"], beside_words(row["co_primary"]))
    out().print()
    out().print(shown)


def _show_settings(found: Record) -> None:
    """A line for each variant that shares its plain name with another: what it was made with."""
    rows = [row for row in found["rows"] if row["settings"]]
    if not rows:
        return
    shown = table("of one name", "made with")
    for row in rows:
        shown.add_row(row["variant"], row["settings"])
    out().print()
    out().print(shown)


def _show_placebos(found: Record, metric: Metric) -> None:
    """A line for each variant whose placebo is scored: only what it gains over that is personal."""
    rows = [row for row in found["rows"] if row["above_placebo"]]
    if not rows:
        return
    numbers = ("mean", "placebo's", "difference", "95 % CI", "p", "personas")
    shown = table("above its placebo", *numbers, right=numbers)
    for row in rows:
        above = row["above_placebo"]
        shown.add_row(
            row["variant"],
            _level(row["mean"], metric),
            _level(above["placebo_mean"], metric),
            _difference(above["delta"], metric),
            f"{_difference(above['ci_low'], metric)} to {_difference(above['ci_high'], metric)}",
            p_value(above["p"]),
            str(above["n_paired"]),
        )
    out().print()
    out().print(shown)


def _share(row: Record) -> str:
    if not known(row["share_improved"]):
        return percent(row["share_improved"])
    return f"{percent(row['share_improved'])} ({percent(row['share_low'])} to {percent(row['share_high'])})"


def _show_criteria(found: Record) -> None:
    """A line a variant and band: reached over unified, reached with the study's value, what is missing."""
    if not found["criteria"]:
        note("The criteria need unified, which is not scored under this protocol.")
        return
    out().print()
    out().print(Text(f"Criteria, embedding similarity on {found['split']} against unified", style="bold"))
    for name in (row["variant"] for row in found["rows"] if row["variant"] in found["criteria"]):
        bands = found["criteria"][name]
        best = next((band["title"] for band in reversed(bands) if band["met"]), "none reached")
        out().print(Text(f"{name}: {best}"))
        for band in bands:
            goal = f"{signed_points(band['gain'])} {_met(band['met'])}"
            absolute = f"study's {points(band['absolute'])} {_met(band['met_absolute'])}"
            missing = f": {'; '.join(band['missing'])}" if band["missing"] else ""
            out().print(Text(f"  {band['title']} ({goal}; {absolute}){missing}"))


def _met(met: bool | None) -> str:
    return {True: "reached", False: "missed", None: "open"}[met]


def _remarks(found: Record, metric: Metric) -> list[str]:
    """What a reader must know before believing a number."""
    told = [f"Warning: {line}" for line in found["warnings"]]
    told += [older_words(found["older"])] if found["older"] else []
    others = [row for row in found["rows"] if row["role"] != "reference"]
    smallest = [row["min_detectable_effect"] for row in others if row["min_detectable_effect"]]
    if smallest:
        sizes = dict.fromkeys(_size(one, metric) for one in (min(smallest), max(smallest)))
        told.append(
            f"{count(max(row['n_paired'] for row in others), 'persona')} find a true difference of "
            f"{' to '.join(sizes)} in four of five studies; smaller ones are easily missed."
        )
    if found["margin"]:
        told.append(f"Better and worse: by more than {_size(found['margin'], metric)}; equal: within it.")
    told += _noise(found, metric)
    if found["split"] == "test":
        told.append(f"Test seen {count(found['test_looks'], 'time')} under this protocol. Choose on val.")
    unseen = [other for other in found["others"] if other["variants"]]
    if unseen and not any(row["role"] == "other protocol" for row in found["rows"]):
        told += [
            f"Not shown, scored otherwise: {', '.join(one['variants'])}. What differs: {one['words']}."
            for one in unseen
        ]
        told.append("To show them all the same: --across-protocols")
    return told


def _noise(found: Record, metric: Metric) -> list[str]:
    noise = found["noise"]
    if noise["repeats"]:
        return [
            f"Another seed alone ({row['variant']}): {_difference(row['delta'], metric)}, "
            f"{row['wins']} better, {row['ties']} equal, {row['losses']} worse."
            for row in noise["repeats"]
        ]
    command = noise["command"]
    return [f"Noise floor unknown. To learn what another seed alone changes: {command}"] if command else []


def _level(value: float | None, metric: Metric) -> str:
    return points(value) if metric.unit == "fraction" or value is None else f"{value:.2f}"


def _size(value: float, metric: Metric) -> str:
    return _difference(value, metric).removeprefix("+")


def _difference(value: float | None, metric: Metric) -> str:
    if metric.unit == "fraction" or value is None:
        return signed_points(value)
    return f"{round(value, 2) + 0.0:+.2f}"


COMMANDS = (compare, rescore)
