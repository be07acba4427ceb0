"""The commands of the Compare page: compare, rescore."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from engine.cli.frame import Call, command, note, out
from engine.cli.leaderboard import print_csv, show
from engine.core.integrity import warn_changed
from engine.core.wording import count


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

    warn_changed(call.ws)
    _tell(refresh(call.ws))
    unit = 100 if chosen(call.ws, asked["metric"]).unit == "fraction" else 1
    found = compare_variants(call.ws, margin=margin / unit, **asked)
    if as_csv:
        print_csv(found["rows"])
    else:
        call.answer(found, lambda: show(found, with_criteria=with_criteria))
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
        told = count(sum(one.replies for one in done), "reply", "replies") if done else ""
        words = (
            f"{told} of {count(len({one.run_id for one in done}), 'run')} scored."
            if done
            else "Nothing is missing."
        )
        out().print(words)

    call.answer([asdict(one) for one in done], show_done)
    return 0


def _tell(report: Any) -> None:
    for torn in report.torn:
        note(f"Left out: {torn.run_id}: {torn.reason}")


COMMANDS = (compare, rescore)
