"""The report: what a study found, with what it stands on, as report.md, report.html and figures.

Owns the order of the sections and the files. The same store gives the same bytes: nothing asks the clock.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import EngineError
from engine.core.machine import read_only
from engine.core.paths import Workspace, write_atomically
from engine.show.report.blocks import Document, Section
from engine.show.report.decisions import criteria_section, trees_section
from engine.show.report.figures import as_png, as_svg
from engine.show.report.gathering import Gathered, gather
from engine.show.report.grounds import (
    data_section,
    limits_section,
    protocol_section,
    question_section,
    reproduce_section,
)
from engine.show.report.rendering import FIGURES, as_html, as_markdown
from engine.show.report.results import (
    examples_section,
    leaderboard_section,
    verdict_section,
    win_loss_section,
)
from engine.show.report.soundness import controls_section, memory_section, plan_section, strangers_section

Progress = Callable[[str, int, int], None]

__all__ = ["Written", "compose", "default_folder", "write_report"]


@dataclass(frozen=True, slots=True)
class Written:
    """Where a report lies: its folder, the two texts, and the figures (two files each)."""

    folder: Path
    markdown: Path
    html: Path
    figures: tuple[Path, ...]


def default_folder(ws: Workspace) -> Path:
    """Return where a workspace's report lies unless another place is named."""
    return ws.root / "report"


def write_report(
    ws: Workspace, output: Path | None = None, *, on_progress: Progress = lambda *_: None
) -> Written:
    """Write report.md, report.html and figures/ into `output`, replacing an earlier report there.

    `on_progress` is told what is being done, how many steps are done, and of how many.
    Raises EngineError where there is no workspace, and for a folder that holds something else than a report.
    """
    on_progress("reading the results", 0, 0)
    document = compose(ws)
    steps = 2 * len(document.figures)
    folder = output or default_folder(ws)
    _refuse(ws, folder)
    drawn: dict[str, str] = {}
    for figure in document.figures:
        on_progress("drawing figures", len(drawn), steps)
        drawn[figure.name] = as_svg(figure.chart)
    shutil.rmtree(folder / FIGURES, ignore_errors=True)
    paths: list[Path] = []
    for figure in document.figures:
        on_progress("writing figures", len(drawn) + len(paths) // 2, steps)
        svg, png = (folder / FIGURES / f"{figure.name}{suffix}" for suffix in (".svg", ".png"))
        write_atomically(svg, drawn[figure.name])
        write_atomically(png, as_png(figure.chart))
        paths += [svg, png]
    write_atomically(folder / "report.md", as_markdown(document))
    write_atomically(folder / "report.html", as_html(document, drawn))
    return Written(folder, folder / "report.md", folder / "report.html", tuple(paths))


def compose(ws: Workspace) -> Document:
    """Return the report of a workspace, before it is written."""
    gathered = gather(ws)
    sections: list[Section | None] = [
        question_section(gathered),
        verdict_section(gathered),
        plan_section(gathered),
        data_section(gathered),
        protocol_section(gathered),
    ]
    for compared in gathered.compared:
        sections += [leaderboard_section(gathered, compared), win_loss_section(gathered, compared)]
    if gathered.main is not None:
        sections += [
            controls_section(gathered.main),
            memory_section(gathered, gathered.main),
            strangers_section(gathered, gathered.main),
        ]
    sections += [
        examples_section(gathered),
        criteria_section(gathered),
        trees_section(gathered),
        limits_section(gathered),
        reproduce_section(gathered),
    ]
    return Document(
        "Which way of personalising wins, and for whom?",
        _subtitle(gathered),
        tuple(section for section in sections if section is not None),
    )


def _subtitle(gathered: Gathered) -> str:
    told = f"A report of Persona Lab on {gathered.card['source']}"
    if not gathered.card["counts"]["dialogues"]:
        return told
    return f"{told}, base model {str(gathered.config['base']).rsplit('/', 1)[-1]}"


def _refuse(ws: Workspace, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise EngineError(f"{folder} is a file.", "Name a folder: --output DIR")
    if (folder / FIGURES).exists() and not (folder / "report.md").exists():
        raise EngineError(
            f"{folder} holds a folder {FIGURES} that is no report's.", "Name another folder: --output DIR"
        )
    if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(ws.root)) and read_only(ws):
        raise EngineError(
            "This workspace is read-only: it cannot take a report.",
            "Name a folder elsewhere: python -m engine report --output DIR",
        )
