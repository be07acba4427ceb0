"""The command of the Compare page: compare."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.frame import Call, command, note
from engine.cli.leaderboard import print_csv, show
from engine.core.integrity import warn_changed


@command(
    "compare",
    examples=(
        "compare",
        "compare --reference base --metric device_f1",
        "compare --family retrieval --criteria",
        "compare --margin 1",
        "compare --split val --csv > table.csv",
    ),
)
@click.option("--reference", help="The variant to compare with; by default unified, else base.")
@click.option("--metric", default="embedding_similarity", show_default=True, help="The metric to compare.")
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
    from engine.domains.metrics import metric
    from engine.results.comparing.comparison import compare_variants
    from engine.results.store import refresh

    warn_changed(call.ws)
    _tell(refresh(call.ws))
    unit = 100 if metric(asked["metric"]).unit == "fraction" else 1
    found = compare_variants(call.ws, margin=margin / unit, **asked)
    if as_csv:
        print_csv(found["rows"])
    else:
        call.answer(found, lambda: show(found, with_criteria=with_criteria))
    return 0


def _tell(report: Any) -> None:
    for torn in report.torn:
        note(f"Left out: {torn.run_id}: {torn.reason}")


COMMANDS = (compare,)
