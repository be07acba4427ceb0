"""A look at data before it is taken in: its first rows, which column is what, and what would come of it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.core.wording import count
from engine.data.layouts.tasks import TASKS
from engine.data.mapping import COLUMNS, PARTS, SEVERAL
from engine.data.preview import Column, Preview
from pages.shared import frame

_COLUMNS = "Which column is what"
# What a mapping says that no column does has a field of its own.
_FIELDS = {"--map assistant=NAME": "Who answers", "--map encoding": "Encoding"}
_KEY = "data_look"
_SHOWN_COLUMNS = 40
_DAYS = {
    "day-first": "The day first: 3/4 is in April",
    "month-first": "The month first: 3/4 is in March",
    "excel": "Numbers, as Excel counts days: 45352 is 1 March 2024",
}


@dataclass(frozen=True, slots=True)
class Held:
    """What was looked at, with which options, so that it can be looked at again or taken in as it is."""

    found: Preview
    dataset: str
    files: tuple[tuple[str, bytes], ...]
    upload: bool
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Which column is what, as the form says, and whether the data is to be taken in so."""

    parts: dict[str, str]
    takes: bool


def hold(held: Held) -> None:
    """Keep what was looked at until it is taken in; its form starts from its guesses."""
    looks = int(st.session_state.get(f"{_KEY}_count", 0)) + 1
    st.session_state[_KEY], st.session_state[f"{_KEY}_count"] = held, looks


def held() -> Held | None:
    """Return what was looked at last and not taken in yet."""
    return st.session_state.get(_KEY)


def forget() -> None:
    """Drop it."""
    st.session_state.pop(_KEY, None)


def show(
    held: Held, word: str, controls: Mapping[str, str], command: Callable[[Mapping[str, Any]], str]
) -> Answer | None:
    """Show what was found and the form of the mapping; return what is asked for, None for nothing.

    `word` is the name of the button that takes the data in, `controls` the page's own for flags of remedies,
    `command` words the command that takes in the same with such options.
    """
    found = held.found
    with st.container(border=True, width=760, key="data_look"):
        st.subheader("What would come of it", anchor=False)
        named = frame.plain(found.layout) if found.layout else "no layout that is known"
        st.caption(f"{frame.plain(found.source)}: {named}.")
        here = partial(frame.on_this_page, controls={**_FIELDS, **controls, "--map": _COLUMNS})
        _outcome(found, here)
        _left_out(found, here)
        _rows(found)
        return _form(found, word, lambda parts: command({**held.options, "map": parts}))


def _outcome(found: Preview, here: Callable[[str], str]) -> None:
    if found.refused:
        st.error(f"It would be refused: {frame.plain(here(found.refused))}", icon=":material/error:")
        if found.remedy:
            frame.remedy(here(found.remedy))
        return
    told = found.outcome
    with st.container(horizontal=True, gap="medium"):
        for label in ("personas", "dialogues", "examples"):
            st.metric(label.capitalize(), f"{told[label]:,}", width="content")
        if told["first"]:
            dates = f"{told['first'][:10]} to {told['last'][:10]}"
            st.metric("Dates", dates, width="content")
    by_split = ", ".join(f"{number:,} {name}" for name, number in told["examples_by_split"].items())
    ordered = f" Order in time by {told['order']['by']}." if told["order"]["by"] else ""
    st.markdown(
        f"Split {told['split'].replace('-', ' ')}: {by_split}.{ordered} Domain:"
        f" {frame.plain(told['domain'])}."
    )
    for failed in told["failed_checks"]:
        st.warning(
            frame.plain(f"{failed[0].upper()}{failed[1:].removesuffix('.')}."), icon=":material/warning:"
        )
    for note in found.notes:
        st.caption(frame.plain(here(note)))


def _left_out(found: Preview, here: Callable[[str], str]) -> None:
    if found.left_out:
        st.markdown("**Left out, and why**")
        frame.table(
            {
                "Why": [here(reason.what) for reason in found.left_out],
                "Times": [reason.times for reason in found.left_out],
                "First": [reason.first for reason in found.left_out],
            },
            alt="What is left out, why, how often and where first",
        )


def _rows(found: Preview) -> None:
    if found.rows:
        st.markdown("**The first rows**")
        frame.table(pd.DataFrame(list(found.rows)), alt="The first rows of the data")


def _form(found: Preview, word: str, command: Callable[[Mapping[str, str]], str]) -> Answer | None:
    """The columns with a guess for each; a layout that says itself what is what needs none."""
    looks = st.session_state.get(f"{_KEY}_count", 0)
    with st.container():
        guessed = any(column.part for column in found.columns)
        with st.expander(_COLUMNS, expanded=guessed or bool(found.refused)):
            chosen = _columns(found.columns[:_SHOWN_COLUMNS], looks)
            if len(found.columns) > _SHOWN_COLUMNS:
                st.caption(
                    f"And {count(len(found.columns) - _SHOWN_COLUMNS, 'more column', 'more columns')}."
                )
            beside = _beside(found, looks)
        parts = _parts(chosen) | {name: value for name, value in beside.items() if value}
        with st.container(horizontal=True):
            takes = frame.action(
                word, least="own", type="primary", icon=":material/download:",
                key=f"data_look_import_{looks}", command=command(parts),
            )  # fmt: skip
            again = frame.action(
                "Look again", least="own", icon=":material/search:", key=f"data_look_again_{looks}",
                command=f"{command(parts)} --preview",
            )  # fmt: skip
    if not (takes or again):
        return None
    twice = [name for name, times in Counter(chosen.values()).items() if times > 1 and name not in SEVERAL]
    if twice:
        st.error(f"Several columns are the {frame.plain(twice[0])}.", icon=":material/error:")
        st.caption("Leave one of them.")
        return None
    return Answer(parts, takes)


def _columns(columns: tuple[Column, ...], looks: int) -> dict[str, str]:
    """A field for each column; returns the part of those that have one."""
    names, found = ["", *COLUMNS], {}
    places: list[DeltaGenerator] = []
    for place, column in enumerate(columns):
        if place % 2 == 0:  # a row at a time: on a narrow screen they stand in their own order
            places = list(st.columns(2))
        found[column.name] = places[place % 2].selectbox(
            frame.plain(column.name),
            names,
            index=names.index(column.part),
            format_func=lambda name: f"{name}: {PARTS[name]}" if name else "left out",
            key=f"data_column_{looks}_{place}",
            help=frame.plain(f"First value: {column.example}") if column.example else None,
        )
    return {name: part for name, part in found.items() if part}


def _beside(found: Preview, looks: int) -> dict[str, str]:
    """What no column says: who answers, how days are written, the encoding, the task."""
    left, right = st.columns(2)
    told = found.mapping
    chosen = [told["assistant"]] if told.get("assistant") else []
    everybody = ["*"] if told.get("role") else []
    speakers = list(dict.fromkeys([*chosen, *found.speakers, *everybody]))
    answers = left.selectbox(
        "Who answers",
        speakers,
        index=0 if told.get("assistant") else None,
        format_func=lambda name: "everybody but the user" if name == "*" else name,
        placeholder="recognised by the role",
        key=f"data_assistant_{looks}",
    )
    days = right.selectbox(
        "Dates such as 3/4/2024",
        list(_DAYS),
        index=list(_DAYS).index(told["dates"]) if told.get("dates") else None,
        format_func=lambda name: _DAYS[name],
        placeholder="as the others tell",
        key=f"data_dates_{looks}",
    )
    left, right = st.columns(2)
    encoding = left.text_input(
        "Encoding",
        told.get("encoding", ""),
        placeholder="UTF-8, or as the file says",
        key=f"data_encoding_{looks}",
    )
    tasks = {task.name: task.about for task in TASKS}
    task = right.selectbox(
        "Task of the LaMP family",
        list(tasks),
        index=list(tasks).index(told["task"]) if told.get("task") in tasks else None,
        format_func=lambda name: f"{name}: {tasks[name]}",
        placeholder="recognised, or none",
        key=f"data_task_{looks}",
    )
    return {"assistant": answers or "", "dates": days or "", "encoding": encoding.strip(), "task": task or ""}


def _parts(chosen: dict[str, str]) -> dict[str, str]:
    """Part -> its column, several between plus signs."""
    found: dict[str, str] = {}
    for column, part in chosen.items():
        found[part] = f"{found[part]}+{column}" if part in found else column
    return found
