"""Why does it lose? The replies that lose, by kind of miss, topic, context, turn and people's marks."""

from collections.abc import Mapping, Sequence
from functools import partial

import streamlit as st

from engine.core.wording import count, percent
from engine.results import marks
from engine.results.comparing.losses import By, Group, Pair, Why
from engine.show.tables import mark_table
from pages.compare import choices as compare_choices
from pages.compare import reads as compare_reads
from pages.compare.choices import View
from pages.shared import addresses, downloads, frame, reads, replies

_EVERYTHING = "all"
_LEAST = 3  # examples of a part: fewer say nothing of it
_PARTS_SHOWN, _REPLIES_SHOWN = 8, 25
_TITLES: Mapping[By, str] = {
    "kind": "Kind of miss",
    "topic": "Topic",
    "context": "Context",
    "turn": "Turn",
    "mark": "Marked by people",
}


def show(view: View) -> None:
    """Show one variant's losses by their parts; a row leads to its replies."""
    candidate = compare_choices.candidate(view)
    told = compare_reads.why(view.ws, view.asked, candidate)
    if not told.pairs:
        st.info(
            "There is no reply to look at: only scores were published, or the metric has no value of a "
            "single reply. Choose another metric.",
            icon=":material/info:",
        )
        return
    st.markdown(
        f"**{frame.plain(candidate)}** scores lower than {frame.plain(told.against)} on "
        f"{count(told.lost, 'reply', 'replies')} of {len(told.pairs):,}."
        if told.lost
        else f"**{frame.plain(candidate)}** scores lower than {frame.plain(told.against)} on no reply."
    )
    titles = {**_TITLES, "topic": reads.domain(view.ws).topic or _TITLES["topic"]}
    asked = _asked(told)
    shown = [by for by in titles if by != "mark" or len(told.parts("mark")) > 1]
    columns = st.columns(2, gap="large")
    drawn = [(by, parts) for by in shown if (parts := _worth_showing(told.parts(by), by))]
    for place, (by, parts) in enumerate(drawn):
        with columns[place % 2]:
            _parts(by, titles[by], parts, asked)
    st.caption(
        "Share: of all points that these replies lose. A reply that concerns several parts counts in each. "
        "It says where to look and is no verdict. Select a row to read its replies. "
        f"{frame.BY_KEY}"
    )
    _replies(view, told, asked, titles)
    _marks(view)


def _worth_showing(parts: Sequence[Group], by: By) -> list[Group]:
    held = [part for part in parts if by in ("kind", "mark") or part.examples >= _LEAST]
    return [part for part in held if part.lost][:_PARTS_SHOWN]


def _asked(told: Why) -> tuple[By, str] | None:
    """The part that the address names, as ?why=kind:asks; None for all."""
    known = {f"{by}:{part.name}": (by, part.name) for by in _TITLES for part in told.parts(by)}
    return known.get(addresses.linked("why", [_EVERYTHING, *known], label="Part"))


def _parts(by: By, title: str, parts: Sequence[Group], asked: tuple[By, str] | None) -> None:
    st.markdown(f"**{title}**")
    names, key = [part.name for part in parts], f"compare_why_{by}"
    at = asked[1] if asked is not None and asked[0] == by else None
    frame.select_rows(key, [names.index(at)] if at in names else [])
    frame.table(
        {
            "what": [part.label for part in parts],
            "share": [100 * part.share for part in parts],
            "lost": [f"{part.lost:,} of {part.examples:,}" for part in parts],
        },
        key=key,
        on_select=partial(_choose, by, names, key),
        selection_mode="single-row",
        say_key=False,
        height="content",
        alt=f"What is lost by {title.lower()}; select a row to read its replies",
        column_config={
            "what": st.column_config.TextColumn(title, width=150 if frame.is_narrow() else "medium"),
            "share": st.column_config.ProgressColumn(
                "Share of the loss", format="%.0f %%", min_value=0, max_value=100, color="orange",
                width=140 if frame.is_narrow() else None,
            ),
            "lost": st.column_config.TextColumn("Replies lost", width="small"),
        },
    )  # fmt: skip


def _choose(by: By, names: Sequence[str], key: str) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    addresses.point("why", f"{by}:{names[rows[0]]}" if rows else _EVERYTHING)
    addresses.forget("example")


def _replies(view: View, told: Why, asked: tuple[By, str] | None, titles: Mapping[By, str]) -> None:
    held = told.lost_in() if asked is None else told.lost_in(*asked)
    if asked is None:
        st.subheader("The largest losses", anchor=False)
    else:
        label = told.labels[asked[0]].get(asked[1], asked[1])
        st.subheader(frame.plain(f"{titles[asked[0]]}: {label}"), anchor=False)
    if not held:
        st.caption(":green[:material/check_circle:] Nothing is lost here.")
        return
    pairs = held[:_REPLIES_SHOWN]
    more = f"; the {len(pairs)} largest are here" if len(held) > len(pairs) else ""
    st.caption(f"{count(len(held), 'reply', 'replies')} {'loses' if len(held) == 1 else 'lose'}{more}.")
    st.fragment(frame.guarded(_panes))(view, told, pairs)


def _panes(view: View, told: Why, pairs: Sequence[Pair]) -> None:
    """The replies; a fragment, so that opening one draws nothing else anew."""
    found = compare_reads.answers(
        view.ws,
        view.asked,
        tuple(one.example_id for one in pairs),
        variant=told.variant,
        against=told.against,
    )
    shown = addresses.linked("example", [one.example_id for one in found], label="Example")
    replies.show(
        view.ws,
        found,
        metric=view.metric,
        reference=told.against,
        looked_at=told.variant,
        bounds=(),
        example_id=shown,
        key="compare_why_replies",
        on_choose=lambda name: addresses.point("example", name),
        named=True,
    )
    persona_id = next(one.persona_id for one in found if one.example_id == shown)
    st.page_link(
        frame.PERSONA,
        label=f"All of {frame.plain(reads.called(view.ws, persona_id))}",
        icon=":material/person:",
        query_params=frame.persona_query(persona_id, told.variant, example=shown, **view.link),
    )


def _marks(view: View) -> None:
    """What people said of replies of this study, counted, and all of it as a file."""
    said = list(marks.read(view.ws).values())
    if not said:
        st.caption("Nobody has marked a reply yet: right, wrong, interesting, or a note, under each reply.")
        return
    counts = {name: sum(one.mark == name for one in said) for name in marks.MARKS}
    told = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    share = percent(counts["right"] / decided) if (decided := counts["right"] + counts["wrong"]) else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(
            f"Marked in this study: {told or 'notes alone'}"
            + (f"; {share} of those judged are right." if share else "."),
            width="content",
        )
        downloads.table_menu(partial(mark_table, view.ws), name="marks", key="marks")
