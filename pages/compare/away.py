"""How does it leave here? Serves a variant at an address, and tells how it is written out."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results import predictions
from engine.serve import published
from engine.serve.conversation import can_answer
from engine.serve.published import Served
from engine.serve.zipped import zipped
from engine.show.tables import example_table
from pages.compare import choices as compare_choices
from pages.compare import hub
from pages.compare.choices import View
from pages.shared import downloads, frame, reads

_TOKEN, _ZIP = "compare_serve_token", "compare_zip_made"
_POLL_SECONDS = 1.0


def show(view: View) -> None:
    able = {one.variant for one in reads.variants(view.ws) if can_answer(one)}
    name = compare_choices.candidate(view)
    if name not in able:
        st.info("No model answers for this variant: it can only be compared.", icon=":material/info:")
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("An address for other programs", anchor=False)
        st.caption(
            "It answers as OpenAI's API does, on this machine's processor, for the persona that a request "
            "names as its user."
        )
        _serving(view.ws, name)
    with right:
        st.subheader("Files", anchor=False)
        st.caption("Adapters in PEFT's format, with a card of data, protocol and scores.")
        _zip(view.ws, name)
        _predictions(view, name)
        st.caption("What it said to each example, what was right, and the value:")
        downloads.table_menu(
            partial(example_table, view.ws, view.found, [name]), name=f"{name} examples", key="examples"
        )
        hub.show(view.ws, name)


def _zip(ws: Workspace, name: str) -> None:
    """Make the files on a click, as one zip, and offer them while this visit lasts."""
    held: tuple[str, bytes] | None = st.session_state.get(_ZIP)
    if held is None or held[0] != name:
        if not frame.action(
            f"Zip {frame.plain(name)}",
            icon=":material/folder_zip:",
            key="compare_zip",
            command=frame.command("export", name, f"{name}-adapters"),
        ):
            return
        with st.spinner("Loading the base and writing its adapters ..."):
            held = st.session_state[_ZIP] = (name, zipped(ws, name))
    size = f"{len(held[1]) / 1e6:.1f} MB"
    downloads.file(
        f"{frame.plain(name)}.zip, {size}", lambda: held[1], name=f"{_file_name(name)}.zip",
        mime="application/zip", key="compare_zip_file",
    )  # fmt: skip


def _predictions(view: View, name: str) -> None:
    """Offer what it answered on the split shown, as official evaluators read it."""

    def made() -> bytes:
        with TemporaryDirectory() as folder:
            predictions.export_predictions(
                view.ws, Path(folder), variant=name, split=view.asked.split, protocol=view.found["protocol"]
            )
            return downloads.zipped(Path(folder), inside=_file_name(name))

    downloads.file(
        f"Its replies on {reads.SPLIT_WORDS[view.asked.split].lower()}", made,
        name=f"{_file_name(name)}-replies.zip", mime="application/zip", key="compare_predictions",
        help="predictions.json, and golds.json with the right ones, as official evaluators read them.",
    )  # fmt: skip


def _file_name(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-+" else "-" for sign in name)


def _serving(ws: Workspace, name: str) -> None:
    found = published.serving(ws)
    if found is None:
        last = published.published(ws).output
        if st.session_state.pop(_TOKEN, None) is not None and last.exists():
            st.error("The server ended.", icon=":material/error:")
            st.code(last.read_text(errors="replace")[-800:] or "It said nothing.", language=None)
        if frame.action(
            f"Serve {frame.plain(name)}",
            icon=":material/cell_tower:",
            key="compare_serve",
            command=frame.command("serve", name),
        ):
            _start(ws, name)
        return
    if not found.address:
        st.fragment(_await, run_every=_POLL_SECONDS)(ws)
    else:
        _address(found)
    if frame.action("Stop serving", icon=":material/stop:", key="compare_serve_stop"):
        published.stop(ws)
        st.session_state.pop(_TOKEN, None)
        st.rerun()


def _start(ws: Workspace, name: str) -> None:
    token = published.new_token()
    try:
        published.start(ws, [name], token_hash=published.hash_of_token(token), host=published.LOCAL, port=0)
    except EngineError as error:
        frame.show_error(error)
        return
    st.session_state[_TOKEN] = token
    st.rerun()


def _await(ws: Workspace) -> None:
    found = published.serving(ws)
    if found is None or found.address:
        st.rerun()
    st.markdown(":material/progress_activity: Loading the base model.")


def _address(found: Served) -> None:
    st.markdown(f"**{frame.plain(', '.join(found.variants))}** answers at")
    st.code(found.address, language=None)
    token = st.session_state.get(_TOKEN)
    if token is None:
        st.caption("Its token was shown to whoever started it. Stop it and serve again for a new one.")
        return
    st.caption("Its token, shown to you alone and in this visit alone:")
    st.code(token, language=None)
