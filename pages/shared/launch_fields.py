"""A form made from declared parameters: one widget a field, its fault beside it, its values in the address.

Owns the way from a parameter's type to a widget and back. Checks nothing itself: faults are handed in.
"""

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import streamlit as st

from engine.core.command import typed
from engine.strategies.faults import bounds
from engine.strategies.spec import EvaluationSettings, Experiment, OneOf, Parameters
from pages.shared import frame
from pages.shared.addresses import Written

Control = Literal["flag", "choice", "several", "list", "whole", "number", "word"]
_NOTHING = ("", "null", "none")


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter as a form shows it. `raw` values are what its widget holds, faulty or not."""

    name: str
    kind: Control
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    placeholder: str | None = None
    rare: bool = False

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def raw_default(self) -> Any:
        return self.to_raw(self.default)

    def to_raw(self, value: Any) -> Any:
        """Return what the widget holds for a sound value."""
        if self.kind in ("list", "number", "word"):
            return "" if value is None else typed(value).replace(",", ", ")
        return list(value) if self.kind == "several" else value

    def given(self, raw: Any) -> Any:
        """Return the parameter that a raw value stands for; what cannot be read stays text, to be named."""
        if self.kind == "list":
            return [part.strip() for part in str(raw or "").split(",") if part.strip()]
        return _number(str(raw or "")) if self.kind == "number" else raw

    def written(self, raw: Any) -> str:
        """Return a raw value as text for the address."""
        if self.kind in ("list", "number", "word"):
            return str(raw or "").replace(", ", ",")
        return "" if raw is None else typed(raw)

    def read(self, text: str) -> Any:
        """Return the raw value that the address asks for. Raises ValueError where no widget can hold it."""
        if self.kind in ("list", "number", "word"):
            return self.to_raw(None) if text in _NOTHING else text.replace(",", ", ")
        if self.kind == "whole":
            return None if text in _NOTHING else int(text)
        if self.kind == "flag":
            return {"true": True, "false": False}[text] if text in ("true", "false") else _refuse(text)
        if text in _NOTHING and None in self.choices:
            return None
        known = {str(choice): choice for choice in self.choices}
        if self.kind == "several":
            return [known[part] if part in known else _refuse(part) for part in text.split(",") if part]
        return known[text] if text in known else _refuse(text)


def fields_of(form: type[Parameters]) -> list[Field]:
    """Return the fields of a form in the order of their declaration."""
    return [_field(form, name) for name in form.model_fields]


def all_fields(experiment: Experiment) -> list[Field]:
    """Return an experiment's own fields, then those of what it is scored on."""
    return [*fields_of(experiment.parameters), *fields_of(EvaluationSettings)]


def hold(fields: Iterable[Field], *, key: str, linked: bool) -> dict[str, Any]:
    """Return the raw value of every field, before any is drawn; side effect: sets what is not set yet.

    With `linked`, an address that this form did not write itself is taken over, as after a click on a link or
    on Back; what it asks for in vain is said.
    """
    fields = list(fields)
    asked = {one.name: st.query_params[one.name] for one in fields if linked and one.name in st.query_params}
    places = {one.name: f"{key}_{one.name}" for one in fields}
    written: Written | None = st.session_state.get(f"{key}_linked")
    held = {name: st.session_state.get(place) for name, place in places.items()}
    anew = linked and (written is None or not written.is_own(asked, held))
    if anew or any(place not in st.session_state for place in places.values()):
        st.session_state[f"{key}_sent"] = False
    for one in fields:
        place = places[one.name]
        if anew or place not in st.session_state:
            st.session_state[place] = _taken_over(one, asked.get(one.name))
        elif not st.session_state.get(f"{key}_sent"):  # a change cut the drawing short: send it once more
            st.session_state[place] = st.session_state[place]
    raw = {one.name: st.session_state[f"{key}_{one.name}"] for one in fields}
    if anew:  # at once: what is typed while this page is still being drawn must find it
        st.session_state[f"{key}_linked"] = Written(asked, raw)
    return raw


def link(fields: Iterable[Field], raw: Mapping[str, Any], *, key: str) -> None:
    """Write what differs from the defaults into the address, faulty values too, in one step."""
    fields = list(fields)
    told = {
        one.name: one.written(raw[one.name])
        for one in fields
        if one.written(raw[one.name]) != one.written(one.raw_default)
    }
    before: Written = st.session_state.get(f"{key}_linked") or Written(told, dict(raw))
    st.session_state[f"{key}_linked"] = before.then(told, dict(raw))
    now = st.query_params.to_dict()
    wanted = {name: text for name, text in now.items() if name not in {one.name for one in fields}} | told
    if wanted != now:
        st.query_params.from_dict(wanted)


def sent(key: str) -> None:
    """Say that the whole form was drawn: the browser has what every widget holds, and it speaks from now on.

    Until then a widget whose value was set here, but never sent, would answer with nothing.
    """
    st.session_state[f"{key}_sent"] = True


def address(fields: Iterable[Field], values: Mapping[str, Any]) -> dict[str, str]:
    """Return the address of a form that holds sound `values`: what differs from the defaults."""
    told = {one.name: one.written(one.to_raw(values.get(one.name, one.default))) for one in fields}
    usual = {one.name: one.written(one.raw_default) for one in fields}
    return {name: text for name, text in told.items() if text != usual[name]}


def fill(fields: Iterable[Field], values: Mapping[str, Any], *, key: str) -> None:
    """Set every field to `values`, or to its default: in a callback, before the form is drawn."""
    st.session_state[f"{key}_sent"] = False
    for one in fields:
        st.session_state[f"{key}_{one.name}"] = one.to_raw(values.get(one.name, one.default))


def draw(fields: Sequence[Field], faults: Mapping[str, str], *, key: str, columns: int) -> None:
    """Draw the widgets in columns that wrap on a narrow screen, each fault under its widget."""
    for start in range(0, len(fields), columns):
        for column, one in zip(st.columns(columns), fields[start : start + columns], strict=False):
            with column:
                _draw(one, key=f"{key}_{one.name}")
                if one.name in faults:
                    st.caption(f":red[:material/error: {one.label} {frame.plain(faults[one.name])}]")


def _draw(field: Field, *, key: str) -> None:
    """The value is in the session's state already; a default beside it would be a second truth."""
    label, told = field.label, field.help
    if field.kind == "flag":
        st.checkbox(label, key=key, help=told)
    elif field.kind == "choice":
        st.selectbox(
            label, field.choices, key=key, help=told,
            format_func=lambda one: field.placeholder or "not set" if one is None else str(one),
        )  # fmt: skip
    elif field.kind == "several":
        st.pills(label, field.choices, selection_mode="multi", key=key, help=told)
    elif field.kind == "whole":
        st.number_input(label, value=None, step=1, key=key, help=told, placeholder=field.placeholder)
    else:
        st.text_input(label, key=key, help=told, placeholder=field.placeholder)


def _field(form: type[Parameters], name: str) -> Field:
    declared = form.model_fields[name]
    default = declared.get_default(call_default_factory=True)
    unset = _unset_words(declared.description or "")
    choices, range_ = tuple(_choices(declared.annotation)), bounds(form, name)
    told = (declared.description or "").strip()
    kind = _kind(declared.annotation, default, choices)
    if kind == "choice" and default is None:
        choices = (None, *choices)
    if kind == "list":
        told = f"{told} Separate by commas."
    elif range_ and kind in ("whole", "number"):
        told = f"{told} Range: {range_}."
    usual = unset if default is None else "none" if default == [] else typed(default).replace(",", ", ")
    told = f"{told} Default: {usual or 'empty'}."
    return Field(
        name, kind, default, told, choices, placeholder=unset if default is None else None,
        rare=name in form.rare,
    )  # fmt: skip


def _unset_words(description: str) -> str:
    """What leaving a parameter out means, as its description says it."""
    told = re.search(r"by default ([^.;:]+)", description)
    if told is not None:
        return told[1]
    return "all" if re.search(r"\bso many .*\bonly\b", description) else "not set"


def _kind(annotation: Any, default: Any, choices: Sequence[Any]) -> Control:
    held = _kinds(annotation)
    if list in held:
        return "several" if choices else "list"
    if choices:
        return "choice"
    for wanted, kind in ((bool, "flag"), (float, "number"), (int, "whole")):
        if wanted in held:
            return kind  # type: ignore[return-value]
    return "word"


def _kinds(annotation: Any) -> set[Any]:
    """The plain types of an annotation, looked for in unions only: a list's members are its own matter."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return {kind for part in get_args(annotation) for kind in _kinds(part)}
    return {origin or annotation}


def _choices(annotation: Any) -> list[Any]:
    """The values of every Literal and OneOf in an annotation, also inside a list or a union."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if isinstance(annotation, OneOf):
        return list(annotation.names())
    parts = [part for part in get_args(annotation) if not isinstance(part, str)]
    return [value for part in parts for value in _choices(part)]


def _taken_over(field: Field, text: str | None) -> Any:
    if text is None:
        return field.raw_default
    try:
        return field.read(text)
    except ValueError:
        told = frame.plain(f"The address asks for {field.name}={text}, which cannot be; the default stands.")
        st.warning(told, icon=":material/link_off:")
        return field.raw_default


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _number(text: str) -> Any:
    """A number where it is one, nothing for an empty text; else the text, which the check then names."""
    try:
        return float(text) if text.strip() else None
    except ValueError:
        return text
