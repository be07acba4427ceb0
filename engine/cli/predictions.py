"""The command that writes what a variant answered for an official evaluator: export-predictions."""

import re
from pathlib import Path

import click
from rich.text import Text

from engine.cli.frame import Call, Place, command, out
from engine.core.integrity import warn_changed


@command(
    "export-predictions",
    examples=(
        "export-predictions --workspace W --variant hybrid",
        "export-predictions --workspace W --variant unified+retrieval-bm25-3 --output predictions",
    ),
)
@click.option("--variant", required=True, help="Whose replies to write.")
@click.option(
    "--split", type=click.Choice(["val", "test"]), default="test", show_default=True, help="Which split."
)
@click.option("--protocol", help="Under which protocol; by default the newest.")
@click.option(
    "--output",
    type=Place(),
    help="The folder to write into; by default data/predictions/VARIANT in the workspace.",
)
def export_predictions(
    call: Call, *, variant: str, split: str, protocol: str | None, output: Path | None
) -> int:
    """Write predictions.json and golds.json ({"task", "golds": [{"id", "output"}]}) for evaluators.

    Queries whose answers are not known are answered now, into predictions-hidden.json.
    """
    from engine.results import predictions

    warn_changed(call.ws)
    folder = output or call.ws.data / "predictions" / re.sub(r"[^\w.+~-]", "_", variant)
    found = predictions.export_predictions(call.ws, folder, variant=variant, split=split, protocol=protocol)

    def show() -> None:
        out().print(Text(f"{found.task}: {found.answered} queries in {folder}"))
        if found.unanswered:
            left = f"{found.unanswered} queries of {split} are not answered; score more of each persona:"
            out().print(Text(f"{left} --set examples_per_persona=1000", style="yellow"))
        if found.of_hidden:
            words = f"{found.hidden} of {found.of_hidden} queries without a known answer"
            out().print(Text(f"{words}, answered now: {predictions.HIDDEN}"))

    return call.answer(found.as_json(), show)
