"""What augmentation would make of a persona's dialogues, and what the last run of it made. Runs nothing."""

from typing import Any

import streamlit as st

from engine.core import integrity
from engine.core.paths import Workspace, read_json
from engine.core.wording import count, percent
from engine.data.augment.methods import method_words
from engine.data.augment.preview import preview
from engine.data.augment.records import Attempt
from engine.runs.records import scan
from pages.shared import frame, reads

_MOST = 10


def show(ws: Workspace) -> None:
    """Show a few dialogues beside their sources, then the counts of the newest augmentation run."""
    st.markdown(
        "More training dialogues from those that are there. What a dialogue asks and sets stays, and so do "
        "the replies; validation and test are never touched."
    )
    _last_run(ws)
    st.subheader("Preview", anchor=False)
    trained = reads.splits(ws).assignment
    names = sorted(
        {one.persona_id for one in reads.dataset(ws).dialogues if trained.get(one.dialogue_id) == "train"}
    )
    if not names:
        st.info("No dialogue is in the train split, so there is nothing to augment.", icon=":material/info:")
        return
    domain = reads.domain(ws)
    rules = domain.augmenting.rules
    left, middle, right = st.columns([2, 4, 2], vertical_alignment="bottom")
    with left:
        called = reads.names(ws)
        persona = frame.linked_choice(
            "Persona", names, page="data", name="persona", words=lambda one: called.get(one, one)
        )
    with middle:
        methods = st.pills(
            "How",
            list(rules),
            selection_mode="multi",
            default=list(rules),
            format_func=lambda name: rules[name],
            key="data_augment_methods",
        )
    with right:
        number = st.number_input("Dialogues", 1, _MOST, 3, key="data_augment_count")
    if not methods:
        st.info("Choose at least one way to change dialogues.", icon=":material/touch_app:")
        return
    with frame.boundary():
        found = preview(ws, persona or names[0], int(number), methods=methods)
        for pair in found.pairs:
            _pair(pair, method_words(domain, pair.method))
        if not found.pairs:
            st.info("These ways find nothing to change in her dialogues.", icon=":material/search_off:")
        _refused(found.rejected)
        for one in found.refused[:3]:
            with st.expander(
                f"Refused: {frame.plain(one.reason)} ({method_words(domain, one.method).lower()})"
            ):
                _changes(one)
    st.caption("The run also refuses what strays too far from its source, by the scorer's likeness.")


def _last_run(ws: Workspace) -> None:
    done = [one for one in scan(ws) if one.experiment == "augmentation" and one.state == "succeeded"]
    if not done:
        st.caption("Nothing is augmented yet.")
        asked = {"experiment": "per-persona", "use_augmented": "true"}
        st.page_link(
            frame.EXPERIMENTS, label="Train on augmented dialogues", icon=":material/science:",
            query_params=asked,
        )  # fmt: skip
        return
    domain = reads.domain(ws)
    told: dict[str, Any] = read_json(integrity.result(ws, done[-1].run_id, "augmentation.json"))
    with st.container(horizontal=True, gap="medium"):
        st.metric("Train dialogues", f"{told['sources']:,}", width="content")
        st.metric("Made of them", f"{told['made']:,}", width="content")
        st.metric("Together", f"{told['total']:,}", width="content")
        st.metric("Refused", f"{sum(told['rejected'].values()):,}", width="content")
    rows = [
        {
            "Way": method_words(domain, method),
            "Made": counts.get("taken", 0),
            **{reason.capitalize(): counts.get(reason, 0) for reason in told["rejected"]},
        }
        for method, counts in told["by_method"].items()
    ]
    frame.table(rows, alt="What each way made, and what was refused and why")
    if told["short_of_target"]:
        short = count(len(told["short_of_target"]), "persona stays", "personas stay")
        st.caption(f"{short} short of the target: what is left repeats itself.")
    frame.run_link(done[-1].run_id, icon=frame.STATE_ICONS["succeeded"])


def _pair(pair: Attempt, way: str) -> None:
    with st.container(border=True):
        near = f", likeness {percent(pair.nearness)}" if pair.nearness is not None else ""
        st.markdown(f"**Dialogue {pair.source.order + 1}** :gray[{way}{near}]")
        _changes(pair)


def _changes(pair: Attempt) -> None:
    """Show what differs: the old after a minus, the new after a plus."""
    for one in pair.changes:
        where = frame.plain(one.where.replace("_", " ").capitalize())
        before, after = (frame.plain(text.replace("_", " ")) or "unknown" for text in (one.before, one.after))
        st.markdown(f":gray[{where}]  \n:red[**−**] {before}  \n:green[**+**] {after}")


def _refused(rejected: dict[str, int]) -> None:
    told = ", ".join(f"{reason} {number}" for reason, number in rejected.items())
    st.caption(f"Refused on the way: {frame.plain(told)}." if told else "Nothing was refused on the way.")
