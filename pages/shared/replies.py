"""Examples as panes: what was asked, the right reply, what every variant said, and what people say of that.

What is shown comes from engine/show/persona/replies.py; how, from replies.js and .css beside this file.
Texts of users and models go there as data and are only ever set as text.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains.domain import Domain
from engine.domains.metric import Metric
from engine.results import marks
from engine.results.marks import MARKS, Mark, Said
from engine.show.persona.replies import Answered, Memory, Reply
from engine.stats.verdicts import BETTER, EQUAL, WORSE, outcome
from pages.shared import frame, reads
from pages.shared.drawn import drawn

_SIGNS = {"right": "✓", "other": "≠", "missing": "−", "extra": "+"}
_panes = drawn("replies", __file__, html='<div class="replies"></div>')


def show(
    ws: Workspace,
    found: Sequence[Answered],
    *,
    metric: Metric,
    reference: str,
    looked_at: str | None,
    bounds: Collection[str],
    example_id: str | None,
    key: str,
    on_choose: Callable[[str], None],
    named: bool = False,
    alone: bool = False,
) -> None:
    """Draw the panes, one example open; `on_choose` is called with an example's id when it is opened.

    `named` says of each example whose it is. `alone` draws the open one without the list, with the reply
    looked at only. Side effect: a mark that is made is written.
    """

    def opened() -> None:
        chosen = st.session_state[key].get("example")
        if isinstance(chosen, str):
            on_choose(chosen)

    def marked() -> None:
        asked = st.session_state[key].get("mark")
        if isinstance(asked, Mapping):
            _mark(ws, found, asked)

    domain, said = reads.domain(ws), marks.read(ws)
    whose = reads.names(ws) if named else {}
    data = {
        "open": example_id,
        "alone": alone,
        "marks": {} if frame.closed() else dict(MARKS),
        "examples": [
            {
                **_example(
                    one,
                    number,
                    metric,
                    domain,
                    said,
                    reference=reference,
                    looked_at=looked_at,
                    bounds=bounds,
                    alone=alone,
                ),
                "whose": whose.get(one.persona_id, one.persona_id) if named else "",
            }
            for number, one in enumerate(found, 1)
        ],
    }
    _panes(key=key, data=data, on_example_change=opened, on_mark_change=marked)


def _mark(ws: Workspace, found: Sequence[Answered], asked: Mapping[str, Any]) -> None:
    """Write the mark that was made on one of the replies shown."""
    example = next((one for one in found if one.example_id == asked.get("example")), None)
    said = () if example is None else example.replies
    reply = next((one for one in said if one.text == asked.get("reply")), None)
    if example is None or reply is None:
        return
    try:
        marks.put(
            ws,
            (example.example_id, reply.text),
            str(asked.get("mark") or ""),
            note=str(asked.get("note") or ""),
            persona_id=example.persona_id,
            right_reply=example.reference,
            variants=reply.variants,
        )
    except EngineError as error:
        st.toast(f"{frame.plain(error.message)} {frame.hint(error.hint)}", icon=":material/error:")


def _example(
    one: Answered,
    number: int,
    metric: Metric,
    domain: Domain,
    said: Mapping[Said, Mark],
    *,
    reference: str,
    looked_at: str | None,
    bounds: Collection[str],
    alone: bool,
) -> dict[str, Any]:
    asked = next((text for role, text in reversed(one.context) if role == "user"), "")
    own = next((reply for reply in one.replies if looked_at in reply.variants), None)
    return {
        "id": one.example_id,
        "number": number,
        "place": f"Dialogue {one.dialogue_id.rsplit('/', 1)[-1]}, turn {one.turn}",
        "situation": domain.situation(one.meta),
        "asked": asked,
        "difference": "" if own is None or looked_at == reference else _difference(own.delta, metric),
        "tone": "" if own is None else _tone(own.delta, metric),
        "before": [
            {"who": "User" if role == "user" else domain.assistant, "text": text}
            for role, text in one.context[:-1]
        ],
        "reference": one.reference,
        "acts": list(one.acts),
        "replies": [
            _reply(
                reply,
                metric,
                said.get((one.example_id, reply.text)),
                reference=reference,
                looked_at=looked_at,
                bounds=bounds,
            )
            for reply in one.replies
            if not alone or looked_at in reply.variants
        ],
        "memories": [] if alone else [_memory(memory) for memory in one.memories],
    }


def _reply(
    reply: Reply,
    metric: Metric,
    mark: Mark | None,
    *,
    reference: str,
    looked_at: str | None,
    bounds: Collection[str],
) -> dict[str, Any]:
    return {
        "variants": [
            {
                "name": name,
                "role": "reference" if name == reference else "bound" if name in bounds else "",
                "looked_at": name == looked_at,
            }
            for name in sorted(reply.variants, key=lambda name: (name != looked_at, name != reference, name))
        ],
        "score": "undefined" if reply.score is None else metric.level(reply.score),
        "difference": "" if reference in reply.variants else _difference(reply.delta, metric),
        "tone": "" if reference in reply.variants else _tone(reply.delta, metric),
        "pieces": [
            {"text": one.text, "kind": one.kind, "sign": _SIGNS.get(one.kind, "")} for one in reply.pieces
        ],
        "findings": [
            {"kind": one.kind, "sign": _SIGNS[one.kind], "words": one.words} for one in reply.findings
        ],
        "text": reply.text,
        "kind": reply.kind,
        "words": [{"text": one.text, "side": one.side} for one in reply.words] if reply.kind else [],
        "mark": "" if mark is None else mark.mark,
        "note": "" if mark is None else mark.note,
    }


def _memory(memory: Memory) -> dict[str, Any]:
    place = memory.example_id.rsplit("/", 1)[-1].replace("#", ", turn ")
    return {
        "request": memory.request,
        "reply": memory.reply,
        "likeness": "" if memory.similarity is None else f"{memory.similarity:.2f}",
        "place": f"Dialogue {place}" if place else "",
        "variants": ", ".join(memory.variants),
    }


def _difference(value: float | None, metric: Metric) -> str:
    return "" if value is None else metric.change(value)


def _tone(value: float | None, metric: Metric) -> str:
    told = EQUAL if value is None else outcome(value, higher_is_better=metric.higher_is_better)
    return {BETTER: "up", WORSE: "down"}.get(told, "")


def worst_first(found: Sequence[Answered], variant: str, metric: Metric) -> list[Answered]:
    """Return the examples in the order of what a variant loses against the reference, the worst first.

    Of those alike, and of the reference itself, where it scores lowest. Without a value last.
    """

    def place(one: Answered) -> tuple[bool, float, float]:
        own = next((reply for reply in one.replies if variant in reply.variants), None)
        if own is None or own.score is None or own.delta is None:
            return True, 0.0, 0.0
        return False, metric.sign * own.delta, metric.sign * own.score

    return sorted(found, key=place)
