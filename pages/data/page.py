"""What data does the study stand on, and how does new data come in?"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from engine.core.paths import Workspace, read_json
from engine.core.wording import SCHEME_WORDS, count, percent
from engine.core.wording import about as about_seconds
from engine.data.checks import TOLD
from engine.domains import metrics
from engine.show.charts import shares as views
from engine.strategies.scorer import choose
from pages.data import about, importing
from pages.data import clusters as data_clusters
from pages.data import dialogues as data_dialogues
from pages.data import reads as data_reads
from pages.experiments import augment_preview
from pages.shared import frame, reads
from pages.study import upload as study_upload

_COUNTED = ("personas", "dialogues", "examples")
_SUBJECTS = 8
_SECONDS_A_READING = 0.00015  # of a dialogue, on the machine of docs/performance.md


def show() -> None:
    ws = frame.workspace()
    frame.heading("Data", "What does the study stand on?")
    if not frame.is_prepared(ws):
        st.markdown("There is no data in this workspace yet. Choose where it comes from.")
        importing.form(ws)
        st.subheader("Or look at a published study", anchor=False)
        study_upload.show(ws, key="data")
        return
    frame.changed_files(ws)
    pages: dict[str, Callable[[Workspace], None]] = {
        "overview": _overview,
        "dialogues": data_dialogues.show,
        "clusters": data_clusters.show,
        "augmentation": augment_preview.show,
        "import": importing.show,
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
    card: dict[str, Any] | None = None
    with frame.boundary():
        card = reads.card(ws)
        _counted(ws, card)
    left, right = st.columns(2, gap="large")
    with left:
        with frame.boundary():
            _splits(read_json(ws.splits / "splits.json"))
        if card is not None:
            _lengths(card["statistics"])
    with right:
        with frame.boundary():
            _checks(ws)
        _scorer(ws)
    unread: Mapping[str, Callable[[Workspace], object]] = {}
    with frame.boundary():
        unread = {} if card is None else data_reads.unread(ws)
    if unread:
        with frame.boundary():
            _read_through(ws, unread)
    else:
        with left, frame.boundary():  # last: what is counted of all texts comes when it is there
            _subjects(ws)
        with frame.boundary():
            about.show(ws)
    if card is not None:
        _known_beside(card["counts"], card["statistics"])
        _left_out(card.get("left_out", []))


def _counted(ws: Workspace, card: Mapping[str, Any]) -> None:
    """How much there is, where it comes from, and what was noted when it was taken in."""
    counts = card["counts"]
    with st.container(horizontal=True, gap="medium", key="facts_data"):
        for label in ("personas", "dialogues", "messages", "examples"):
            st.metric(label.capitalize(), f"{counts[label]:,}", width="content")
    domain = reads.domain(ws)
    st.caption(
        f"Source {frame.plain(str(card['source']))}, sha256 {card['data_hash'][:16]}. "
        f"Domain: {frame.plain(domain.title)}. Primary metric: {frame.plain(metrics.primary(ws).label)}"
    )
    for note in card.get("notes", ()):
        told = frame.on_this_page(note, controls=importing.CONTROLS)
        st.info(frame.plain(told), icon=":material/info:")


def _read_through(ws: Workspace, unread: Mapping[str, Callable[[Workspace], object]]) -> None:
    """Offer what takes long of many dialogues; it is kept, so that it is asked for once."""
    dialogues: int = reads.card(ws)["counts"]["dialogues"]
    st.subheader("What it is about", anchor=False)
    takes = about_seconds(_SECONDS_A_READING * dialogues * len(unread))
    st.caption(f"Not read yet of {dialogues:,} dialogues: {', '.join(unread)}. It takes {takes}, once.")
    if not st.button("Read them all", icon=":material/menu_book:", key="data_read_all"):
        return
    shown = st.progress(0.0)
    for done, (words, read) in enumerate(unread.items()):
        shown.progress(done / len(unread), text=f"Reading {dialogues:,} dialogues: {words} ...")
        read(ws)
    st.rerun()


def _subjects(ws: Workspace) -> None:
    """What replies act on, where the domain can tell."""
    shares, title = reads.subjects(ws), reads.domain(ws).acts_title
    if not shares:
        return
    st.subheader(title, anchor=False)
    frame.chart(
        views.share_chart(dict(list(shares.items())[:_SUBJECTS]), title="Share of assistant replies, %"),
        alt=f"{title}: share of replies",
    )
    if len(shares) > _SUBJECTS:
        st.caption(f"And {count(len(shares) - _SUBJECTS, 'more', 'more')}, each rarer.")


def _splits(record: dict[str, Any]) -> None:
    st.subheader("Splits", anchor=False)
    by = SCHEME_WORDS[record["scheme"]]
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
                if name in found
            ]
        ).style.format("{:,}", subset=[what.capitalize() for what in _COUNTED]),
        alt="Personas, dialogues and examples in each split",
    )
    online = found["online"]["dialogues"]
    st.caption(
        f"Divided {by}." + (f" {count(online, 'train dialogue')} held for online use." if online else "")
    )


def _checks(ws: Workspace) -> None:
    st.subheader("Checks", anchor=False)
    for check in data_reads.checks(ws):
        icon = ":green[:material/check_circle:]" if check["ok"] else ":red[:material/error:]"
        word = "" if check["ok"] else " (failed)"
        name, detail = frame.plain(check["name"].capitalize()), frame.plain(check["detail"])
        st.markdown(f"{icon} **{name}**{word}  \n:gray[{detail}]")
        if not check["ok"] and (told := TOLD.get(check["name"])) is not None:
            st.caption(f"{told.means} {frame.on_this_page(told.do, controls=importing.CONTROLS)}")


def _scorer(ws: Workspace) -> None:
    """Another sentence encoder, for languages or lengths that this one does not read."""
    with st.expander("Score by another encoder", icon=":material/translate:"):
        name = st.text_input(
            "Hub id or folder", key="data_scorer", placeholder="BAAI/bge-m3, a folder, or all-MiniLM-L6-v2"
        )
        st.caption(
            "Scores by the one before stay, under their own protocol. Where it reads too little, "
            "chrF decides."
        )
        if frame.action(
            "Use it",
            least="own",
            key="data_use_scorer",
            off=not name,
            command=frame.command("scorer", name.strip() or "NAME"),
        ):
            with frame.boundary(), st.spinner("Reading ..."):
                choose(ws, name.strip())
                st.rerun()


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


if __name__ == "__main__":
    frame.run(show)
