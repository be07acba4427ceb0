"""The command that writes the report: report."""

import os
import time
from pathlib import Path

import click

from engine.cli.frame import Call, Place, command, out
from engine.core.integrity import warn_changed


@command("report", examples=("report --workspace W", "report --workspace W --output my-report --json"))
@click.option(
    "--output",
    type=Place(),
    help="The folder to write into; by default the workspace's report.",
)
def report(call: Call, *, output: Path | None) -> int:
    """Write what was found as report.md and a self-contained report.html, with figures as PNG and SVG."""
    from engine.show.report import default_folder, making, write_report

    warn_changed(call.ws)
    began = time.monotonic()
    written = write_report(call.ws, output)
    if os.path.realpath(written.folder) == os.path.realpath(default_folder(call.ws)):
        making.note(call.ws, seconds=time.monotonic() - began)
    value = {
        "folder": str(written.folder),
        "markdown": str(written.markdown),
        "html": str(written.html),
        "figures": [str(path) for path in written.figures],
    }

    def show() -> None:
        figures = len(written.figures) // 2
        out().print(f"{written.html}\n{written.markdown}\n{figures} figures as PNG and SVG", soft_wrap=True)

    return call.answer(value, show)
