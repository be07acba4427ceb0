"""One turn of a conversation: what was said, and each variant's reply in a column of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.core.paths import Workspace
from engine.core.questions import Answer, Question, Reply
from engine.core.types import Message
from engine.core.wording import count, percent, points, rounded, signed_points
from engine.domains import metrics
from engine.domains.acts import Finding, findings
from engine.domains.domain import Domain
from engine.domains.metric import Metric
from engine.show.persona.replies import Stretch, word_by_word
from pages.shared import frame, reads

_HIDDEN_NAMES = ("Left", "Right")
_CURSOR = "▌"
_MARKS: Mapping[str, tuple[str, str, str]] = {
    "plain": ("blue", ":material/bolt:", "Done by the reply"),
    "right": ("green", ":material/check:", "As in the right reply"),
    "other": ("orange", ":material/close:", "Another value in the right reply"),
    "extra": ("orange", ":material/add:", "Not in the right reply"),
    "missing": ("gray", ":material/remove:", "Only in the right reply: missing here"),
}


def before(first: Question) -> None:
    """Show what had been said in an example's dialogue before its message."""
    earlier = first.speakers[0].history
    if not earlier:
        return
    with st.expander(f"{count(len(earlier), 'line')} of the dialogue before", icon=":material/history:"):
        _said(earlier)


def show(ws: Workspace, question: Question, answer: Answer, *, hidden: bool) -> None:
    """Show a turn: message, the right reply where it is known, and the replies side by side.

    `hidden` keeps back whatever tells who is who, and the right reply.
    """
    with st.chat_message("user", avatar=":material/person:"):
        st.markdown(frame.plain(question.message))
    _state(answer, count(len(question.speakers), "variant"))
    if question.temperature:
        st.caption(f":material/casino: {_drawn(question)}")
    if question.reference is not None and not hidden:
        with st.container(border=True, gap=None):
            st.caption(":material/flag: Right reply")
            st.markdown(frame.plain(question.reference))
    if not answer.replies:
        return
    columns = st.columns(len(question.speakers), gap="small")
    for place, (column, speaker) in enumerate(zip(columns, question.speakers, strict=True)):
        name = _HIDDEN_NAMES[place] if hidden else speaker.variant
        baseline = answer.replies[0] if place else None
        with column, st.container(border=True, gap="small", key=f"reply_{question.question_id}_{place}"):
            _reply(
                name,
                answer.replies[place],
                question,
                answer,
                reads.domain(ws),
                baseline=baseline,
                hidden=hidden,
            )


def _drawn(question: Question) -> str:
    share = f", top-p {question.top_p:g}" if question.top_p < 1 else ""
    return f"Words were drawn: temperature {question.temperature:g}{share}, seed {question.seed}"


def _state(answer: Answer, who: str) -> None:
    """Say what is being waited for, and what went wrong."""
    if answer.restarted:
        st.info(
            "The generator had ended and was started again; this turn began anew.",
            icon=":material/restart_alt:",
        )
    if answer.state == "waiting":
        ahead = f": {count(answer.ahead, 'question')} before this one" if answer.ahead else ""
        st.caption(f":material/hourglass_empty: Waiting{ahead}")
    elif answer.state == "loading":
        st.caption(
            ":material/hourglass_empty: The base model is being loaded; only the first question waits for it."
        )
    elif answer.state == "failed" and answer.error:
        st.error(frame.plain(answer.error), icon=":material/error:")
        frame.remedy(answer.hint)
    elif answer.state == "cancelled":
        st.caption(f":material/stop_circle: Stopped: {who} were cut short.")


def _reply(
    name: str,
    reply: Reply,
    question: Question,
    answer: Answer,
    domain: Domain,
    *,
    baseline: Reply | None,
    hidden: bool,
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{frame.plain(name)}**", width="content")
        if not hidden:
            st.caption(_speed(reply), width="content")
    if reply.error and hidden:
        st.warning("This side cannot answer for this persona.", icon=":material/block:")
        return
    if reply.error:
        st.warning(frame.plain(reply.error), icon=":material/block:")
        frame.remedy(reply.hint)
        return
    going = not reply.finished and not answer.ended
    cursor = _CURSOR if going and answer.state == "answering" else ""
    st.markdown(f"{frame.plain(reply.text)}{cursor}" if reply.text or going else "*an empty reply*")
    if hidden:
        return
    if baseline is not None and reply.finished and reply.text == baseline.text:
        st.caption(f"Word for word as {frame.plain(question.speakers[0].variant)}.")
    if reply.finished and domain.judges:
        right = question.reference
        _acts(findings(domain.acts(reply.text), None if right is None else domain.acts(right)))
    if reply.scores:
        _scores(reply.scores, baseline.scores if baseline else {})
    if reply.finished and reply.text:
        _text(reply, question, baseline)
    if reply.lineage is not None:
        with st.popover("Where it comes from", icon=":material/account_tree:", type="tertiary"):
            _lineage(reply, question)


def _text(reply: Reply, question: Question, baseline: Reply | None) -> None:
    """The reply to copy, and word by word beside the right one and the first variant's."""
    beside = {"the right reply": question.reference, question.speakers[0].variant: baseline and baseline.text}
    with st.container(horizontal=True, gap="small"):
        with st.popover("Copy", icon=":material/content_copy:", type="tertiary"):
            st.code(reply.text, language=None, wrap_lines=True)
        if any(other not in (None, "", reply.text) for other in beside.values()):
            with st.popover("Words", icon=":material/difference:", type="tertiary"):
                for name, other in beside.items():
                    if other and other != reply.text:
                        st.caption(f"Beside {frame.plain(name)}: only here, ~~only there~~")
                        st.markdown(" ".join(map(_stretch, word_by_word(reply.text, other))))


def _stretch(found: Stretch) -> str:
    words = frame.plain(found.text)
    return {"both": words, "added": f":blue-background[{words}]", "lacking": f":orange[~~{words}~~]"}[
        found.side
    ]


def _speed(reply: Reply) -> str:
    speed = reply.tokens_per_second
    told = [count(reply.tokens, "token")] if reply.tokens else []
    return " · ".join([*told, *([f"{speed:.0f} tokens/s"] if speed else [])])


def _acts(found: Sequence[Finding]) -> None:
    """What the reply does, each act held against the right reply's."""
    if not found:
        st.caption("It only talks; it does nothing.")
        return
    with st.container(horizontal=True, gap="xsmall"):
        for one in found:
            colour, icon, meaning = _MARKS[one.kind]
            st.badge(frame.plain(one.words), icon=icon, color=colour, help=meaning)  # type: ignore[arg-type]


def _scores(scores: Mapping[str, float | None], baseline: Mapping[str, float | None]) -> None:
    """The scores, and the difference to the first variant's."""
    told, shown = [], metrics.headline(frame.workspace())
    for metric in shown:
        value, other = scores.get(metric.name), baseline.get(metric.name)
        if value is None:
            continue
        difference = ""
        if other is not None and (words := metric.change(value - other)) != metric.change(0.0):
            colour = "blue" if metric.sign * (value - other) > 0 else "orange"
            difference = f"&nbsp;:{colour}[{words}]"
        told.append(f"{frame.plain(metric.short)}&nbsp;**{metric.level(value)}**{difference}")
    st.markdown("&ensp; ".join(told), help=_metrics_help(shown))


_KINDS: Mapping[str, str] = {
    "prefix": ", a prefix",
    "activations": ", an offset of activations",
    "library": ", a choice a token",
}


def _metrics_help(shown: Sequence[Metric]) -> str:
    lines = [f"- {one.short}: {one.label}. {one.help}" for one in shown]
    return "Of one example only; coloured: against the first variant.\n" + "\n".join(lines)


def _lineage(reply: Reply, question: Question) -> None:
    """Routes, adapters with their weights, cluster, memories, and the prompt word by word."""
    told: Mapping[str, Any] = reply.lineage or {}
    for route in told["routes"]:
        gain = route["gain_val"]
        why = (
            "it is the fallback"
            if not gain
            else f"on validation it was {signed_points(gain)} over {route['fallback']}"
        )
        st.markdown(f":material/route: Routed to **{frame.plain(route['variant'])}**: {frame.plain(why)}")
    several = len(told["sides"]) > 1
    for side in told["sides"]:
        _side(side, _share(side) if several else "", question.persona_id)
    if told["cluster"]:
        cluster = told["cluster"]
        st.markdown(
            f":material/hub: Cluster {cluster['number']} of {cluster['of']}, "
            f"{count(cluster['personas'], 'persona')}"
        )
    memories = told["memories"]
    if memories:
        st.markdown(f":material/manage_search: {count(len(memories), 'earlier interaction')} shown to it")
        for memory in reversed(memories):
            likeness = f"{points(memory['similarity'])} alike. " if memory["similarity"] is not None else ""
            st.caption(frame.plain(f"{likeness}“{memory['request']}” → “{memory['reply']}”"))
    for name, what in (("memories_cut", "earlier interaction"), ("turns_cut", "older message")):
        if told.get(name):
            st.markdown(f":material/content_cut: {count(told[name], what)} left out, for want of room")
    for number, prompt in enumerate(told["prompts"]):
        more = f" {number + 1}" if len(told["prompts"]) > 1 else ""
        with st.expander(
            f"Prompt{more}, {count(reply.prompt_tokens, 'token')}" if not number else f"Prompt{more}"
        ):
            st.code(prompt, language=None, wrap_lines=True)


def _share(side: Mapping[str, Any]) -> str:
    """A side's part in each token; what was answered before sides could be put together on logits has 1."""
    coefficient = side.get("coefficient", 1)
    on_logits = "" if coefficient == 1 else f", its logits × {rounded(coefficient, 2)}"
    return f"{percent(side['weight'])} of each token's probability{on_logits}: the "


def _side(side: Mapping[str, Any], share: str, persona_id: str) -> None:
    """One recipe that answers: base, what acts in it with its weights and runs, whose it is."""
    adapters = side["adapters"]
    called = frame.plain(reads.called(frame.workspace(), side["persona_id"]))
    whose = "" if side["persona_id"] == persona_id else f", of {called} (a placebo)"
    told = "base model, and" if adapters else "base model alone"
    profile = ", told the profile" if side["profile"] else ""
    st.markdown(f":material/layers: {share or 'The '}{told}{whose}{profile}")
    for one in adapters:
        weight = "" if one["weight"] == 1 else f" × {rounded(one['weight'], 2)}"
        kind = _KINDS.get(one.get("kind", ""), "")
        frame.run_link(one["run"], f"{one['name']} of {one['run']}{weight}{kind}", icon=":material/add:")


def _said(messages: tuple[Message, ...]) -> None:
    names = {"user": "User", "assistant": "Assistant", "system": "System"}
    st.markdown("  \n".join(f"**{names[one.role]}:** {frame.plain(one.text)}" for one in messages))
