"""The experiments as cards: what each experiment asks, needs, makes and takes, and what it has brought.

By question they stand under what their family asks, folded; by time, in the order of what each takes now.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.types import Row
from engine.core.wording import about, count, spelled
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.results.comparing.scene import NotScored
from engine.runs.records import RunRecord
from engine.show.run_words import changed_words, title_of
from engine.stats.verdicts import BETTER, WORSE, verdict
from engine.strategies.costs import together, words
from engine.strategies.faults import way_in
from engine.strategies.plan import Plan, Seen, plan
from engine.strategies.spec import Experiment
from engine.strategies.sweep import SWEEPS, Sweep
from pages.shared import frame, launch, reads

_PAGE = "experiments"
_WIDE = 3
_LISTED = 6
_NOT_ITS_BEST = frozenset({row_role.REPEAT, row_role.GROUND})
_SPLIT = "val"  # choices are made on val; looking at test costs a look
# What a family asks; one that a user's own strategy names stands under its name.
_QUESTIONS = {
    "Without training": "What does the prompt alone bring?",
    "More data": "Would more dialogues of the same people help?",
    "Adapters": "Do weights of her own help, and how many?",
    "Prefixes": "Do a few trained positions do it as well?",
    "From profile and history": "Can one network make what is personal, also for newcomers?",
    "Clusters": "Is it enough to personalise groups of people?",
    "Merges": "Can trained adapters be combined instead of trained anew?",
    "Choosing and mixing": "Who should get which variant, or two at once?",
    "Steering": "Can replies be steered without training weights?",
    "Remote models": "What would a large model elsewhere reach?",
    "Bounds and controls": "How much is there to gain, and is the gain personal?",
}
_ORDERS = {"question": "By question", "time": "By what it takes now"}
_FEW = 6  # experiments that a search leaves are shown unfolded
_STANDS = ("all", "new", "done")
_STAND_WORDS = {"all": "All", "new": "Not run yet", "done": "Done"}
_VERDICTS = {
    BETTER: (":material/trending_up:", "green", "better"),
    WORSE: (":material/trending_down:", "orange", "worse"),
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says of an experiment: `reason` is why it cannot exist here, `best` its best on val.

    `awaited` are the runs that it builds on and that have not succeeded yet; `way` is the choice with which
    it can exist although its defaults cannot.
    """

    experiment: Experiment
    records: tuple[RunRecord, ...]
    planned: Plan | None
    reason: str | None
    best: Row | None
    awaited: frozenset[str] = frozenset()
    way: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return any(record.state == "succeeded" for record in self.records)


def show(ws: Workspace) -> None:
    """Show every experiment as a card, by question or by time, with filters in the address."""
    seen = reads.look(ws)
    found, reference = results(ws)
    cards = [_card(ws, entry, seen, found) for entry in seen.known.values()]
    shown, order = _filtered(cards)
    if not shown:
        st.info("No experiment is like this. Choose another family, or search for less.")
    draw = partial(_draw, reference=reference, metric=metrics.primary(ws))
    if order == "time":
        _grid(sorted(shown, key=_takes), draw)
        return
    folded = len(shown) > _FEW
    for group in _groups(shown):
        own = [card for card in shown if card.experiment.group == group]
        with _fold(_family(group, own), group, expanded=not folded) as fold:
            if fold.open:
                _grid(own, draw)
    if len(shown) == len(cards):
        names = ", ".join(sweep.title for sweep in SWEEPS.values())
        label = f"**What does one setting change?** Sweeps: {frame.plain(names)}"
        with _fold(label, "sweeps", expanded=False) as fold:
            if fold.open:
                _grid(list(SWEEPS.values()), _sweep)


def _fold(label: str, name: str, *, expanded: bool) -> Any:
    """A part that is drawn once it is open."""
    key = f"experiments_fold_{name}_{expanded}"
    return st.expander(label, expanded=expanded, key=key, on_change="rerun")


def _family(group: str, own: Sequence[Card]) -> str:
    """A family's question, how much of it is done, and the least that a next one takes."""
    done = sum(card.is_done for card in own)
    left = [card for card in own if not card.is_done and _takes(card)[0] == 0]
    quickest = min((_takes(card)[1] for card in left), default=None)
    told = "all done" if done == len(own) else f"{done} of {len(own)} done"
    more = f", the next takes {about(quickest)}" if quickest else ""
    name = frame.plain(group)
    question = f"**{_QUESTIONS[group]}** {name}" if group in _QUESTIONS else f"**{name}**"
    return f"{question}: {told}{more}"


def _takes(card: Card) -> tuple[int, float]:
    """Where a card stands by what it would take now: known times first, then unknown, done, impossible."""
    if card.planned is None:
        return 3, 0.0
    if card.planned.target.state == "succeeded":
        return 2, 0.0
    seconds = card.planned.estimate_seconds
    return (1, 0.0) if seconds is None else (0, seconds)


def results(ws: Workspace) -> tuple[dict[str, Row], str]:
    """Return the best result on val of each experiment, by name, and what they are compared with.

    A repeat from another seed is none: of seeds nobody chooses the best.
    """
    try:
        found = reads.compared(ws, split=_SPLIT)
    except NotScored:
        return {}, ""
    best: dict[str, Row] = {}
    sign = metrics.primary(ws).sign
    for row in found["rows"]:
        if row["role"] in _NOT_ITS_BEST:
            continue
        name = str(row["run_id"]).rpartition("-")[0]
        if row["mean"] is not None and (name not in best or sign * row["mean"] > sign * best[name]["mean"]):
            best[name] = row
    return best, str(found["reference"])


def already(ws: Workspace, experiment: Experiment, seen: Seen) -> None:
    """Show what is there of an experiment: its best result, and its runs."""
    records = [one for one in seen.records if one.experiment == experiment.name]
    if not records:
        st.caption("No run of it yet.")
        return
    found, reference = results(ws)
    with st.container(border=True, gap="small"):
        st.markdown("**Already there**")
        if experiment.name in found:
            _result(found[experiment.name], reference, metrics.primary(ws))
        for record in sorted(records, key=lambda one: -one.order)[:_LISTED]:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                frame.run_link(record.run_id)
                frame.state_badge(record.state)
                st.caption(frame.plain(changed_words(record) or "defaults"), width="content")
        st.page_link(
            frame.RUNS,
            label=f"{count(len(records), 'run')} of it, on the Runs page",
            icon=":material/timeline:",
            query_params={"experiment": experiment.name},
        )


def back() -> None:
    """Show the way back to all experiments."""
    with st.container(key="page_back"):
        left = st.button(
            "All experiments", icon=":material/arrow_back:", type="tertiary", key="experiments_back"
        )
    if left:
        st.switch_page(frame.EXPERIMENTS)


def _filtered(cards: Sequence[Card]) -> tuple[list[Card], str]:
    """The cards that the filters leave, and the order that they are shown in."""
    with st.container(key="experiments_asked"):
        columns = st.columns([3, 3, 2, 3], vertical_alignment="bottom")
    with columns[0]:
        order = frame.linked_choice(
            "Order", list(_ORDERS), page=_PAGE, name="order", segmented=True, words=lambda one: _ORDERS[one]
        )
    with columns[1]:
        stands = frame.linked_choice(
            "Show", _STANDS, page=_PAGE, name="show", segmented=True, words=lambda one: _STAND_WORDS[one]
        )
    with columns[2]:
        family = frame.linked_choice("Family", _groups(cards), page=_PAGE, name="family", whole="All")
    with columns[3]:
        query = st.text_input(
            "Search", key="find", bind="query-params", placeholder="adapter, prompt, cluster ...",
            icon=":material/search:",
        )  # fmt: skip
    found = [
        card
        for card in cards
        if family in (None, card.experiment.group)
        and (stands in (None, "all") or card.is_done == (stands == "done"))
        and _mentions(card.experiment, query or "")
    ]
    return found, order or "question"


def _mentions(experiment: Experiment, query: str) -> bool:
    told = f"{experiment.name} {experiment.title} {experiment.question} {experiment.makes}".lower()
    return all(word in told for word in query.lower().split())


def _groups(cards: Sequence[Card]) -> list[str]:
    """The headings, as the registry first names them."""
    return list(dict.fromkeys(card.experiment.group for card in cards))


def _card(ws: Workspace, experiment: Experiment, seen: Seen, found: Mapping[str, Row]) -> Card:
    records = tuple(one for one in seen.records if one.experiment == experiment.name)
    planned, reason, way = None, None, dict[str, Any]()
    try:
        planned = plan(ws, experiment.name, seen=seen)
    except EngineError as error:
        reason, way = error.message.removeprefix("Not applicable here: "), way_in(experiment, seen.ground)
        if way:
            reason = f"{reason} With {launch.spelled_choice(way)} it can be."
    upstream = set(planned.target.spec.upstream.values()) if planned else set()
    awaited = upstream & {one.run_id for one in seen.records if one.state != "succeeded"}
    return Card(experiment, records, planned, reason, found.get(experiment.name), frozenset(awaited), way)


def _grid(held: Sequence[T], draw: Callable[[T], None]) -> None:
    for start in range(0, len(held), _WIDE):
        for column, one in zip(st.columns(_WIDE), held[start : start + _WIDE], strict=False):
            with column, st.container(border=True, height="stretch", gap="small"):
                draw(one)


def _draw(card: Card, *, reference: str, metric: Metric) -> None:
    experiment = card.experiment
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _door(experiment.title, experiment=experiment.name, **card.way)
        _standing(card)
    st.markdown(experiment.question)
    if card.best is not None:
        _result(card.best, reference, metric)
    if card.reason is not None:
        st.caption(f":material/block: {frame.plain(card.reason)}")
        return
    if card.planned is not None and card.planned.obstacle is not None:
        st.caption(f":material/key_off: {frame.plain(card.planned.obstacle.message)}")
    st.caption("  \n".join(frame.plain(line) for line in _lines(card)))


def _door(title: str, **query: str) -> None:
    """The title of a card, which opens what it is about."""
    name = next(iter(query.values()))
    if st.button(
        f"**{title}**",
        type="tertiary",
        icon=":material/chevron_right:",
        icon_position="right",
        key=f"experiments_open_{name}",
    ):
        st.switch_page(frame.EXPERIMENTS, query_params=query)


def _standing(card: Card) -> None:
    """Where the experiment stands here: under way, done so often, ended badly, or nothing at all."""
    states = [record.state for record in card.records]
    for state in ("running", "queued"):
        if state in states:
            frame.state_badge(state)
            return
    if card.is_done:
        runs = states.count("succeeded")
        st.badge(
            "Done" if runs == 1 else f"Done, {runs} runs", icon=frame.STATE_ICONS["succeeded"], color="green"
        )
    elif states:
        frame.state_badge(max(card.records, key=lambda one: one.order).state)


def _lines(card: Card) -> list[str]:
    """Makes, needs and takes, a line each."""
    assert card.planned is not None
    needed = [run for run in card.planned.runs if run.purpose == "upstream"]
    missing = [run for run in needed if run.state != "succeeded"]
    lines = [f"Makes {card.experiment.makes}"]
    if missing:
        needs = ", ".join(title_of(run.spec.experiment, frame.workspace()) for run in missing)
        known = together(run.left for run in missing)
        takes = f", {known.words}" if known is not None else ""
        lines.append(f"Needs {needs}{takes}, run first")
    elif card.planned.target.spec.upstream:
        how = "under way" if card.awaited else "done"
        names = (run_id.rpartition("-")[0] for run_id in card.planned.target.spec.upstream.values())
        built_on = ", ".join(title_of(name, frame.workspace()) for name in names)
        lines.append(f"Builds on {built_on}, {how}")
    lines.append(_time(card))
    return lines


def _time(card: Card) -> str:
    assert card.planned is not None
    target, whole = card.planned.target, card.planned.left
    if target.state == "succeeded":
        return "Done with the defaults" + (f", a run takes {target.left.words}" if target.left else "")
    if target.left is None or whole is None:
        return words(target.left).capitalize()
    more = "" if whole.seconds == target.left.seconds else f", {whole.words} with what is missing"
    return f"{target.left.words.capitalize()}{more}"


def _result(row: Row, reference: str, metric: Metric) -> None:
    """The best result on val, as a difference with its interval."""
    name, unit = str(row["variant"]), metric.unit_words
    if name == reference:
        told = f"The reference: {metric.level(row['mean'])}{unit} on validation"
        st.badge(told, icon=":material/flag:", color="gray")
        return
    if row["delta"] is None:
        return
    bound = row_role.is_bound(row)
    word = verdict(row, higher_is_better=metric.higher_is_better)
    icon, colour, _ = _VERDICTS.get(word, (":material/help:", "gray", ""))
    if bound:
        icon, colour = ":material/diamond:", "gray"
    told = f"{metric.change(row['delta'])}{unit} over {frame.plain(row.get('built_on') or reference)}"
    st.badge(
        f"{told} on validation" + (", a bound" if bound else ""),
        icon=icon,
        color=colour,  # type: ignore[arg-type]
    )
    st.caption(frame.plain(f"{metric.spread(row['ci_low'], row['ci_high'])}, 95 % interval of {name}"))


def _sweep(sweep: Sweep) -> None:
    _door(sweep.title, study=sweep.name)
    st.markdown(sweep.question)
    names = " and ".join(title_of(name) for name in sweep.experiments)
    values = spelled(list(sweep.values))
    st.caption(frame.plain(f"{names}, {sweep.parameter.replace('_', ' ')} {values}"))
