"""A persona's examples as panes: what was asked, the right reply, and what every variant said.

What is shown comes from engine/show/persona/replies.py; how, from replies.js and .css beside this file.
Texts of users and models go there as data and are only ever set as text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from engine.core.wording import points, signed_points
from engine.domains.domain import Domain
from engine.domains.metric import Metric
from engine.show.persona.replies import Answered, Memory, Reply

_HERE = Path(__file__).resolve().parent
_SIGNS = {"right": "✓", "other": "≠", "missing": "−", "extra": "+"}
_panes = st.components.v2.component(
    "persona_replies",
    html='<div class="replies"></div>',
    css=(_HERE / "replies.css").read_text(encoding="utf-8"),
    js=(_HERE / "replies.js").read_text(encoding="utf-8"),
)


def show(
    found: Sequence[Answered],
    *,
    domain: Domain,
    metric: Metric,
    reference: str,
    looked_at: str | None,
    bounds: Collection[str],
    example_id: str | None,
    key: str,
    on_choose: Callable[[str], None],
) -> None:
    """Draw the panes, one example open; `on_choose` is called with an example's id when it is opened."""

    def opened() -> None:
        chosen = st.session_state[key].get("example")
        if isinstance(chosen, str):
            on_choose(chosen)

    data = {
        "open": example_id,
        "examples": [
            _example(one, number, metric, domain, reference=reference, looked_at=looked_at, bounds=bounds)
            for number, one in enumerate(found, 1)
        ],
    }
    _panes(key=key, data=data, on_example_change=opened)


def _example(
    one: Answered,
    number: int,
    metric: Metric,
    domain: Domain,
    *,
    reference: str,
    looked_at: str | None,
    bounds: Collection[str],
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
            _reply(reply, metric, reference=reference, looked_at=looked_at, bounds=bounds)
            for reply in one.replies
        ],
        "memories": [_memory(memory) for memory in one.memories],
    }


def _reply(
    reply: Reply, metric: Metric, *, reference: str, looked_at: str | None, bounds: Collection[str]
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
        "score": _level(reply.score, metric),
        "difference": "" if reference in reply.variants else _difference(reply.delta, metric),
        "tone": "" if reference in reply.variants else _tone(reply.delta, metric),
        "pieces": [
            {"text": one.text, "kind": one.kind, "sign": _SIGNS.get(one.kind, "")} for one in reply.pieces
        ],
        "findings": [
            {"kind": one.kind, "sign": _SIGNS[one.kind], "words": one.words} for one in reply.findings
        ],
        "tokens": reply.tokens,
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


def _level(value: float | None, metric: Metric) -> str:
    if value is None:
        return "undefined"
    return points(value) if metric.unit == "fraction" else f"{value:.2f}"


def _difference(value: float | None, metric: Metric) -> str:
    return "" if value is None else signed_points(value if metric.unit == "fraction" else value / 100)


def _tone(value: float | None, metric: Metric) -> str:
    if value is None or metric.higher_is_better is None or abs(value) < 1e-9:
        return ""
    return "up" if (value > 0) == metric.higher_is_better else "down"


def most_different(found: Sequence[Answered], variant: str) -> str:
    """Return the example where a variant differs most from the reference, else the first."""

    def size(one: Answered) -> float:
        delta = next((reply.delta for reply in one.replies if variant in reply.variants), None)
        return abs(delta or 0.0)

    return max(found, key=size).example_id
