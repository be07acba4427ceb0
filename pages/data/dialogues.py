"""Reading dialogues: of one persona or of everybody, by what was said in them."""

from collections.abc import Sequence

import streamlit as st

from engine.core.paths import Workspace
from engine.core.types import Dialogue
from engine.core.wording import count, spelled
from pages.shared import addresses, frame, reads
from pages.shared.reads import SPLIT_WORDS

_ON_A_PAGE = 200
_READ = "dialogue"  # in the address: the one that is read


def show(ws: Workspace) -> None:
    """Show the choice of a persona, the search, the dialogues found, and the one that is read."""
    dataset = reads.dataset(ws)
    characters = {persona.persona_id: persona.character for persona in dataset.personas}
    columns, names = st.columns([2, 3]), reads.names(ws)
    with columns[0]:
        one = frame.linked_choice(
            "Persona",
            list(characters),
            page="data",
            name="persona",
            whole="All personas",
            words=lambda one: names.get(one, one),
        )
    with columns[1]:
        sought = st.text_input(
            "Search in what was said",
            key="data_search",
            bind="query-params",
            icon=":material/search:",
            placeholder="a word or phrase",
        )
    if one is not None:
        _about(ws, one, characters[one])
    dialogues = dataset.dialogues if one is None else reads.dialogues_of(ws, one)
    wanted = (sought or "").strip().lower()
    found = [
        dialogue
        for dialogue in dialogues
        if not wanted or any(wanted in message.text.lower() for message in dialogue.messages)
    ]
    if not found:
        whose = "No dialogue" if one is None else f"No dialogue of {frame.plain(reads.called(ws, one))}"
        st.info(f"{whose} holds this. Search for less, or elsewhere.", icon=":material/search_off:")
        return
    left, right = st.columns([2, 3] if one is not None else 2, gap="medium")
    with left:
        dialogue = _list(ws, found, key=f"data_list_{one}_{wanted}", named=one is None)
    with right:
        _read(ws, dialogue, reads.splits(ws).assignment[dialogue.dialogue_id])


def _about(ws: Workspace, persona_id: str, character: str | None) -> None:
    if character:
        st.markdown(frame.plain(character))
    frame.persona_link(f"Scores and replies of {reads.called(ws, persona_id)}", persona_id)


def _list(ws: Workspace, found: Sequence[Dialogue], *, key: str, named: bool) -> Dialogue:
    """The dialogues found, whose they are where they are of several; returns the one to be read."""
    pages, page = -(-len(found) // _ON_A_PAGE), f"{key}_page"
    if pages > 1 and addresses.anew(page):  # the one page of them that holds it
        places = {dialogue.dialogue_id: place for place, dialogue in enumerate(found)}
        st.session_state[page] = places.get(st.query_params.get(_READ, ""), 0) // _ON_A_PAGE + 1
    start = _ON_A_PAGE * (st.pagination(pages, key=page) - 1) if pages > 1 else 0
    assignment, shown = reads.splits(ws).assignment, found[start : start + _ON_A_PAGE]
    told = count(len(found), "dialogue")
    if pages > 1:
        told = f"{start + 1:,} to {start + len(shown):,} of {told}"
    st.caption(f"{told}; select one to read it.")
    names = [dialogue.dialogue_id for dialogue in shown]
    place = names.index(addresses.linked(_READ, names, label="Dialogue"))
    listed = f"{key}_{start}"
    frame.select_rows(listed, [place])

    def take() -> None:
        if rows := st.session_state[listed]["selection"]["rows"]:
            addresses.point(_READ, names[rows[0]])

    called = reads.names(ws)
    whose = {"Persona": [called.get(one.persona_id, one.persona_id) for one in shown]} if named else {}
    order = [*whose, "Begins with", "No", "Split"]  # what tells one from another first
    frame.table(
        {
            **whose,
            "No": [dialogue.order + 1 for dialogue in shown],
            "Split": [SPLIT_WORDS[assignment[dialogue.dialogue_id]] for dialogue in shown],
            "Begins with": [dialogue.messages[0].text for dialogue in shown],
        },
        key=listed,
        on_select=take,
        selection_mode="single-row",
        height="content" if len(shown) < 10 else 560,
        alt="Dialogues found; select a row to read it",
        column_order=order if frame.is_narrow() else None,
        column_config={
            "Persona": st.column_config.TextColumn(width=132),
            "No": st.column_config.NumberColumn(width=45),
            "Split": st.column_config.TextColumn(width=72),
        },
    )
    return shown[place]


def _read(ws: Workspace, dialogue: Dialogue, split: str) -> None:
    with st.container(border=True):
        st.markdown(
            f"**Dialogue {dialogue.order + 1}** of {frame.plain(reads.called(ws, dialogue.persona_id))} "
            f":gray[{SPLIT_WORDS[split]}]"
        )
        if dialogue.meta:
            st.caption(
                ", ".join(
                    frame.plain(f"{key.replace('_', ' ')}: {spelled(value).replace('_', ' ')}")
                    for key, value in dialogue.meta.items()
                )
            )
        for message in dialogue.messages:
            avatar = ":material/person:" if message.role == "user" else ":material/smart_toy:"
            with st.chat_message("user" if message.role == "user" else "assistant", avatar=avatar):
                st.markdown(frame.plain(message.text))
