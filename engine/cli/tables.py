"""The command that writes results for other programs: export-table."""

from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from engine.cli.frame import Call, Place, command
from engine.core.errors import EngineError
from engine.core.paths import write_atomically

_COMPARED = {"comparison": "comparison_table", "personas": "persona_table", "examples": "example_table"}
_WHAT = (*_COMPARED, "runs", "votes", "marks")
_SUFFIXES = {".csv": "csv", ".parquet": "parquet", ".tex": "tex"}


@command(
    "export-table",
    examples=(
        "export-table comparison table.csv",
        "export-table comparison table.tex --metric length_ratio",
        "export-table personas personas.parquet --variant hybrid --split test",
        "export-table examples examples.csv --variant hybrid --variant unified",
        "export-table runs runs.csv",
        "export-table votes votes.csv",
        "export-table marks marks.csv",
    ),
)
@click.argument("what", type=click.Choice(_WHAT))
@click.argument("file", type=Place())
@click.option("--metric", help="Of a comparison: the metric; by default the study's primary one.")
@click.option(
    "--split", type=click.Choice(["val", "test"]), help="Of a comparison: val (the default) or test."
)
@click.option("--reference", help="Of a comparison: the variant to compare with.")
@click.option("--protocol", help="Of a comparison: the protocol.")
@click.option("--variant", "variants", multiple=True, help="Of a comparison: this variant only; repeatable.")
def export_table(call: Call, *, what: str, file: Path, split: str | None, **asked: Any) -> int:
    """Write a table as tidy CSV, Parquet or LaTeX, by FILE's ending: .csv, .parquet, .tex.

    WHAT is comparison (a row a variant), personas (a row a variant and persona), examples (a row a variant
    and example, with what was said), runs, votes or marks.
    Numbers are numbers, metrics fractions; metric, its version, split and protocol stand in columns. A
    comparison on test is counted as a look, as everywhere.
    """
    from engine.results.comparing.comparison import compare_variants
    from engine.results.comparing.headline import opening_split
    from engine.show import tables

    form = _SUFFIXES.get(file.suffix)
    if form is None:
        raise EngineError(
            f"{file} has no ending that says how to write it.", "End it in .csv, .parquet or .tex."
        )
    assert form in get_args(tables.Form)
    paper = None
    if what in _COMPARED:
        found = compare_variants(call.ws, split=split or opening_split(call.ws), bands=False, **asked)
        made = getattr(tables, _COMPARED[what])(call.ws, found)
        paper = partial(tables.comparison_latex, call.ws, found) if what == "comparison" else None
    else:
        makers = {"runs": tables.run_table, "votes": tables.vote_table, "marks": tables.mark_table}
        made = makers[what](call.ws)
    write_atomically(file, tables.written(made, form, paper=paper))  # type: ignore[arg-type]
    value = {"written": str(file), "rows": len(made), "columns": list(made.columns)}
    return call.answer(value, lambda: call.say(f"{file}: {len(made):,} rows, {len(made.columns)} columns."))
