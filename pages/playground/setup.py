"""Who is asked what: persona, message or example, circumstances and variants. All of it is in the address."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from engine.core.paths import Workspace
from engine.core.questions import MOST_SPEAKERS, Question
from engine.core.types import Dataset, Example, Persona
from engine.core.wording import count
from engine.data import choose_examples, examples
from engine.domains import metrics
from engine.results.variants import Variant
from engine.serve.conversation import default_cast, open_question
from pages.shared import frame, reads

_PAGE = "playground"
_EXAMPLES = 30
_LENGTHS, _USUAL = (32, 64, 128, 256, 512), 64
_VARIANTS, _BLIND, _LENGTH = "playground_variants", "playground_blind", "playground_length"


@dataclass(frozen=True, slots=True)
class Setup:
    """What is chosen for the next conversation; `ask_example` is true when its button was pressed."""

    persona_id: str
    example: Example | None
    meta: Mapping[str, Any]
    variants: tuple[Variant, ...]
    blind: bool
    max_new_tokens: int
    ask_example: bool

    def question(self, message: str | None = None) -> Question:
        """Return the first question: the example, or a message of one's own in the same circumstances."""
        example = self.example if message is None else None
        said = example.context[-1].text if example else message or ""
        return open_question(
            self.persona_id,
            said,
            self.variants,
            meta=self.meta,
            example=example,
            blind=self.blind,
            max_new_tokens=self.max_new_tokens,
        )

    def another(self, ws: Workspace) -> Question:
        """Return a question about an example of anybody's, drawn at random, with the same variants, blind."""
        found = choose_examples(examples(reads.dataset(ws), reads.splits(ws), "test"))
        example = random.choice(found)
        drawn = replace(self, persona_id=example.persona_id, example=example, meta=example.meta, blind=True)
        return drawn.question()


def show(ws: Workspace, variants: Sequence[Variant], question: Question | None) -> Setup:
    """Show the choices, prefilled from the address or the open conversation; return what is chosen."""
    _take_over(question)
    with st.container(border=True, gap="small"):
        left, right = st.columns(2, gap="medium")
        with left:
            persona = _persona(ws)
            example = _example(ws, persona.persona_id)
        with right:
            chosen = _variants(ws, variants)
            with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
                blind = _blind()
                meta, most = _circumstances(ws, example)
        asked = _ask(example, chosen, blind=blind)
    return Setup(persona.persona_id, example, meta, tuple(chosen), blind, most, asked)


def _take_over(question: Question | None) -> None:
    """On the first visit to a conversation's address, choose what it was begun with."""
    if question is None or st.session_state.get("playground_taken") == question.question_id:
        return
    st.session_state["playground_taken"] = question.question_id
    if "persona" not in st.query_params:
        frame.choose(_PAGE, "persona", question.persona_id)
        if question.example_id:
            frame.choose(_PAGE, "example", question.example_id)
    if not question.blind and "variant" not in st.query_params:
        st.session_state[_VARIANTS] = [speaker.variant for speaker in question.speakers]


def _persona(ws: Workspace) -> Persona:
    known = {persona.persona_id: persona for persona in reads.dataset(ws).personas}

    def words(name: str) -> str:
        character = known[name].character or ""
        return f"{name}: {character[:70].rstrip()}" if character else name

    chosen = frame.linked_choice(
        "Persona", list(known), page=_PAGE, name="persona", words=words,
        help="Type to search in names and characters.",
    )  # fmt: skip
    return known[chosen or next(iter(known))]


def _example(ws: Workspace, persona_id: str) -> Example | None:
    """One of the persona's test examples, None for words of one's own."""
    found = {example.example_id: example for example in _examples(ws, persona_id)}
    if not found:
        st.caption("This persona has no test examples. Write your own words below.")
        return None

    def words(name: str) -> str:
        if name == "own":
            return "My own words, written below"
        return found[name].context[-1].text

    chosen = frame.linked_choice(
        "Message", [*found, "own"], page=_PAGE, name="example", words=words,
        help="Messages of the persona's test dialogues, with the right reply to compare with.",
    )  # fmt: skip
    return found.get(chosen or "")


def _examples(ws: Workspace, persona_id: str) -> tuple[Example, ...]:
    """The persona's test examples, those that variants are scored on first."""
    own = Dataset((), tuple(reads.dialogues_of(ws, persona_id)))
    found = examples(own, reads.splits(ws), "test")
    scored = choose_examples(found)
    rest = [one for one in choose_examples(found, _EXAMPLES) if one not in scored]
    return (*scored, *rest)


def _variants(ws: Workspace, variants: Sequence[Variant]) -> list[Variant]:
    known = {one.variant: one for one in variants}
    blind = bool(st.session_state.get(_BLIND, st.query_params.get("blind") == "1"))
    if _VARIANTS not in st.session_state:
        asked = [name for name in st.query_params.get_all("variant") if name in known]
        st.session_state[_VARIANTS] = asked or default_cast(variants, _ranked(ws))
    held = [name for name in st.session_state[_VARIANTS] if name in known]
    st.session_state[_VARIANTS] = held if blind else held[:MOST_SPEAKERS]
    chosen = st.multiselect(
        "Variants",
        list(known),
        key=_VARIANTS,
        max_selections=None if blind else MOST_SPEAKERS,
        placeholder="Choose two, up to four",
        help="The others are compared with the first. In blind mode two of those chosen are drawn each time.",
    )
    st.query_params["variant"] = chosen
    return [known[name] for name in chosen]


def _ranked(ws: Workspace) -> list[str]:
    """Variants by their mean in the primary metric on val, best first; there, so that test stays unseen."""
    protocols = reads.protocols(ws)
    on_val = protocols[protocols["split"] == "val"]
    if on_val.empty:
        return []
    first, protocol = metrics.primary(ws), str(on_val["protocol"].iloc[0])
    scores = reads.scores(ws, metric=first.name, split="val", protocol=protocol)
    means = first.sign * scores.groupby(["variant", "persona_id"])["value"].mean().groupby("variant").mean()
    return [str(name) for name in means.dropna().sort_values(ascending=False).index]


def _blind() -> bool:
    if _BLIND not in st.session_state:
        st.session_state[_BLIND] = st.query_params.get("blind") == "1"
    blind = st.toggle(
        "Blind",
        key=_BLIND,
        help="Names, order, scores and the right reply stay hidden until you have voted.",
    )
    if blind:
        st.query_params["blind"] = "1"
    else:
        st.query_params.pop("blind", None)
    return blind


def _circumstances(ws: Workspace, example: Example | None) -> tuple[dict[str, Any], int]:
    """What the variants are told about the moment, as in the example, and how long they may speak."""
    known = reads.circumstances(ws)
    given = dict(example.meta) if example else {}
    place = example.dialogue_id if example else "own"
    found: dict[str, Any] = {}
    with st.popover("Circumstances", icon=":material/tune:", help="The moment, and the reply's length"):
        for name, values in known.items():
            label, key = frame.plain(name.replace("_", " ").capitalize()), f"playground_meta_{place}_{name}"
            held = given.get(name)
            if values:
                index = values.index(held) if held in values else None
                found[name] = st.selectbox(
                    label, values, index=index, key=key, placeholder="Not told",
                    format_func=lambda value: str(value).replace("_", " "),
                )  # fmt: skip
            else:
                found[name] = st.text_input(label, str(held or ""), key=key, placeholder="Not told") or None
        most = _length()
    told = {name: value for name, value in found.items() if value is not None}
    st.caption(frame.plain(reads.domain(ws).situation(told) or "nothing told"), width="stretch")
    return told, most


def _length() -> int:
    """The longest reply in tokens; in the address unless it is the default."""
    if _LENGTH not in st.session_state:
        asked = st.query_params.get("length", "")
        st.session_state[_LENGTH] = int(asked) if asked.isdigit() and int(asked) in _LENGTHS else _USUAL
    most = int(st.select_slider("Longest reply, in tokens", _LENGTHS, key=_LENGTH))
    if most == _USUAL:
        st.query_params.pop("length", None)
    else:
        st.query_params["length"] = str(most)
    return most


def _ask(example: Example | None, chosen: Sequence[Variant], *, blind: bool) -> bool:
    """The message that would be sent, and the button that sends it."""
    few = 2 if blind else 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pressed = frame.action(
            "Ask",
            type="primary",
            icon=":material/send:",
            key="playground_ask",
            off=example is None or len(chosen) < few,
            shortcut="Ctrl+Enter",
        )
        if len(chosen) < few:
            st.caption(f"Choose {'two variants' if blind else 'a variant'} first.")
        elif example is None:
            st.caption("Write your words in the line at the bottom.")
        else:
            before = len(example.context) - 1
            told = f", after {count(before, 'line')} of the same dialogue" if before else ""
            st.caption(frame.plain(f"“{example.context[-1].text}”{told}"), width="stretch")
    return pressed
