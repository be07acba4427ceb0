"""What of the workspace could go: shown with its size, taken away by kind after a second click."""

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import size
from engine.results import cleaning
from pages.shared import frame

_FOUND, _DONE = "settings_leftovers", "settings_cleaned"


def show(ws: Workspace) -> None:
    st.subheader("What could go", anchor=False)
    if st.button("Look for leftovers", icon=":material/mop:", key="settings_clean_look"):
        with st.spinner("Looking through runs and adapters ..."):
            st.session_state[_FOUND] = cleaning.leftovers(ws)
    done = st.session_state.pop(_DONE, None)
    if done:
        st.success(frame.plain(done), icon=":material/check_circle:")
    found: list[cleaning.Leftover] | None = st.session_state.get(_FOUND)
    if found is None:
        st.caption("Checkpoints of runs that are done, adapters that nobody answers by, files half written.")
        return
    kinds = {kind: [one for one in found if one.kind == kind] for kind in cleaning.KINDS}
    kinds = {kind: mine for kind, mine in kinds.items() if mine}
    if not kinds:
        st.caption("There is nothing to take away.")
        return
    frame.table(
        {
            "Kind": [kind.capitalize() for kind in kinds],
            "Number": [f"{len(mine):,}" for mine in kinds.values()],
            "Size": [size(cleaning.total(mine)) for mine in kinds.values()],
            "What it is": [cleaning.KINDS[kind] for kind in kinds],
        },
        height="content",
        alt="What could go, by kind, with its size",
    )
    chosen = st.multiselect(
        "Take away",
        list(kinds),
        format_func=str.capitalize,
        key="settings_clean_kinds",
        placeholder="Nothing",
    )
    mine = [one for kind in chosen for one in kinds[kind]]
    told = cleaning.words(mine)
    if chosen and frame.action(
        f"Take away {told}",
        icon=":material/delete:",
        key="settings_clean",
        least="own",
        command=frame.command("clean", *chosen, yes=True),
    ):
        _confirm(ws, tuple(chosen), told)


@st.dialog("Take it away?")
def _confirm(ws: Workspace, kinds: tuple[str, ...], told: str) -> None:
    st.markdown(f"{told}: {', '.join(kinds)}. It does not come back. No variant and no result needs it.")
    st.button("Take away", type="primary", key="settings_clean_yes", on_click=_clean, args=(ws, kinds))


def _clean(ws: Workspace, kinds: tuple[str, ...]) -> None:
    with frame.boundary():
        gone = cleaning.clean(ws, kinds)
        st.session_state[_DONE] = f"Gone: {cleaning.words(gone)}."
        st.session_state.pop(_FOUND, None)
        st.session_state.pop("settings_clean_kinds", None)
