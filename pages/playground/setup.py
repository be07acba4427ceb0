"""Who is asked what: persona, message or example, circumstances and variants. All of it is in the address."""

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from textwrap import shorten
from typing import Any

import streamlit as st

from engine.core.paths import Workspace
from engine.core.questions import MOST_SPEAKERS, Question
from engine.core.types import Dataset, Example, Persona
from engine.core.wording import count, percent
from engine.data import choose_examples, examples
from engine.domains import metrics
from engine.results import store
from engine.results.variants import Variant
from engine.serve.able import obstacle
from engine.serve.conversation import Manner, default_cast, open_question
from pages.playground import blind as pairs
from pages.playground import voter
from pages.shared import addresses, frame, reads

_PAGE = "playground"
_EXAMPLES = 30
_TOLD = 3
_LENGTHS, _USUAL = (32, 64, 128, 256, 512), 64
_VARIANTS, _BLIND, _LENGTH = "playground_variants", "playground_blind", "playground_length"
_HEAT, _TOP_P, _SEED = "playground_temperature", "playground_top_p", "playground_seed"
_TAKEN, _OWN = "playground_taken", "own"
_MOST_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Setup:
    """What is chosen for the next conversation; `ask_example` and `draw` are true when pressed."""

    persona_id: str
    example: Example | None
    meta: Mapping[str, Any]
    variants: tuple[Variant, ...]
    blind: bool
    manner: Manner
    ask_example: bool
    draw: bool

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
            manner=self.manner,
        )

    def asked(self, ws: Workspace) -> Question:
        """Return the question about the example; blind, to two that were heard to differ on it."""
        drawn = None
        if self.blind and self.example is not None:
            drawn = pairs.heard(ws, self.variants).draw(self.example.example_id)
        return (self._to(drawn[1]) if drawn else self).question()

    def another(self, ws: Workspace) -> Question:
        """Return a blind question about an example of anybody's, drawn at random, to two of the variants.

        Where replies are known, both are such as were heard to say different things to it.
        """
        found = choose_examples(examples(reads.dataset(ws), reads.splits(ws), "test"))
        drawn = pairs.heard(ws, self.variants).draw()
        known = {example.example_id: example for example in found}
        example = known.get(drawn[0]) if drawn else None
        speak = self._to(drawn[1]) if drawn and example else self
        example = example or random.choice(found)
        whose = replace(speak, persona_id=example.persona_id, example=example, meta=example.meta)
        return replace(whose, blind=True).question()

    def _to(self, names: Sequence[str]) -> "Setup":
        return replace(self, variants=tuple(one for one in self.variants if one.variant in names))


def show(ws: Workspace, variants: Sequence[Variant], question: Question | None) -> Setup:
    """Show the choices, prefilled from the address or the open conversation; return what is chosen."""
    _take_over(question)
    with st.container(border=True, gap="small"):
        left, right = st.columns(2, gap="medium")
        with left:
            persona = _persona(ws)
            example = _example(ws, persona.persona_id)
        with right:
            chosen = _variants(ws, variants, persona.persona_id)
            with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
                blind = _blind()
                meta, manner = _circumstances(ws, example)
        if blind:
            voter.ask()
        asked, drawn = _ask(ws, example, chosen, blind=blind)
    return Setup(persona.persona_id, example, meta, tuple(chosen), blind, manner, asked, drawn)


def _take_over(question: Question | None) -> None:
    """When a question is first shown, choose what it was asked with: who is shown is who was asked."""
    if question is None or st.session_state.get(_TAKEN) == question.question_id:
        return
    st.session_state[_TAKEN] = question.question_id
    told = {"persona": question.persona_id}
    if question.example_id or st.query_params.get("persona") != question.persona_id:
        told["example"] = question.example_id or _OWN
    for name, value in told.items():
        frame.choose(_PAGE, name, value)
        st.query_params[name] = value
    if not question.blind and "variant" not in st.query_params:
        st.session_state[_VARIANTS] = [speaker.variant for speaker in question.speakers]


def _persona(ws: Workspace) -> Persona:
    known = {persona.persona_id: persona for persona in reads.personas(ws)}

    def words(name: str) -> str:
        character = known[name].character or ""
        return f"{name}: {_short(character)}" if character else name

    chosen = frame.linked_choice(
        "Persona", list(known), page=_PAGE, name="persona", words=words,
        help="Type to search in names and characters.",
    )  # fmt: skip
    return known[chosen or next(iter(known))]


@lru_cache(maxsize=4096)
def _short(character: str) -> str:
    return shorten(character, 62, placeholder=" …")


def _example(ws: Workspace, persona_id: str) -> Example | None:
    """One of the persona's test examples, None for words of one's own."""
    found = {example.example_id: example for example in _examples(ws, persona_id)}
    if not found:
        st.caption("This persona has no test examples. Write your own words below.")
        return None

    def words(name: str) -> str:
        if name == _OWN:
            return "My own words, written below"
        return found[name].context[-1].text

    chosen = frame.linked_choice(
        "Message", [*found, _OWN], page=_PAGE, name="example", words=words,
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


def _variants(ws: Workspace, variants: Sequence[Variant], persona_id: str) -> list[Variant]:
    """The variants chosen, of those that can answer for the persona; of the others it is said why not."""
    silent = {one.variant: why for one in variants if (why := obstacle(ws, one.recipe, persona_id))}
    known = {one.variant: one for one in variants if one.variant not in silent}
    blind = bool(st.session_state.get(_BLIND, st.query_params.get("blind") == "1"))
    if addresses.anew(_VARIANTS):
        named, everybody = st.query_params.get_all("variant"), {one.variant for one in variants}
        for name in sorted(set(named) - everybody):
            addresses.gone("Variant", name, "the others")
        asked = [name for name in named if name in known]
        st.session_state[_VARIANTS] = asked or default_cast(list(known.values()), _ranked(ws))
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
    if silent:
        told = ", ".join(f"{name} ({why})" for name, why in list(silent.items())[:_TOLD])
        more = f", and {len(silent) - _TOLD} more" if len(silent) > _TOLD else ""
        st.caption(frame.plain(f"{count(len(silent), 'variant')} cannot answer for her: {told}{more}."))
    return [known[name] for name in chosen]


@reads.lasting(list[str])
def _ranked(ws: Workspace) -> list[str]:
    """Variants by their mean in the primary metric on val, best first; there, so that test stays unseen."""
    protocols = reads.protocols(ws)
    on_val = protocols[protocols["split"] == "val"]
    if on_val.empty:
        return []
    first, protocol = metrics.primary(ws), str(on_val["protocol"].iloc[0])
    scores = store.score_table(ws, metric=first.name, split="val", protocol=protocol)
    means = first.sign * scores.groupby(["variant", "persona_id"])["value"].mean().groupby("variant").mean()
    return [str(name) for name in means.dropna().sort_values(ascending=False).index]


def _blind() -> bool:
    if addresses.anew(_BLIND):
        st.session_state[_BLIND] = st.query_params.get("blind") == "1"
    blind = st.toggle(
        "Blind",
        key=_BLIND,
        help="Names, order, scores and the right reply stay hidden until you have voted.",
    )
    addresses.write("blind", "1" if blind else None)
    return blind


def _circumstances(ws: Workspace, example: Example | None) -> tuple[dict[str, Any], Manner]:
    """What the variants are told about the moment, as in the example, and how they make their replies."""
    known = reads.circumstances(ws)
    given = dict(example.meta) if example else {}
    place = example.dialogue_id if example else "own"
    found: dict[str, Any] = {}
    told_of = "The moment, the reply's length, and whether words are drawn"
    with st.popover("Circumstances", icon=":material/tune:", help=told_of):
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
        st.markdown("**How replies are made**")
        manner = Manner(_length(), *_sampling())
    told = {name: value for name, value in found.items() if value is not None}
    st.caption(frame.plain(reads.domain(ws).situation(told) or "nothing told"), width="stretch")
    if manner.temperature:
        st.caption(f"Words are drawn: temperature {manner.temperature:g}, seed {manner.seed}")
    return told, manner


def _sampling() -> tuple[float, float, int]:
    """Temperature, top-p and seed; in the address unless words are not drawn."""
    kept = {
        _HEAT: _from_address("temperature", 0.0, 2.0, usual=0.0),
        _TOP_P: _from_address("top_p", 0.05, 1.0, usual=1.0),
        _SEED: int(_from_address("seed", 0, _MOST_SEED, usual=0)),
    }
    for key, value in kept.items():
        st.session_state.setdefault(key, value)
    heat = st.slider(
        "Temperature", 0.0, 2.0, step=0.1, key=_HEAT,
        help="0: the likeliest words, as in every score. Above: words are drawn, the more freely the higher.",
    )  # fmt: skip
    top_p = st.slider(
        "Top-p", 0.05, 1.0, step=0.05, key=_TOP_P, disabled=not heat,
        help="Draw from the likeliest words that make up this share of the probability.",
    )  # fmt: skip
    seed = st.number_input(
        "Seed", min_value=0, max_value=_MOST_SEED, step=1, key=_SEED, disabled=not heat,
        help="The same seed draws the same reply.",
    )  # fmt: skip
    for name, value, usual in (("temperature", heat, 0.0), ("top_p", top_p, 1.0), ("seed", seed, 0)):
        told = f"{value:g}" if isinstance(value, float) else str(value)
        addresses.write(name, told if heat and value != usual else None)
    return (heat, top_p, int(seed)) if heat else (0.0, 1.0, 0)


def _from_address(name: str, least: float, most: float, *, usual: float) -> float:
    asked = st.query_params.get(name, f"{usual:g}")
    with suppress(ValueError):
        if least <= (value := float(asked)) <= most:
            return value
    addresses.gone(name.replace("_", "-"), asked, f"{usual:g}")
    return usual


def _length() -> int:
    """The longest reply in tokens; in the address unless it is the default."""
    if addresses.anew(_LENGTH):
        asked, known = st.query_params.get("length", str(_USUAL)), {str(one): one for one in _LENGTHS}
        st.session_state[_LENGTH] = known.get(asked, _USUAL)
        if asked not in known:
            addresses.gone("Length", asked, str(_USUAL))
    most = int(st.select_slider("Longest reply, in tokens", _LENGTHS, key=_LENGTH))
    addresses.write("length", None if most == _USUAL else str(most))
    return most


def _ask(
    ws: Workspace, example: Example | None, chosen: Sequence[Variant], *, blind: bool
) -> tuple[bool, bool]:
    """The message that would be sent, the button that sends it, and in blind mode one that draws another."""
    few, drawn = 2 if blind else 1, False
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pressed = frame.action(
            "Ask",
            type="primary",
            icon=":material/send:",
            key="playground_ask",
            off=example is None or len(chosen) < few,
            shortcut="Ctrl+Enter",
        )
        if blind:
            drawn = frame.action(
                "Draw a message", icon=":material/casino:", key="playground_draw", off=len(chosen) < few,
                help="Anybody's, at random, to two of the chosen variants that differ on it.",
            )  # fmt: skip
        if len(chosen) < few:
            st.caption(f"Choose {'two variants' if blind else 'a variant'} first.")
        elif example is None:
            st.caption("Write your words in the line at the bottom.")
        else:
            before = len(example.context) - 1
            told = f", after {count(before, 'line')} of the same dialogue" if before else ""
            st.caption(frame.plain(f"“{example.context[-1].text}”{told}"), width="stretch")
    if blind and len(chosen) >= few:
        _differences(pairs.heard(ws, chosen), example)
    return pressed, drawn


def _differences(heard: pairs.Heard, example: Example | None) -> None:
    """How often the chosen variants say the same, and what that means for the draw."""
    if heard.same is None:
        st.caption("No replies of these are kept that could be compared: any two may turn out the same.")
        return
    told = f"Of {count(heard.messages, 'scored message')}, two of these say the same on {percent(heard.same)}"
    if not heard.differing:
        st.caption(f"{told}: there is nothing to choose between them.")
        return
    here = "" if example is None or example.example_id in heard.differing else " On this message all agree."
    st.caption(f"{told}; only where they differ a pair is drawn.{here}")
