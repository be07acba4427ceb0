"""What is the data about? Words, sizes, languages, lengths, repeats and a map, for any domain."""

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import count, percent
from engine.data.portrait import Portrait
from engine.show.charts import shares as views
from engine.show.persona import charts
from engine.strategies.clusterings import Clusters
from pages.data import reads as data_reads
from pages.shared import frame, reads

_SHOWN, _HEIGHT, _PAIRS = 12, 440, 20
_MAP = "data_words"
_COUNTED = ("Dialogues", "Examples", "Words")


def show(ws: Workspace) -> None:
    """Show who the personas are by their words and how large each is; nothing without dialogues."""
    found = reads.about(ws)
    if not any(one.dialogues for one in found.sitters):
        return
    st.subheader("What it is about", anchor=False)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _personas(ws, found)
    with right:
        _map(found)
        _languages(found)
    _window(ws)
    _repeats(ws)


def _personas(ws: Workspace, found: Portrait) -> None:
    held, names = found.sitters, reads.names(ws)
    called = [names.get(one.persona_id, one.persona_id) for one in held]
    largest = f"{percent(held[0].share, 1)} of all dialogues are {frame.plain(called[0])}'s"
    st.caption(
        f"{count(len(held), 'persona')}, the largest first: {largest}. Words set a persona apart where she "
        "uses them more than others do, in what is trained on."
    )
    frame.table(
        {
            "Persona": called,
            "Words that set her apart": [", ".join(one.distinctive) for one in held],
            "Dialogues": [one.dialogues for one in held],
            "Examples": [one.examples for one in held],
            "Words": [one.words for one in held],
        },
        height="content" if len(held) <= _SHOWN else _HEIGHT,
        alt="Personas by size, with the words that set each apart",
        column_config={
            "Words that set her apart": st.column_config.TextColumn(width=260),
            **{name: st.column_config.NumberColumn(format="localized", width=70) for name in _COUNTED},
        },
    )


def _map(found: Portrait) -> None:
    places = {one.persona_id: one.place for one in found.sitters}
    if len(set(places.values())) < 3:
        return
    spec = charts.map_chart(
        Clusters.model_validate({"assignment": dict.fromkeys(places, 0), "map": places}), None
    )
    spec["datasets"] = {
        name: rows.iloc[:0] if name == "edges" else rows for name, rows in spec["datasets"].items()
    }
    event = frame.chart(
        spec, key=_MAP, on_select="rerun", alt=f"Map of {count(len(places), 'persona')} by their words"
    )
    if picked := frame.clicked(event):
        frame.open_persona(picked["persona_id"])
    st.caption("The nearer two personas, the more alike their words. Click one to open its page.")


def _languages(found: Portrait) -> None:
    if len(found.scripts) == 1:
        st.caption(f"All letters are {next(iter(found.scripts)).capitalize()}.")
    elif found.scripts:
        named = {name.capitalize(): share for name, share in found.scripts.items()}
        frame.chart(views.share_chart(named, title="Share of letters, %"), alt="Scripts of the letters")


def _window(ws: Workspace) -> None:
    held = data_reads.lengths(ws)
    if held is None:
        return
    told = (
        f"In the base's tokens a dialogue has {held.median:,}, nine in ten at most {held.ninth:,}, the "
        f"longest {held.longest:,}."
    )
    if held.window is None:
        st.caption(told)
    elif held.too_long:
        st.warning(
            f"{told} {count(held.too_long, 'dialogue')} of {held.dialogues:,} are longer than its window of "
            f"{held.window:,}: their oldest turns are not trained on.",
            icon=":material/content_cut:",
        )
    else:
        st.caption(f"{told} All fit into its window of {held.window:,}.")


def _repeats(ws: Workspace) -> None:
    held = data_reads.repeated(ws)
    if not held:
        return
    with st.expander(
        f"{count(len(held), 'test dialogue')} in train or history too", icon=":material/content_copy:"
    ):
        frame.table(
            {
                "Dialogue": [one.dialogue_id for one in held[:_PAIRS]],
                "Repeats": [one.repeats for one in held[:_PAIRS]],
                "Alike": [percent(one.likeness) for one in held[:_PAIRS]],
            },
            alt="Test dialogues that stand in train or history, and where",
        )
