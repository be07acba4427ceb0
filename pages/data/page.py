"""What data does the study stand on, and how does new data come in?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.core.base_folder import EMBEDDED
from engine.core.command import command_line
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.core.wording import count, percent
from engine.data import prepare, prepare_upload
from engine.data.worlds import WORLDS
from engine.domains.registry import domains
from engine.show.charts import shares as views
from pages.data import clusters as data_clusters
from pages.data import dialogues as data_dialogues
from pages.experiments import augment_preview
from pages.shared import base_card, frame, reads
from pages.study import upload as study_upload

_COUNTED = ("personas", "dialogues", "examples")
_SOURCES = ("A synthetic world", "Upload files", "A path or hub id")
_WORLD_WORDS = {
    "default": "default: habits and manners, some shared and some one's own",
    "archetypes": "archetypes: a few types of people, so clusters should win",
    "individualists": "individualists: each in its own way, so only personal information helps",
    "uniform": "uniform: nobody differs, so nothing personal should win",
}
_SUBJECTS = 8
_SCHEMES = {
    "auto": "By time if possible, else by persona",
    "by-time": "By time within each persona",
    "by-persona": "By persona: test personas are unseen",
}


def show() -> None:
    ws = frame.workspace()
    frame.heading("Data", "What does the study stand on?")
    if not frame.is_prepared(ws):
        st.markdown("There is no data in this workspace yet. Choose where it comes from.")
        _import_form(ws)
        st.subheader("Or look at a published study", anchor=False)
        study_upload.show(ws, key="data")
        return
    frame.changed_files(ws)
    pages: dict[str, Callable[[Workspace], None]] = {
        "overview": _overview,
        "dialogues": data_dialogues.show,
        "clusters": data_clusters.show,
        "augmentation": augment_preview.show,
        "import": _import,
        "study": lambda ws: study_upload.show(ws, key="data"),
    }
    view = frame.linked_choice(
        "Show",
        list(pages),
        page="data",
        name="view",
        words=lambda name: "Published study" if name == "study" else name.capitalize(),
        segmented=True,
        labelled=False,
        kept=True,
    )
    pages[view or "overview"](ws)


# --- overview


def _overview(ws: Workspace) -> None:
    card, record = reads.card(ws), read_json(ws.splits / "splits.json")
    counts, statistics = card["counts"], card["statistics"]
    with st.container(horizontal=True, gap="medium"):
        for label in ("personas", "dialogues", "messages", "examples"):
            st.metric(label.capitalize(), f"{counts[label]:,}", width="content")
    domain = reads.domain(ws)
    st.caption(
        f"Source {frame.plain(str(card['source']))}, sha256 {card['data_hash'][:16]}. "
        f"Domain: {frame.plain(domain.title)}"
    )
    for note in card.get("notes", ()):
        st.info(frame.plain(note), icon=":material/info:")
    left, right = st.columns(2, gap="large")
    with left:
        _splits(record)
        _lengths(statistics)
        _subjects(ws)
    with right:
        _checks(record)
    _known_beside(counts, statistics)
    _left_out(card.get("left_out", []))


def _subjects(ws: Workspace) -> None:
    """What replies act on, where the domain can tell."""
    shares, title = reads.subjects(ws), reads.domain(ws).acts_title
    if not shares:
        return
    st.subheader(title, anchor=False)
    st.altair_chart(
        views.share_chart(dict(list(shares.items())[:_SUBJECTS]), title="Share of assistant replies, %"),
        alt=f"{title}: share of replies",
    )
    if len(shares) > _SUBJECTS:
        st.caption(f"And {count(len(shares) - _SUBJECTS, 'more', 'more')}, each rarer.")


def _splits(record: dict[str, Any]) -> None:
    st.subheader("Splits", anchor=False)
    by = "by time within each persona" if record["scheme"] == "by-time" else "by persona"
    found = record["statistics"]
    frame.table(
        pd.DataFrame(
            [
                {
                    "Split": word,
                    **{what.capitalize(): found[name][what] for what in _COUNTED},
                    "Share": percent(found[name]["share"]),
                }
                for name, word in reads.SPLIT_WORDS.items()
            ]
        ).style.format("{:,}", subset=[what.capitalize() for what in _COUNTED]),
        alt="Personas, dialogues and examples in each split",
    )
    online = found["online"]["dialogues"]
    st.caption(
        f"Divided {by}." + (f" {count(online, 'train dialogue')} held for online use." if online else "")
    )


def _checks(record: dict[str, Any]) -> None:
    st.subheader("Checks", anchor=False)
    for check in record["checks"]:
        icon = ":green[:material/check_circle:]" if check["ok"] else ":red[:material/error:]"
        word = "" if check["ok"] else " (failed)"
        name, detail = frame.plain(check["name"].capitalize()), frame.plain(check["detail"])
        st.markdown(f"{icon} **{name}**{word}  \n:gray[{detail}]")


def _lengths(statistics: dict[str, Any]) -> None:
    st.subheader("Lengths", anchor=False)
    table = views.lengths_table(
        {
            "Messages in a dialogue": statistics["turns"],
            "Words in a user's message": statistics["user_words"],
            "Words in a reply": statistics["reply_words"],
            "Dialogues of a persona": statistics["dialogues_per_persona"],
        }
    )
    frame.table(
        table,
        alt="Lengths of dialogues and messages",
        column_config={
            "what": "Length",
            "median": st.column_config.NumberColumn("Median", format="%.0f"),
            "middle": st.column_config.TextColumn("Middle 80 %"),
            "mean": st.column_config.NumberColumn("Mean", format="%.1f"),
        },
    )


def _known_beside(counts: dict[str, Any], statistics: dict[str, Any]) -> None:
    meta = ", ".join(key.replace("_", " ") for key in statistics["meta_coverage"]) or "none"
    st.caption(
        f"{counts['personas_with_character']:,} personas have a character text, "
        f"{counts['personas_with_routines']:,} have routines. "
        f"Vocabulary: {count(statistics['vocabulary'], 'word')}. Context of a dialogue: {frame.plain(meta)}."
    )


def _left_out(faults: list[dict[str, Any]]) -> None:
    if faults:
        with st.expander(
            f"{count(len(faults), 'faulty row')} left out at the import", icon=":material/warning:"
        ):
            frame.table(faults, alt="Rows left out, and why")


# --- import


def _import(ws: Workspace) -> None:
    """A workspace holds one dataset for good: its runs were made with it."""
    runs = sum(1 for _ in ws.runs.glob("*/spec.json"))
    source = frame.plain(str(ws.read_config()["dataset"]["source"]))
    if runs:
        st.info(
            f"This workspace holds {source}, and {count(runs, 'run was', 'runs were')} made with it, so its "
            "data stays. Other data goes into another workspace, which gets its own runs and results.",
            icon=":material/lock:",
        )
        st.markdown("Prepare one and open it:")
        st.code(
            command_line("init", options={"workspace": "another", "dataset": "path/to/dialogues.jsonl"})
            + "\n"
            "PERSONA_LAB_WORKSPACE=another make run",
            language=None,
            wrap_lines=True,
        )
        return
    st.warning(
        f"This workspace holds {source}. It has no runs yet, so it can still be replaced.",
        icon=":material/swap_horiz:",
    )
    _import_form(ws)


def _import_form(ws: Workspace) -> None:
    origin = st.segmented_control(
        "Where does the data come from?", _SOURCES, default=_SOURCES[0], required=True, key="data_source"
    )
    replaces = frame.is_prepared(ws)
    with st.form("data_import", border=True, width=760):
        dataset: str | None = None
        files: list[tuple[str, bytes]] = []
        sizes: dict[str, int | None] = {}
        if origin == "Upload files":
            uploaded = st.file_uploader(
                "One dialogue a line (.jsonl), or characters, routines and sessions (.jsonl), or one .zip",
                type=["jsonl", "json", "zip"],
                accept_multiple_files=True,
                key="data_files",
            )
            files = [(file.name, file.getvalue()) for file in uploaded or []]
        elif origin == "A path or hub id":
            dataset = st.text_input(
                "Path on this machine, or hub id",
                placeholder="my/dialogues.jsonl or owner/dataset",
                key="data_path",
            )
        else:
            world = st.selectbox(
                "World",
                list(WORLDS),
                format_func=lambda name: _WORLD_WORDS.get(name, name),
                key="data_world",
            )
            dataset = f"world:{world}"
        sizes["personas"], sizes["dialogues"] = _sizes(is_world=origin == _SOURCES[0])
        scheme = st.selectbox(
            "Split", list(_SCHEMES), format_func=lambda name: _SCHEMES[name], key="data_split"
        )
        known = domains(ws)
        domain = st.selectbox(
            "What it is about",
            list(known),
            index=None,
            format_func=lambda name: f"{known[name].title}: {known[name].about}",
            placeholder="recognised from the data",
            key="data_domain",
        )
        base = base_card.choose("data_base")
        keep_good = origin != _SOURCES[0] and st.checkbox(
            "Leave faulty rows out instead of refusing the data", key="data_keep_good"
        )
        sent = frame.action(
            "Replace the data" if replaces else "Import",
            form=True,
            least="own",
            type="primary",
            icon=":material/download:",
        )
    if sent:
        options: dict[str, Any] = {
            **sizes,
            "split": scheme,
            "domain": domain,
            "base": base,
            "keep_good": keep_good,
            "force": replaces,
        }
        _run_import(ws, (dataset or "").strip(), files, upload=origin == "Upload files", options=options)


def _sizes(*, is_world: bool) -> tuple[int | None, int | None]:
    word, kind = ("How many", "world") if is_world else ("At most so many", "files")

    def number(column: DeltaGenerator, what: str, default: int, more: str = "") -> int | None:
        return column.number_input(
            f"{word} {what}{more}", min_value=1, value=default if is_world else None, step=1,
            placeholder="all", key=f"data_{what}_{kind}",
        )  # fmt: skip

    left, right = st.columns(2)
    return number(left, "personas", 20), number(right, "dialogues", 50, " each")


def _run_import(
    ws: Workspace, dataset: str, files: list[tuple[str, bytes]], *, upload: bool, options: dict[str, Any]
) -> None:
    if not upload and not dataset:
        st.error("Nothing was named.", icon=":material/error:")
        st.caption("Give a path on this machine, or a hub id such as owner/dataset.")
        return
    with frame.boundary():
        if options["base"] != EMBEDDED:
            card = base_card.look(options["base"])
            if not card["usable"]:
                base_card.show(card)
                raise EngineError(f"{options['base']} cannot be the base.", "Choose another one.")
        with st.spinner("Reading, checking and splitting ..."):
            card = prepare_upload(ws, files, **options) if upload else prepare(ws, dataset=dataset, **options)
        left_out = len(card.get("left_out", ()))
        st.toast(
            f"Imported {count(card['counts']['dialogues'], 'dialogue')}."
            + (f" {left_out} faulty rows left out." if left_out else "")
        )
        st.rerun()


if __name__ == "__main__":
    frame.run(show)
