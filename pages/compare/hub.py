"""A variant on its way to the Hugging Face Hub: what would go out is shown, and sent by a second click."""

from dataclasses import dataclass
from tempfile import TemporaryDirectory

import streamlit as st

from engine.core.limits import megabytes
from engine.core.paths import Workspace
from engine.core.wording import count
from engine.serve import push
from engine.serve.push import Destination, Parcel
from pages.shared import frame

_PACKED, _SENT = "compare_hub_packed", "compare_hub_sent"


@dataclass(frozen=True, slots=True)
class _Packed:
    """A parcel as it was shown: what was asked for, where it goes, and the folder that holds it meanwhile."""

    asked: tuple[str, str, bool]
    to: Destination
    parcel: Parcel
    place: TemporaryDirectory[str]


def show(ws: Workspace, name: str) -> None:
    st.subheader("The Hugging Face Hub", anchor=False)
    st.caption("The same, in a repository that is private unless you say otherwise.")
    repository = st.text_input(
        "Repository", placeholder="my-name/its-name", key="compare_hub_repository"
    ).strip()
    public = st.checkbox("Everybody can read it", key="compare_hub_public")
    asked = (name, repository, public)
    if frame.action(
        "Show what would go out",
        icon=":material/upload:",
        key="compare_hub",
        least="own",
        off=not repository,
        help="Nothing is sent yet.",
    ):
        with frame.boundary(), st.spinner("Loading the base and writing its adapters ..."):
            to = push.destination(repository, public=public)
            place = TemporaryDirectory(prefix="persona-lab-push-")
            st.session_state[_PACKED] = _Packed(asked, to, push.packed(ws, name, place.name), place)
    held: _Packed | None = st.session_state.get(_PACKED)
    if held is not None and held.asked == asked:
        _parcel(held)
    if sent := st.session_state.pop(_SENT, None):
        st.success(frame.plain(sent), icon=":material/check_circle:")


def _parcel(held: _Packed) -> None:
    parts = held.parcel.parts()
    frame.table(
        {
            "What": [name for name, _, _ in parts],
            "Files": [f"{files:,}" for _, files, _ in parts],
            "Size": [megabytes(size) for _, _, size in parts],
        },
        height="content",
        alt="What would go out, with its size",
    )
    st.caption(
        frame.plain(
            f"{count(len(held.parcel.files), 'file')}, {megabytes(held.parcel.size_bytes)}, to "
            f"{push.words_of(held.to)}. {push.HOLDS}"
        )
    )
    if frame.action(
        "Send it",
        icon=":material/send:",
        key="compare_hub_send",
        type="primary",
        least="own",
        command=frame.command("push", held.asked[0], held.asked[1], public=held.asked[2], yes=True),
    ):
        with frame.boundary(), st.spinner("Sending ..."):
            push.push(held.to, held.parcel, message=f"{held.asked[0]}, from Persona Lab")
            held.place.cleanup()
            del st.session_state[_PACKED]
            st.session_state[_SENT] = f"{held.asked[0]} is at {held.to.address}"
            st.rerun()
