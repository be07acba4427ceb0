"""What variants said to one persona, side by side, as the Compare page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from engine.paths import Workspace
from engine.stats.metrics import Metric
from engine.types import Message
from engine.wording import count, points
from pages import frame, reads

_EXAMPLES_SHOWN = 10


def show(ws: Workspace, found: Mapping[str, Any], metric: Metric, *, candidate: str, persona_id: str) -> None:
    """Show what was asked, what the right reply was, and what both variants said."""
    by_name = {row["variant"]: row for row in found["rows"]}
    said = {
        name: _replies(ws, name, found["split"], by_name[name]["protocol"], persona_id)
        for name in (found["reference"], candidate)
    }
    if any(rows.empty for rows in said.values()):
        st.caption("There are no replies to read: only scores were published.")
        return
    shared = _largest_first(said[candidate][metric.name], said[found["reference"]][metric.name])
    dialogues = {dialogue.dialogue_id: dialogue for dialogue in reads.dialogues_of(ws, persona_id)}
    st.caption(
        f"{count(len(shared), 'example')} of {persona_id}, the largest difference first"
        + (f"; {_EXAMPLES_SHOWN} are shown" if len(shared) > _EXAMPLES_SHOWN else "")
    )
    for example_id in shared[:_EXAMPLES_SHOWN]:
        row = said[candidate].loc[example_id]
        dialogue = dialogues.get(row["dialogue_id"])
        with st.container(border=True):
            st.caption(f"Dialogue {row['dialogue_id'].rsplit('/', 1)[-1]}, turn {row['turn']}")
            if dialogue is not None:
                _asked(dialogue.messages[: int(row["turn"])])
            for column, title, text, value in zip(
                st.columns(3, gap="medium"),
                ("Right reply", found["reference"], candidate),
                (row["reference"], *(said[name].loc[example_id]["reply"] for name in said)),
                (None, *(said[name].loc[example_id][metric.name] for name in said)),
                strict=True,
            ):
                with column:
                    st.markdown(f"**{frame.plain(title)}**{_value(value, metric)}")
                    st.markdown(frame.plain(text) or "*an empty reply*")


def _replies(ws: Workspace, variant: str, split: str, protocol: str, persona_id: str) -> pd.DataFrame:
    rows = reads.example_rows(ws, persona_id=persona_id, split=split, protocol=protocol)
    return rows[rows["variant"] == variant].set_index("example_id")


def _largest_first(candidate: pd.Series, reference: pd.Series) -> list[str]:
    """The examples both have, by the size of their difference; undefined ones last."""
    difference = (candidate - reference.reindex(candidate.index)).abs()
    shared = difference[difference.index.isin(reference.index)]
    return [str(one) for one in shared.sort_values(ascending=False, kind="stable", na_position="last").index]


def _asked(context: tuple[Message, ...]) -> None:
    for message in context[-1:]:
        st.markdown(f":gray[User:] {frame.plain(message.text)}")
    if len(context) > 1:
        with st.expander(f"{count(len(context) - 1, 'message')} before"):
            for message in context[:-1]:
                st.markdown(f":gray[{message.role.capitalize()}:] {frame.plain(message.text)}")


def _value(value: float | None, metric: Metric) -> str:
    if value is None:
        return ""
    if pd.isna(value):
        return " :gray[undefined]"
    return f" :gray[{points(value) if metric.unit == 'fraction' else f'{value:.2f}'}]"
