"""What pages read, kept between reruns by the one cache there is: until the results change.

Filters are applied after the load; no connection and no model is ever kept.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pandas as pd
import streamlit as st

from engine.core import kept as disk
from engine.core.errors import EngineError
from engine.core.forms import WholeCard
from engine.core.kept import kept as on_disk
from engine.core.machine import read_only
from engine.core.paths import Workspace, read_json
from engine.core.types import Dialogue
from engine.core.wording import SPLIT_WORDS as SPLIT_WORDS
from engine.core.wording import count
from engine.data import load_dataset, load_splits
from engine.data.dataset import contents, load_persona, load_personas
from engine.data.dataset import dialogues_of as load_dialogues
from engine.data.portrait import Portrait, portrait
from engine.data.statistics import subject_shares
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.registry import domain_of
from engine.results import store
from engine.results.comparing import frozen, looks, row_role
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.lasting import rests_on, results_of
from engine.results.comparing.protocol_guard import base_words
from engine.results.comparing.scene import set_scene
from engine.results.study import autopilot
from engine.serve.conversation import choices
from engine.strategies.plan import Seen
from engine.strategies.plan import look as plan_look
from pages.shared import aside
from pages.shared.drawing import once_a_drawing

P = ParamSpec("P")
R = TypeVar("R")


_COPIED = st.cache_data(ttl=3600, max_entries=128, show_spinner=False)
SHARED = st.cache_resource(ttl=3600, max_entries=8, show_spinner=False)
_COMPARISONS = st.cache_resource(ttl=3600, max_entries=128, show_spinner=False)


@once_a_drawing
def version(ws: Workspace) -> str:
    """Return what changes with the results, and with the definition of a metric; looked up once a drawing."""
    return results_of(ws)


@once_a_drawing
def _data(ws: Workspace) -> str:
    """What changes with the data, and with what it is about."""
    return " ".join((domain(ws).identity, *contents(ws)))


def kept(
    function: Callable[Concatenate[Workspace, P], R],
    *,
    cache: Any = _COPIED,
    version: Callable[[Workspace], str] = version,
) -> Callable[Concatenate[Workspace, P], R]:
    """Keep what a function of a workspace returns until its results change; each reader gets a copy."""

    @functools.wraps(function)
    def read(root: str, version: str, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(Workspace(Path(root)), *args, **kwargs)

    del read.__wrapped__  # its parameters are its own: Streamlit looks at them
    keeper = cache(read)

    @functools.wraps(function)
    def asked(ws: Workspace, *args: P.args, **kwargs: P.kwargs) -> R:
        return keeper(str(ws.root), version(ws), *args, **kwargs)

    return asked


def shared(function: Callable[Concatenate[Workspace, P], R]) -> Callable[Concatenate[Workspace, P], R]:
    """As `kept`, for large tables: all sessions read one object, and nobody may change it."""
    return kept(function, cache=SHARED)


_PAGES = disk.code_of(Path(__file__).resolve().parents[1])
_MOST = 64  # answers of one function on disk: the oldest goes


def lasting(
    form: Any, *, until: Callable[[Workspace], str] = version, cache: Any = _COPIED
) -> Callable[[Callable[Concatenate[Workspace, P], R]], Callable[Concatenate[Workspace, P], R]]:
    """As `kept`, and on disk as a record of `form`: for what takes long and rests on results alone.

    The next process then reads it, as long as nothing that results rest on is another. `cache` may be SHARED,
    for what is large and nobody may change. Raises aside.Underway where it takes its time.
    """

    def kept_so(function: Callable[Concatenate[Workspace, P], R]) -> Callable[Concatenate[Workspace, P], R]:
        @functools.wraps(function)
        def read(ws: Workspace, *args: P.args, **kwargs: P.kwargs) -> R:
            asked = repr((function.__module__, function.__qualname__, args, sorted(kwargs.items())))
            kind = function.__name__.strip("_")
            name, made_from = f"{kind}-{hashlib.sha256(asked.encode()).hexdigest()[:16]}", (_PAGES, asked)
            found: R | None = disk.held(ws, name, (*made_from, *rests_on(ws, version(ws))), form)
            if found is None:  # what is made now is of what there is now, later than the drawing began
                now = (*made_from, *rests_on(ws, results_of(ws)))
                disk.make_room(ws, kind, most=_MOST)
                found = aside.made(
                    ws, (str(ws.root), name, *now),
                    lambda: disk.on_disk(ws, name, now, form, lambda: function(ws, *args, **kwargs)),
                )  # fmt: skip
            return found

        return kept(read, cache=cache, version=until)

    return kept_so


def _with_plans(ws: Workspace) -> str:
    return f"{version(ws)} {frozen.size(ws)}"


def with_looks(ws: Workspace) -> str:
    """What changes with the results, and with what was judged on test."""
    return f"{version(ws)} {looks.size(ws)}"


_compared = lasting(dict[str, Any], until=_with_plans, cache=_COMPARISONS)(compare_variants)
scores, example_rows, variants = kept(store.score_table), kept(store.example_rows), kept(store.variants)
missing = kept(store.missing)


@lasting(dict[str, list[Any]])
def _protocols(ws: Workspace) -> dict[str, list[Any]]:
    return store.protocols(ws).to_dict("list")


def protocols(ws: Workspace) -> pd.DataFrame:
    """Return one row a protocol and split, as `store.protocols` does."""
    return pd.DataFrame(_protocols(ws))


dataset, splits, domain = load_dataset, load_splits, domain_of  # the first two are kept by the engine
personas, persona = load_personas, load_persona


@once_a_drawing
def look(ws: Workspace) -> Seen:
    """Return what a plan is made from, looked up once a drawing."""
    return plan_look(ws)


class NotJudged(EngineError):
    """Test is asked for verdicts that nobody has seen yet: `waiting` names the variants, `asked` the question
    (of `compare_variants`)."""

    def __init__(self, metric: Metric, waiting: Sequence[str], asked: Mapping[str, Any]) -> None:
        super().__init__(f"{', '.join(waiting)}: not judged on test yet in {metric.named}.")
        self.metric, self.waiting, self.asked = metric, tuple(waiting), dict(asked)


def compared(ws: Workspace, **asked: Any) -> dict[str, Any]:
    """Return a comparison as `compare_variants` does, kept; what it shows of test was judged by a press.

    All sessions read one object, and nobody may change it. No page comes to test by another way. Raises
    NotJudged where variants that val can choose wait for theirs.
    """
    if asked.get("split", "test") == "test":
        metric = metrics.chosen(ws, asked.get("metric"))
        if waiting := _unjudged(ws, metric, asked):
            raise NotJudged(metric, waiting, asked)
    return _compared(ws, **asked)


def _unjudged(ws: Workspace, metric: Metric, asked: Mapping[str, Any]) -> list[str]:
    """The variants asked for whose scores on test nobody saw in this metric yet; reads val alone.

    None where test alone is scored, where only a reader is here, who leaves no record, and where neither
    direction is better.
    """
    if read_only(ws) or metric.higher_is_better is None:
        return []
    reference = asked.get("reference")
    protocol, tested = _under(ws, "test", asked.get("protocol"), reference)
    try:
        on_val = _compared(ws, metric=metric.name, split="val", reference=reference, protocol=protocol)
    except EngineError:  # val is not scored in this metric or under this protocol: nothing is chosen there
        return []
    known = {(one.variant_id, one.metric) for one in looks.seen(ws, looks.at(on_val))}
    wanted = tested.intersection(asked.get("variants") or tested)
    return [
        row["variant"]
        for row in on_val["rows"]
        if row_role.competes(row)
        and row["variant"] in wanted
        and (row["variant_id"], metric.name) not in known
    ]


@lasting(tuple[str, frozenset[str]])
def _under(
    ws: Workspace, split: str, protocol: str | None, reference: str | None = None
) -> tuple[str, frozenset[str]]:
    """The protocol that a comparison on a split is made under, and the variants scored there."""
    scene = set_scene(ws, metric=None, split=split, protocol=protocol, reference=reference)
    return scene.protocol, frozenset(one.variant for one in scene.under(scene.protocol))


def choices_on(ws: Workspace, *, metric: str, split: str, protocol: str | None = None) -> dict[str, Any]:
    """Return the comparison from which a page takes what can be chosen on a split, the default first: that
    of val, where it is scored under the same protocol, so that choosing looks at nothing."""
    if split == "test":
        protocol, _ = _under(ws, split, protocol)
        known = protocols(ws)
        split = "val" if "val" in set(known.loc[known["protocol"] == protocol, "split"]) else split
    asked = {} if protocol is None else {"protocol": protocol}
    return compared(ws, metric=metric, split=split, **asked)


def is_published(ws: Workspace, protocol: str) -> bool:
    """Say whether a protocol's scores were imported: one mean a persona."""
    known = protocols(ws).set_index("protocol")["fields"]
    return bool(known.get(protocol, {}).get("imported"))


def protocol_words(protocols: pd.DataFrame) -> dict[str, str]:
    """Word each protocol for a choice: how many variants it has, and where they come from if that differs."""
    bases = {
        name: "published elsewhere" if fields.get("imported") else f"base {base_words(fields)}"
        for name, fields in zip(protocols["protocol"], protocols["fields"], strict=True)
    }
    several = len(set(bases.values())) > 1
    return {
        name: f"{name}: {count(number, 'variant')}" + (f", {bases[name]}" if several else "")
        for name, number in zip(protocols["protocol"], protocols["variants"], strict=True)
    }


def card(ws: Workspace) -> dict[str, Any]:
    """Return the dataset's card."""
    return read_json(ws.dataset / "card.json", WholeCard)


def dialogues_of(ws: Workspace, persona_id: str) -> list[Dialogue]:
    """Return a persona's dialogues in time."""
    return list(load_dialogues(ws, persona_id))


def _of_data(function: Callable[[Workspace], R]) -> Callable[[Workspace], R]:
    """As `kept`, for what stays the same while the data does."""
    return kept(function, version=_data)


def _large_of_data(function: Callable[[Workspace], R]) -> Callable[[Workspace], R]:
    """The same for what grows with the personas: all sessions read one object, and nobody may change it."""
    return kept(function, cache=SHARED, version=_data)


@_of_data
def circumstances(ws: Workspace) -> dict[str, list[Any]]:
    """Return what each circumstance that a prompt shows can be, as `conversation.choices`."""
    about = domain(ws)
    return on_disk(
        ws, "circumstances", (about.identity, *contents(ws)), dict[str, list[Any]],
        lambda: choices(about.facts(dialogue.meta) for dialogue in dataset(ws).dialogues),
    )  # fmt: skip


@_large_of_data
def about(ws: Workspace) -> Portrait:
    """Return the words, sizes, scripts and places of the personas, whatever the domain."""
    return on_disk(ws, "portrait", contents(ws), Portrait, lambda: portrait(dataset(ws), splits(ws)))


def names(ws: Workspace) -> dict[str, str]:
    """Return what each persona is called: the id, and the first name where her character text gives one.

    None where the data cannot be read: ids do then, and what needs the data says what is wrong with it.
    """
    try:
        return _names(ws)
    except EngineError:
        return {}


@_large_of_data
def _names(ws: Workspace) -> dict[str, str]:
    return on_disk(
        ws, "names", contents(ws)[:1], dict[str, str],
        lambda: {one.persona_id: one.called for one in load_personas(ws)},
    )  # fmt: skip


def called(ws: Workspace, persona_id: str) -> str:
    """Return what a persona is called; published ones have an id alone."""
    return names(ws).get(persona_id, persona_id)


def walking(ws: Workspace) -> autopilot.Autopilot | None:
    """Return the autopilot while it walks; None where its state is torn, as its box on Study says."""
    try:
        found = autopilot.status(ws)
    except EngineError:
        return None
    return found if found is not None and found.state == "walking" else None


def of_subjects(ws: Workspace) -> tuple[str, ...]:
    """What the subjects of replies are read from."""
    return domain(ws).identity, *contents(ws)


@_of_data
def subjects(ws: Workspace) -> dict[str, float]:
    """Return what replies act on, with the share of the replies that do; {} where that cannot be told."""
    return on_disk(
        ws, "subjects", of_subjects(ws), dict[str, float],
        lambda: subject_shares(dataset(ws).dialogues, domain(ws)),
    )  # fmt: skip
