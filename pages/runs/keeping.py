"""What people do with runs that are there: label them, delete them, and take that back."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import count
from engine.runs import labels
from engine.runs.labels import Label
from engine.runs.records import RunRecord
from engine.strategies import deleting
from pages.runs import reads as run_reads
from pages.shared import frame

_LAST = "runs_deleted"


def actions(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    """Offer star, pin, hide, words and deletion for the chosen runs, all in one row."""
    names = [record.run_id for record in chosen]
    held = run_reads.labelled(ws)
    told = [held.get(name, labels.NONE) for name in names]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="runs_keeping"):
        _switch(ws, names, "star", told, "Star", "Unstar", ":material/star:")
        _switch(ws, names, "pinned", told, "Pin", "Unpin", ":material/keep:")
        _switch(ws, names, "hidden", told, "Hide", "Show again", ":material/visibility_off:")
        with st.popover("Title, note, tags", icon=":material/edit_note:"):
            _words(ws, names, told)
        with st.popover("Delete", icon=":material/delete:"):
            _delete(ws, names)


def strip(ws: Workspace) -> None:
    """Say which runs are deleted, and offer to bring them back or to remove their files."""
    gone = {one.run_id: one for one in deleting.deleted(ws)}
    if not gone:
        return
    last = [name for name in st.session_state.get(_LAST, ()) if name in gone]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="runs_deleted_strip"):
        if last:
            st.markdown(f":material/delete: {frame.plain(_named(last))} deleted.", width="content")
            if frame.action(
                "Undo", icon=":material/undo:", key="runs_undo", command=frame.command("restore", *last)
            ):
                _back(ws, last)
        size = sum(one.size_bytes for one in gone.values()) / 1e6
        with st.popover(f"{count(len(gone), 'deleted run')}, {size:,.1f} MB", type="tertiary"):
            picked = st.multiselect("Deleted runs", list(gone), default=list(gone), key="runs_deleted_picked")
            if frame.action(
                "Bring back",
                icon=":material/undo:",
                key="runs_restore",
                off=not picked,
                command=frame.command("restore", *picked),
            ):
                _back(ws, picked)
            if frame.action(
                "Remove the files for good", icon=":material/delete_forever:", key="runs_purge",
                off=not picked, help="They cannot be brought back then.",
                command=frame.command("delete", *picked, for_good=True),
            ):  # fmt: skip
                _do(lambda: deleting.purge(ws, picked))


_SWITCHES = {"star": ("star", "no_star"), "pinned": ("pin", "no_pin"), "hidden": ("hide", "no_hide")}


def _switch(
    ws: Workspace, names: list[str], field: str, told: Sequence[Label], on: str, off: str, icon: str
) -> None:
    """A button that turns a mark on for all, or off where all have it."""
    has = all(getattr(one, field) for one in told)
    change: dict[str, Any] = {field: not has}
    if frame.action(
        off if has else on,
        icon=icon,
        key=f"runs_{field}",
        type="tertiary",
        command=frame.command("label", *names, **{_SWITCHES[field][has]: True}),
    ):
        _do(lambda: labels.label(ws, names, **change))


def _words(ws: Workspace, names: list[str], told: Sequence[Label]) -> None:
    """One run's title, note and tags; of several, tags that all get."""
    one = told[0] if len(told) == 1 else labels.NONE
    known = labels.tags(run_reads.labelled(ws))
    key = f"runs_words_{names[0] if len(names) == 1 else len(names)}"
    with st.container():
        single = len(names) == 1
        title = (
            st.text_input("Title", one.title, max_chars=labels.LONGEST_TITLE, key=f"{key}_title")
            if single
            else ""
        )
        note = (
            st.text_area("Note", one.note, max_chars=labels.LONGEST_NOTE, key=f"{key}_note") if single else ""
        )
        tags = st.multiselect(
            "Tags" if single else "Tags for all of them", sorted({*known, *one.tags}), list(one.tags),
            accept_new_options=True, placeholder="Choose or type", key=f"{key}_tags",
        )  # fmt: skip
        changed = {"title": title, "note": note} if single else {}
        gone = [tag for tag in one.tags if tag not in tags]
        sent = frame.action(
            "Save", icon=":material/save:", key=f"{key}_save",
            command=frame.command("label", *names, **changed, tag=tags, untag=gone),
        )  # fmt: skip
    if sent and single:
        _do(lambda: labels.label(ws, names, title=title, note=note, tags=tuple(tags)))
    elif sent:
        _do(lambda: labels.label(ws, names, add=tags))


def _delete(ws: Workspace, names: list[str]) -> None:
    refused = deleting.obstacle(ws, names)
    what = _named(names)
    if refused is not None:
        st.warning(frame.plain(refused.message), icon=":material/block:")
        frame.remedy(refused.hint)
        return
    st.markdown(
        f"{frame.plain(what)}: scores, log and adapters go. It can be undone until the files are removed."
    )
    if frame.action(
        f"Delete {count(len(names), 'run')}",
        icon=":material/delete:",
        key="runs_delete",
        command=frame.command("delete", *names),
    ):
        st.session_state[_LAST] = names
        _do(lambda: deleting.delete(ws, names))


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else count(len(names), "run")


def _back(ws: Workspace, names: list[str]) -> None:
    def restore() -> None:
        deleting.restore(ws, names)
        st.session_state.pop(_LAST, None)
        st.query_params["run"] = ",".join(names)

    _do(restore)


def _do(change: Callable[[], object]) -> None:
    """Make a change and draw the page anew. Raises EngineError with the reason where it cannot be made."""
    change()
    st.rerun()
