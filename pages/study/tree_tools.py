"""Around the tree: the autopilot's controls, what-if thresholds, and copying and editing a tree."""

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import duration
from engine.results.study import autopilot
from engine.results.study.autopilot import Autopilot
from engine.results.study.standing import Stand, rewalk
from engine.results.trees import tree_library
from engine.results.trees.tree import Tree, move_thresholds
from engine.results.trees.tree_words import moved, remaining_words
from pages.shared import frame

_WORDS = {
    "walking": ("Walking", "blue", ":material/flight:"),
    "finished": ("Finished", "green", ":material/check_circle:"),
    "halted": ("Halted", "red", ":material/error:"),
    "stopped": ("Stopped", "orange", ":material/pause_circle:"),
    "lost": ("Lost", "orange", ":material/help:"),
}
_LAST = 4
WANTED = "home_wanted_tree"


def autopilot_box(ws: Workspace, stood: Stand) -> None:
    """Show how the autopilot stands, with the button that starts or stops it."""
    tree, found = stood.tree, autopilot.status(ws)
    walking = found is not None and found.state == "walking"
    with st.container(border=True, gap="small"):
        st.markdown("**Autopilot**")
        if walking:
            _watched()
            return
        mine = found is not None and (found.tree, found.cluster) == (tree.name, tree.cluster)
        resumable = found is not None and mine and found.state in autopilot.RESUMABLE
        if found is not None and mine:
            _told(ws, found)
        else:
            st.caption(
                "Runs what is ready, obeys the gates and stops at the result, in the background. "
                f"Time to the end: {remaining_words(stood.remaining)}."
            )
        if stood.walk.result is not None:
            return
        label = "Resume" if resumable else "Start the autopilot"
        if frame.action(
            label,
            icon=":material/flight_takeoff:",
            key="home_autopilot_start",
            command=frame.command("autopilot", "start", tree.name, cluster=tree.cluster),
        ):
            autopilot.start(ws, tree.name, cluster=tree.cluster)
            st.rerun()


@st.fragment(run_every=2.0)
@frame.guarded
def _watched() -> None:
    """The autopilot under way; when it ends, the whole page is drawn anew."""
    ws = frame.workspace()
    found = autopilot.status(ws)
    if found is None or found.state != "walking":
        st.rerun()
    assert found is not None
    _told(ws, found)
    if frame.action(
        "Stop",
        icon=":material/stop_circle:",
        key="home_autopilot_stop",
        command=frame.command("autopilot", "stop"),
    ):
        with st.spinner("Stopping ..."):
            autopilot.stop(ws)
        st.rerun()
    st.caption("A run under way goes on when the autopilot is stopped.")


def _told(ws: Workspace, found: Autopilot) -> None:
    word, colour, icon = _WORDS[found.state]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(word, icon=icon, color=colour)  # type: ignore[arg-type]
        where = "" if found.cluster == "all" else f", cluster {found.cluster}"
        st.caption(frame.plain(f"{found.tree}{where}, {duration(found.seconds)}"), width="content")
    entries = autopilot.log(ws, found.flight)
    for entry in entries[-_LAST:]:
        st.caption(frame.plain(f"{duration(entry.seconds)}: {entry.text}"))
    if len(entries) > _LAST:
        with st.popover("Whole log", icon=":material/list:"):
            for entry in entries:
                st.caption(frame.plain(f"{duration(entry.seconds)}: {entry.text}"))


def what_if(stood: Stand) -> Tree | None:
    """Show the thresholds to move; return the tree with the moved ones, None when none is moved."""
    tree = stood.tree
    gated = [node for node in tree.nodes if node.gate is not None]
    if not gated:
        return None
    st.caption("Move a threshold and see the path change. Nothing is run and nothing is saved.")
    moves: dict[str, float] = {}
    columns = st.columns(2)
    for place, node in enumerate(gated):
        assert node.gate is not None
        kind = "mean at least" if node.gate.at_least is not None else f"over {tree.reference}"
        value = columns[place % 2].number_input(
            frame.plain(f"{node.name}: {kind}, points"),
            value=round(100 * node.gate.threshold, 2), step=0.5, min_value=-100.0, max_value=100.0,
            format="%.2f", key=f"home_whatif_{tree.name}_{node.id}",
        )  # fmt: skip
        if abs(value - 100 * node.gate.threshold) > 1e-6:
            moves[node.id] = value / 100
    shares = {node.gate.share_improved for node in gated if node.gate}
    share = st.slider(
        "Personas that must be better, percent (every gate)", 0, 100,
        round(100 * (max((one or 0.0 for one in shares), default=0.0))), step=5,
        key=f"home_whatif_{tree.name}_share",
    )  # fmt: skip
    if {share / 100} != {one or 0.0 for one in shares}:
        moves |= {f"{node.id}.share": share / 100 for node in gated}
    if not moves:
        return None
    changed = move_thresholds(tree, moves)
    lines = moved(changed, stood.walk, rewalk(stood, changed))
    st.markdown("\n".join(f"- {frame.plain(line)}" for line in lines) or "Nothing changes.")
    return changed


def reset_what_if(tree: Tree) -> None:
    """Forget the moved thresholds, in a callback."""
    for key in [one for one in st.session_state if str(one).startswith(f"home_whatif_{tree.name}_")]:
        del st.session_state[key]


def open_tree(name: str) -> None:
    """Draw the page anew with another tree chosen; its widget stands already, so the wish waits."""
    st.session_state[WANTED] = name
    st.rerun()


def edit(ws: Workspace, tree_name: str) -> None:
    """Show the tree's text: to be copied when it ships, to be edited when it is the workspace's."""
    text = tree_library.source(ws, tree_name)
    if not next(entry.own for entry in tree_library.entries(ws) if entry.name == tree_name):
        st.caption("This tree ships with Persona Lab and stays as it is. A copy is yours to edit.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            new_name = st.text_input("Name of the copy", f"my-{tree_name}", key=f"home_copy_name_{tree_name}")
            if frame.action(
                "Copy", icon=":material/content_copy:", key="home_copy",
                command=frame.command("tree", tree_name, copy=(new_name or "").strip()),
            ):  # fmt: skip
                with frame.boundary():
                    tree_library.copy(ws, tree_name, (new_name or "").strip())
                    open_tree((new_name or "").strip())
        st.code(text, language="yaml", height=360)
        return
    edited = st.text_area("The tree, as YAML", text, height=420, key=f"home_edit_{tree_name}")
    with st.container(horizontal=True):
        saved = frame.action(
            "Check and save",
            type="primary",
            icon=":material/save:",
            key="home_save",
            command=frame.command("tree", tree_name, save="edited.yaml"),
        )
        removed = frame.action("Delete this tree", icon=":material/delete:", key="home_delete")
    if saved:
        with frame.boundary():
            tree_library.save(ws, tree_name, edited)
            st.rerun()
    if removed:
        tree_library.remove(ws, tree_name)
        open_tree(tree_library.DEFAULT)
