"""Which personas resemble each other: the map of the newest clustering, and who is in which cluster."""

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import count
from engine.show.persona import charts
from engine.strategies.clusterings import Clusters
from engine.strategies.plan import inapplicable
from pages.persona import scene as persona_scene
from pages.shared import frame, reads

_MAP = "data_map"
_NAMED = 12


def show(ws: Workspace) -> None:
    """Show the map with one cluster marked; a click on a persona opens its page."""
    found = persona_scene.clusters(ws)
    if found is None and (reason := inapplicable(ws, "clustering")):
        st.caption(frame.plain(reason))
        return
    if found is None:
        frame.empty_state(
            "No clusters yet",
            "Clustering groups the personas by what they do and say, in seconds, and draws a map of them. "
            "Cluster adapters, merges and trees build on it.",
            page=frame.EXPERIMENTS,
            label="Look for clusters",
            query_params={"experiment": "clustering"},
        )
        return
    sizes = found.sizes
    with st.container(width=320):
        chosen = frame.linked_choice(
            "Cluster", list(map(str, sizes)), page="data", name="cluster", kept=True, whole="None marked",
            words=lambda name: f"{name}, {count(sizes[int(name)], 'persona')}",
        )  # fmt: skip
    marked = None if chosen is None else int(chosen)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if found.places:
            _map(found, marked)
        else:
            st.caption("This clustering left no map.")
    with right:
        _table(ws, found)


def _map(found: Clusters, marked: int | None) -> None:
    groups = count(len(found.sizes), "cluster")
    event = frame.chart(
        charts.map_chart(found, None, cluster=marked),
        key=_MAP,
        on_select="rerun",
        alt=f"Map of {len(found.places)} personas in {groups} by {found.features}",
    )
    if picked := frame.clicked(event):
        frame.open_persona(picked["persona_id"])
    told = f"Grouped by {found.features}. The nearer two marks, the more alike. Numbers: clusters."
    if found.silhouette is not None:
        told += f" Silhouette {found.silhouette:.2f}: 1 is well apart, 0 is no clusters at all."
    st.caption(frame.plain(f"{told} Click a persona to open its page."))
    if found.warning:
        st.warning(frame.plain(found.warning), icon=":material/warning:")


def _table(ws: Workspace, found: Clusters) -> None:
    """Every cluster with its size and its most typical personas."""
    near = found.likeness
    who = {
        number: sorted(
            (name for name, held in found.assignment.items() if held == number),
            key=lambda name: -near.get(name, 0.0),
        )
        for number in found.sizes
    }
    frame.table(
        {
            "Cluster": list(who),
            "Personas": [len(names) for names in who.values()],
            "The most typical first": [
                ", ".join(reads.called(ws, name) for name in names[:_NAMED])
                + (" ..." if len(names) > _NAMED else "")
                for names in who.values()
            ],
        },
        alt="Clusters with their sizes and their most typical personas",
        column_config={
            "Cluster": st.column_config.NumberColumn(width=70),
            "Personas": st.column_config.NumberColumn(width=80),
        },
    )
    frame.run_link(found.run_id, f"Run {found.run_id}", icon=":material/timeline:")
