"""The commands of the Compare page: compare, rescore; and the comparison as it is printed."""

import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from engine.cli.frame import Call, command, note, out, table
from engine.core.integrity import warn_changed
from engine.core.paths import Workspace
from engine.core.plain import in_cell
from engine.core.wording import count, known, percent, percents, points, signed_points
from engine.data.splits import UNSEEN
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS, of_study
from engine.results.comparing import criteria, row_role, unseen
from engine.results.comparing.protocol_guard import older_words
from engine.results.comparing.remarks import without_repeats
from engine.show.for_whom import differing
from engine.show.row_words import COUNTED, gain_words, power_words, row_words
from engine.show.training_words import training_lines
from engine.stats.co_primary import beside_words

_REFERENCE = click.option("--reference", help="The variant to compare with; by default unified, else base.")
_MARGIN = click.option(
    "--margin",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Count a persona as better only by more than so many points, or so much of what is no fraction.",
)


@command(
    "compare",
    examples=(
        "compare",
        "compare --reference base --metric length_ratio",
        "compare --family retrieval --criteria",
        "compare --margin 1",
        "compare --split test --variant hybrid",
        "compare --csv > table.csv",
    ),
)
@_REFERENCE
@click.option("--metric", help="The metric to compare; by default the study's primary one.")
@click.option(
    "--split",
    type=click.Choice(["val", "test", "unseen"]),
    help="Where: val, to choose (the default), test, to judge what was chosen, with unseen personas in a "
    "second table; or those alone.",
)
@click.option("--protocol", help="The protocol to compare under; by default the newest with the reference.")
@click.option("--family", help="Show this family of variants only, such as retrieval.")
@click.option("--variant", "variants", multiple=True, help="Show this variant only; repeatable.")
@click.option(
    "--across-protocols", is_flag=True, help="Show variants scored under other settings too, with a warning."
)
@_MARGIN
@click.option("--criteria", "with_criteria", is_flag=True, help="Show what each variant lacks for success.")
@click.option("--repeats", "with_repeats", is_flag=True, help="Show each repeat from another seed too.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV.")
def compare(
    call: Call,
    *,
    as_csv: bool,
    with_criteria: bool,
    with_repeats: bool,
    margin: float,
    split: str | None,
    **asked: Any,
) -> int:
    """Compare every variant with the reference, persona by persona.

    All variants that compete are one family for Holm's correction, whatever is shown of them; a metric that
    was not declared beforehand answers for the others too. Opens on val, where choices are made; each
    verdict on test is counted, whatever the metric and the number of examples.
    """
    from engine.domains.metrics import chosen
    from engine.results.comparing.comparison import compare_variants
    from engine.results.comparing.headline import headline, opening_split
    from engine.results.store import refresh
    from engine.results.tuning import tuned_words

    warn_changed(call.ws)
    for torn in refresh(call.ws).torn:
        note(f"Left out: {torn.run_id}: {torn.reason}")
    metric = chosen(call.ws, asked["metric"])
    split = split or opening_split(call.ws)
    bands = with_criteria or call.as_json
    found = compare_variants(call.ws, split=split, margin=margin / metric.factor, bands=bands, **asked)
    if as_csv:
        tables = filter(None, [found, found["unseen"]])
        print_csv([{**row, "split": one["split"]} for one in tables for row in one["rows"]])
        return 0
    is_judged = split != UNSEEN and metric.higher_is_better is not None
    told = headline(call.ws, found) if is_judged else None
    plain = found if with_repeats or asked["variants"] else _without_repeats(found)
    call.answer(
        {**found, "headline": told and told.as_json()},
        lambda: show(call.ws, plain, headline=told.words if told else (), with_criteria=with_criteria),
    )
    left_out = len(found["rows"]) - len(plain["rows"])
    if left_out and not call.as_json:
        note(f"{count(left_out, 'repeat')} from other seeds left out of the table; each one: --repeats")
    for line in tuned_words(call.ws):
        note(line)
    return 0


@command(
    "freeze",
    examples=(
        "freeze",
        "freeze --variant hybrid --variant unified+retrieval-3",
        "freeze --variant hybrid --margin 1",
    ),
)
@click.option("--variant", "variants", multiple=True, help="A variant to test; by default all on val.")
@click.option("--primary", help="The metric that decides; by default the study's primary one.")
@click.option("--further", multiple=True, help="A metric to test beside it; repeatable.")
@_REFERENCE
@_MARGIN
def freeze(
    call: Call,
    *,
    variants: tuple[str, ...],
    primary: str | None,
    further: tuple[str, ...],
    reference: str | None,
    margin: float,
) -> int:
    """Write down what test will be asked, before it is looked at: variants, metrics, margins and tests,
    hashed.

    The report then says what was planned and what came later. What was seen on test already cannot be
    planned.
    """
    from engine.domains.metrics import chosen
    from engine.results.comparing import freezing
    from engine.results.store import refresh

    refresh(call.ws)
    plan = freezing.freeze(
        call.ws, variants=variants, primary=primary, further=further, reference=reference,
        margin=margin / chosen(call.ws, primary).factor,
    )  # fmt: skip

    def show_plan() -> None:
        out().print(Text(f"Frozen as {plan.hash}, after {count(plan.looks, 'look')} at test", style="bold"))
        names = [METRICS[name].label for name in plan.metrics]
        out().print(Text(f"Variants, against {plan.reference}: {', '.join(plan.variants.values())}"))
        out().print(Text(f"Primary metric: {names[0]}; further: {', '.join(names[1:]) or 'none'}"))
        out().print(Text(f"Tests: {plan.tests['test']}; below {plan.tests['alpha']:g} after correction"))
        call.say(f"Judge it: {call.command('compare', split='test')}, or write the report.")

    return call.answer(plan.as_json(), show_plan)


@command("rescore", examples=("rescore", "rescore --metric length_ratio", "rescore --json"))
@click.option("--metric", "names", multiple=True, help="Compute this metric only; repeatable.")
def rescore(call: Call, *, names: tuple[str, ...]) -> int:
    """Compute metrics for the replies that are there; nothing is generated again.

    For a metric that is new since the runs were made, or that is defined otherwise now. Finished runs stay as
    they are: the scores are kept beside them, in data/rescored.
    """
    from engine.results import rescoring

    done = rescoring.rescore(call.ws, names, on_run=lambda one: note(one.words))

    def show_done() -> None:
        told, runs = sum(one.replies for one in done), len({one.run_id for one in done})
        words = f"{count(told, 'reply', 'replies')} of {count(runs, 'run')} scored."
        out().print(words if done else "Nothing is missing.")

    return call.answer({"rescored": [asdict(one) for one in done]}, show_done)


_STYLES = {"better": "green", "worse": "red"}
Record = dict[str, Any]


def print_csv(rows: Sequence[Record]) -> None:
    """Print the rows as CSV, fractions throughout."""
    told = [_flat(row) for row in rows]
    writer = csv.DictWriter(sys.stdout, fieldnames=list(told[0]) if told else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: in_cell(value) for name, value in row.items()} for row in told)


def show(ws: Workspace, found: Record, *, headline: Sequence[str] = (), with_criteria: bool = False) -> None:
    """Print what it comes down to, the leaderboard, the criteria where asked for, and the remarks on
    stderr."""
    metric = METRICS[found["metric"]]
    where = "unseen personas" if found["split"] == UNSEEN else found["split"]
    title = f"{metric.label} on {where}, {metric.scale_words}, against {found['reference']}"
    for line in headline:
        out().print(Text(line), soft_wrap=True)
    if told := unseen.words(ws, found):
        note(told)
    _show_table(found, title)
    if with_criteria:
        _show_criteria(ws, found)
    for line in _remarks(found, metric):
        note(line)
    if (second := found["unseen"]) is not None:
        out().print()
        show(ws, second)


def _without_repeats(found: Record) -> Record:
    """The comparison without rows and lines of single repeats: the means over seeds hold them."""
    if not found["noise"]["repeats"]:
        return found
    noise = {**found["noise"], "repeats": [], "command": ""}
    unseen = found["unseen"] and _without_repeats(found["unseen"])
    return {**found, "rows": without_repeats(found["rows"]), "noise": noise, "unseen": unseen}


def _show_table(found: Record, title: str) -> None:
    """The leaderboard under its title, and a line for each variant that asks for one."""
    metric = METRICS[found["metric"]]
    out().print(Text(title, style="bold"))
    sizes = ("mean", "difference", "95 % CI")
    improved = "improved (95 % CI)"
    columns = ("variant", *sizes, "verdict", *COUNTED, improved)
    shown = table(*columns, right=(*sizes, *COUNTED, improved))
    for row in found["rows"]:
        cells: list[str | Text] = [*row_words(row, metric, improved=_share(row))]
        word = str(cells[4])
        cells[4] = Text(word, style=_STYLES.get(word, ""))
        shown.add_row(*cells)
    out().print(shown)
    _show_second(found)
    _show_reasons(found, metric)
    _show_settings(found)
    _show_controls(found, metric)


def _flat(row: Record) -> Record:
    """The row with what it nests as columns of their own; of placebo and second metric the name is the
    difference's."""
    left = {name: value for name, value in row.items() if name not in ("compared", "seeds", "above_matched")}
    placebo, second = row["above_placebo"] or {}, row["co_primary"] or {}
    left |= {"aliases": ";".join(row["aliases"])}
    left |= _columns(row, "seeds", "n", "deviation", "share_of_variance")
    left |= _columns(row, "above_matched", "delta", "ci_low", "ci_high", "p")
    left |= {"placebo": placebo.get("placebo"), "above_placebo": placebo.get("delta")}
    left |= _columns(row, "above_placebo", "ci_low", "ci_high", "p")
    left |= {"co_primary_metric": second.get("metric"), "co_primary": second.get("delta")}
    return left | _columns(row, "co_primary", "ci_low", "ci_high", "margin")


def _columns(row: Record, name: str, *parts: str) -> Record:
    return {f"{name}_{part}": (row[name] or {}).get(part) for part in parts}


def _show_second(found: Record) -> None:
    """A line for each variant: the second primary metric, without which nothing is better."""
    shown = table("beside it", "what must hold too")
    for row in found["rows"]:
        if row["co_primary"] and not row_role.is_reference(row):
            shown.add_row(row["variant"], beside_words(row["co_primary"]))
    _below(shown)


def _show_reasons(found: Record, metric: Metric) -> None:
    """A line for each verdict that asks for one: why it is not clear, or how small a clear difference is."""
    shown = table("verdict", "of", "why")
    for row in found["rows"]:
        if row["why"] and row_role.competes(row) and metric.higher_is_better is not None:
            verdict = Text(row["verdict"], style=_STYLES.get(row["verdict"], ""))
            shown.add_row(verdict, row["variant"], row["why"])
    _below(shown)


def _show_settings(found: Record) -> None:
    """A line for each variant that shares its plain name with another: what it was made with."""
    shown = table("of one name", "made with")
    for row in found["rows"]:
        if row["settings"]:
            shown.add_row(row["variant"], row["settings"])
    _below(shown)


def _show_controls(found: Record, metric: Metric) -> None:
    """A line for each variant that has a control: what it gains over the reference, over a unified of as many
    steps, and over its placebo."""
    columns = ("over the reference", "over step-matched unified", "over its placebo")
    shown = table("gain", *columns, right=columns)
    for row in found["rows"]:
        if row["above_placebo"] or row.get("above_matched"):
            over = (row, row.get("above_matched"), row["above_placebo"])
            shown.add_row(row["variant"], *(gain_words(one, metric) for one in over))
    if _below(shown):
        told = "Over the placebo counts the harm of another persona's help too"
        note(f"{told}: alone it says nothing of a gain.")


def _below(shown: Table) -> bool:
    """Print a table under the one before; return whether it holds anything, for an empty one is not shown."""
    if shown.row_count:
        out().print()
        out().print(shown)
    return bool(shown.row_count)


def _share(row: Record) -> str:
    """The share that truly gains, luck taken out; the raw one where examples do not tell the two apart."""
    if known(row["true_share"]):
        return f"{percent(row['true_share'])} ({percents(row['true_share_low'], row['true_share_high'])})"
    if not known(row["share_improved"]):
        return percent(row["share_improved"])
    return f"{percent(row['share_improved'])} ({percents(row['share_low'], row['share_high'])})"


def _show_criteria(ws: Workspace, found: Record) -> None:
    """A line a variant and band: reached over unified, reached with the study's value, what is missing."""
    if not found["criteria"]:
        is_scored = criteria.DECIDES in of_study(ws)
        label = METRICS[criteria.DECIDES].named
        without = f"The criteria are of {label}, which this study does not score."
        note("The criteria need unified, which is not scored under this protocol." if is_scored else without)
        return
    out().print()
    out().print(Text(f"Criteria, embedding similarity on {found['split']} against unified", style="bold"))
    for name in (row["variant"] for row in found["rows"] if row["variant"] in found["criteria"]):
        bands = found["criteria"][name]
        best = next((band["title"] for band in reversed(bands) if band["met"]), "none reached")
        out().print(Text(f"{name}: {best}"))
        for band in bands:
            goal = f"{signed_points(band['gain'])} {_met(band['met'])}"
            absolute = f"published study's {points(band['absolute'])} {_met(band['met_absolute'])}"
            missing = f": {'; '.join(band['missing'])}" if band["missing"] else ""
            out().print(Text(f"  {band['title']} ({goal}; {absolute}){missing}"))


def _met(met: bool | None) -> str:
    return {True: "reached", False: "missed", None: "open"}[met]


def _remarks(found: Record, metric: Metric) -> list[str]:
    """What a reader must know before believing a number."""
    told = [f"Warning: {line}" for line in found["warnings"]]
    told += [older_words(found["older"])] if found["older"] else []
    told += filter(None, [power_words(found["rows"], metric)])
    if found["margin"]:
        margin = metric.change(found["margin"]).removeprefix("+")
        told.append(f"Better and worse: by more than {margin}; equal: within it.")
    is_judged = metric.higher_is_better is not None
    if is_judged and any(known(row["true_share"]) for row in found["rows"]):
        told.append(
            "Improved: the share that truly gains, with the luck of few examples taken out, where they tell; "
            "better, equal and worse count how it looks."
        )
        told.append(differing(found["rows"]))
    told += _noise(found, metric)
    if found["split"] != "val":
        verdicts = count(found["test_looks"], "verdict")
        told.append(f"Test seen: {verdicts} on these dialogues so far. Choose on val.")
    if is_judged and found["among_metrics"] > 1:
        told.append(
            f"p (Holm) answers for {found['among_metrics']} metrics: this one was not declared first."
        )
    hidden = [other for other in found["others"] if other["variants"]]
    if hidden and not any(row["role"] == row_role.ELSEWHERE for row in found["rows"]):
        told += [
            f"Not shown, scored otherwise: {', '.join(one['variants'])}. What differs: {one['words']}."
            for one in hidden
        ]
        told.append("To show them all the same: --across-protocols")
    return told


def _noise(found: Record, metric: Metric) -> list[str]:
    noise = found["noise"]
    told = [
        f"{row['variant']}: {' '.join(lines)}"
        for row in found["rows"]
        if (lines := training_lines(row, difference=metric.change))
    ]
    if noise["repeats"]:
        return told + [
            f"Another seed alone ({row['variant']}): {metric.change(row['delta'])}, "
            f"{row['wins']} better, {row['ties']} equal, {row['losses']} worse."
            for row in noise["repeats"]
        ]
    command = noise["command"]
    unknown = f"Noise of training unknown. To learn what other seeds alone change: {command}"
    return [*told, unknown] if command else told
