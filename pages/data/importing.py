"""How new data comes in: from a world, files, a path or the hub, looked at before it is taken where one
wants.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.core.base_folder import EMBEDDED
from engine.core.command import command_line
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import count
from engine.data import prepare, prepare_upload, preview, preview_upload
from engine.data.archive import SUFFIXES
from engine.data.splits import MIN_DIALOGUES
from engine.data.worlds import NAMES
from engine.domains.registry import domains
from engine.strategies.scorer import settle
from pages.data import mapping
from pages.shared import base_card, frame

_SOURCES = {"world": "A synthetic world", "upload": "Upload files", "path": "A path or hub id"}
_WORLD_WORDS = {
    "default": "default: habits and manners, some shared and some one's own",
    "archetypes": "archetypes: a few types of people, so clusters should win",
    "individualists": "individualists: each in its own way, so only personal information helps",
    "styles": "styles: two ways to say the same, so steering should do",
    "kin": "kin: who is new resembles somebody known, so what predicts from a profile should win",
    "told": "told: only the character text tells what somebody wants, so a profile in the prompt should win",
    "uniform": "uniform: nobody differs, so nothing personal should win",
    "headlines": "headlines: authors head articles each in a way of her own; no actions",
    "headlines-uniform": "headlines-uniform: all head them alike, so nothing personal should win",
}
_KEEP_GOOD = "Leave faulty rows out instead of refusing the data"
_LOOK, _FEWER = "Look at it first", "Leave out personas with fewer dialogues than"
_UNSEEN, _ABOUT = "Keep so many % of the personas unseen", "What it is about"
# What remedies name by their flags stands here under these labels.
CONTROLS = {
    "--keep-good": _KEEP_GOOD,
    "--min-dialogues": _FEWER,
    "--unseen": _UNSEEN,
    "--split": "Split",
    "--domain": _ABOUT,
    "--base": "Base model",
    "--map": f"{_LOOK}, then its columns:",
}
_SCHEMES = {
    "auto": "By time if possible, else by persona",
    "by-time": "By time within each persona",
    "by-persona": "By persona: test personas are unseen",
}


def show(ws: Workspace) -> None:
    """A workspace holds one dataset for good: its runs were made with it."""
    runs = sum(1 for _ in ws.runs.glob("*/spec.json"))
    source = frame.plain(str(ws.read_config()["dataset"]["source"]))
    if runs:
        st.info(
            f"This workspace holds {source}, and {count(runs, 'run was', 'runs were')} made with it, so its "
            "data stays. Other data goes into another workspace, which gets its own runs and results.",
            icon=":material/lock:",
        )
        st.markdown(f"Begin one in the menu, under **{frame.plain(ws.root.name)}**, or in a terminal:")
        frame.show_command(
            command_line("init", options={"workspace": "another", "dataset": "path/to/dialogues.jsonl"}),
            "PERSONA_LAB_WORKSPACE=another make run",
        )
        return
    st.warning(
        f"This workspace holds {source}. It has no runs yet, so it can still be replaced.",
        icon=":material/swap_horiz:",
    )
    form(ws)


def form(ws: Workspace) -> None:
    """Ask where data comes from and how it is divided; look at it, or take it in."""
    origin = frame.linked_choice(
        "Where does the data come from?", list(_SOURCES), page="data", name="source", segmented=True,
        words=lambda one: _SOURCES[one],
    )  # fmt: skip
    replaces, is_world = frame.is_prepared(ws), origin == "world"
    with st.container(border=True, width=760):
        dataset, files = _from_where(str(origin))
        options: dict[str, Any] = _sizes(is_world=is_world)
        options["split"] = st.selectbox(
            "Split", list(_SCHEMES), format_func=lambda name: _SCHEMES[name], key="data_split"
        )
        options |= _who_is_left_out(is_world=is_world)
        known = domains(ws)
        options["domain"] = st.selectbox(
            _ABOUT,
            list(known),
            index=None,
            format_func=lambda name: f"{known[name].title}: {known[name].about}",
            placeholder="recognised from the data",
            key="data_domain",
        )
        options["base"] = base_card.choose("data_base")
        options["keep_good"] = not is_world and st.checkbox(_KEEP_GOOD, key="data_keep_good")
        options["force"] = replaces
        with st.container(horizontal=True):
            word = "Replace the data" if replaces else "Import"
            sent = frame.action(
                word, least="own", type="primary", icon=":material/download:", key="data_import",
                command=_command(dataset, files, options),
            )  # fmt: skip
            looked = not is_world and frame.action(
                _LOOK, least="own", icon=":material/search:", key="data_look_first",
                command=f"{_command(dataset, files, options)} --preview",
            )  # fmt: skip
    upload = origin == "upload"
    if sent:
        take_in(ws, dataset, files, upload=upload, options=options)
    if looked and _is_named(dataset, upload=upload):
        mapping.forget()
        look(ws, dataset, files, upload=upload, options=options)
    if not is_world and (held := mapping.held()) is not None and held.upload == upload:
        again = mapping.show(held, word, CONTROLS, partial(_command, held.dataset, held.files))
        if again is not None:
            chosen = {**held.options, "map": again.parts}
            if again.takes:
                take_in(ws, held.dataset, held.files, upload=upload, options=chosen)
            else:
                look(ws, held.dataset, held.files, upload=upload, options=chosen)
                st.rerun()


def _command(dataset: str, files: Sequence[tuple[str, bytes]], options: Mapping[str, Any]) -> str:
    """The command that takes in the same; of several files uploaded here it names their folder."""
    named = dataset or (files[0][0] if len(files) == 1 else "FOLDER-OR-FILE")
    told = {name: one for name, one in options.items() if one and (name, one) not in _USUAL}
    return frame.command("init", dataset=named, **told)


_USUAL = (("split", "auto"), ("base", EMBEDDED))


def _from_where(origin: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The field for the chosen origin; returns a dataset's name and the files uploaded."""
    if origin == "upload":
        uploaded = st.file_uploader(
            "Dialogues of many people: JSON, CSV or parquet, one file or several, also packed"
            " (.gz, one .zip)",
            type=[ending.removeprefix(".") for ending in (*SUFFIXES, ".zip")],
            accept_multiple_files=True,
            key="data_files",
        )
        return "", [(file.name, file.getvalue()) for file in uploaded or []]
    if origin == "path":
        named = st.text_input(
            "Path on this machine, or hub id",
            placeholder="my/dialogues.jsonl, owner/dataset or owner/dataset:config:split",
            key="data_path",
        )
        return (named or "").strip(), []
    world = st.selectbox(
        "World", NAMES, format_func=lambda name: _WORLD_WORDS.get(name, name), key="data_world"
    )
    return f"world:{world}", []


def _sizes(*, is_world: bool) -> dict[str, int | None]:
    word, kind = ("How many", "world") if is_world else ("At most so many", "files")

    def number(column: DeltaGenerator, what: str, default: int, more: str = "") -> int | None:
        return column.number_input(
            f"{word} {what}{more}", min_value=1, value=default if is_world else None, step=1,
            placeholder="all", key=f"data_{what}_{kind}",
        )  # fmt: skip

    left, right = st.columns(2)
    return {"personas": number(left, "personas", 20), "dialogues": number(right, "dialogues", 50, " each")}


def _who_is_left_out(*, is_world: bool) -> dict[str, Any]:
    """Who has too little, and who is kept for judging alone."""
    left, right = st.columns(2)
    least = None if is_world else left.number_input(
        _FEWER, min_value=1, value=None, step=1,
        placeholder=f"nobody; a split by time needs {MIN_DIALOGUES}", key="data_min_dialogues",
    )  # fmt: skip
    share = (left if is_world else right).number_input(
        _UNSEEN, min_value=1, max_value=99, value=None, step=1,
        placeholder="none", key="data_unseen",
        help="Beside a split by time: personas that nothing is trained on, to judge by.",
    )  # fmt: skip
    return {"min_dialogues": least, "unseen": share / 100 if share else None}


def _is_named(dataset: str, *, upload: bool) -> bool:
    if upload or dataset:
        return True
    st.error("Nothing was named.", icon=":material/error:")
    st.caption("Give a path on this machine, or a hub id such as owner/dataset.")
    return False


def look(
    ws: Workspace, dataset: str, files: Sequence[tuple[str, bytes]], *, upload: bool, options: dict[str, Any]
) -> None:
    """Look at the data as it would be taken in, and hold what was found."""
    with frame.boundary(CONTROLS), st.spinner("Reading, checking and splitting, without writing ..."):
        found = preview_upload(ws, files, **options) if upload else preview(ws, dataset=dataset, **options)
        mapping.hold(mapping.Held(found, dataset, tuple(files), upload, options))


def take_in(
    ws: Workspace, dataset: str, files: Sequence[tuple[str, bytes]], *, upload: bool, options: dict[str, Any]
) -> None:
    """Import the data, and draw the page anew over it."""
    if not _is_named(dataset, upload=upload):
        return
    with frame.boundary(CONTROLS):
        if options["base"] != EMBEDDED:
            card = base_card.look(options["base"])
            if not card["usable"]:
                base_card.show(card)
                raise EngineError(f"{options['base']} cannot be the base.", "Choose another one.")
        with st.spinner("Reading, checking and splitting ..."):
            card = prepare_upload(ws, files, **options) if upload else prepare(ws, dataset=dataset, **options)
            settle(ws)
        mapping.forget()
        left_out = len(card.get("left_out", ()))
        st.toast(
            f"Imported {count(card['counts']['dialogues'], 'dialogue')}."
            + (f" {count(left_out, 'faulty row')} left out." if left_out else "")
        )
        st.rerun()
