"""The controls of the Compare page, all of them in the address, and what they ask for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import SPLIT_WORDS
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.results.comparing.remarks import without_repeats
from engine.show.charts.personas import ranked
from pages.compare import reads as compare_reads
from pages.compare.reads import Asked
from pages.shared import addresses, frame, reads

PAGE = "compare"
choice = partial(frame.linked_choice, page=PAGE)

_KEPT = "compare_address"
_OWN = frozenset(
    {
        *("metric", "split", "reference", "protocol", "protocols", "cluster", "family", "margin"),
        *("view", "candidate", "sort", "from", "cost", "effect", "why", "example", "seeds"),
    }
)
_SPLITS = ("val", "test")  # it opens where choices are made
_PROTOCOLS = {"one": "One", "all": "All, unjudged"}
_POINTS, _OF_A_SCALE = ("0", "0.5", "1", "2", "5"), ("0", "0.05", "0.1", "0.2", "0.5")
_REFERENCE_HELP = "Every other variant is compared with this one, on the same examples."
_PERSONAS_HELP = (
    "Statistics over the personas of one cluster, paired in the same way. It is a reading, no verdict: "
    "nobody chose the cluster before the scores were seen."
)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What the page shows: the question, its answer, and how numbers of its metric are worded.

    `found` holds the rows shown (one family, where one is chosen); statistics are those of all that compete.
    """

    ws: Workspace
    asked: Asked
    found: Mapping[str, Any]
    metric: Metric

    @property
    def reference(self) -> str:
        return str(self.found["reference"])

    @property
    def in_points(self) -> bool:
        return self.metric.in_points

    @property
    def candidates(self) -> list[str]:
        """Everything but the reference that can be compared, best first and bounds last."""
        return [
            row["variant"]
            for row in self.found["rows"]
            if row["variant"] != self.reference and row["delta"] is not None
        ]

    @property
    def link(self) -> dict[str, str]:
        """What another page needs in its address to show the same scores."""
        return {name: str(self.found[name]) for name in ("metric", "split", "reference", "protocol")}

    def on_test(self, variant: str) -> reads.NotJudged:
        """What a press judges that asks test for one variant alone."""
        asked = {**self.link, "split": "test", "variants": (variant,), "bands": False}
        return reads.NotJudged(self.metric, [variant], asked)

    def row(self, variant: str) -> Mapping[str, Any]:
        """Return the comparison of one variant with the reference."""
        return next(row for row in self.found["rows"] if row["variant"] == variant)

    def table(self, variant: str) -> pd.DataFrame:
        """Return one row a persona of a variant, best first, as `table_of`."""
        held = compare_reads.by_persona(self.ws, self.asked)
        table = ranked(
            held[held["variant"] == variant],
            metric=self.metric,
            margin=self.asked.margin,
        )
        return table.assign(called=self._called(table))

    def _called(self, table: pd.DataFrame) -> list[str]:
        called = reads.names(self.ws)
        return [called.get(name, name) for name in table["persona_id"]]


def come_back() -> None:
    """Take up the address that the page was left with, when it is entered anew without one.

    The browser's way back brings the other page's parameters along: they go.
    """
    for name in set(st.query_params) - _OWN:
        del st.query_params[name]
    held = st.session_state.get(_KEPT)
    if held and not st.query_params and f"{PAGE}_metric" not in st.session_state:
        st.query_params.from_dict(held)


def keep_address() -> None:
    """Remember the address for whoever comes back from another page."""
    st.session_state[_KEPT] = st.query_params.to_dict()


def ask(ws: Workspace, protocols: pd.DataFrame) -> View:
    """Show the controls and return the comparison they ask for.

    Raises NotJudged where that would judge on test what nobody pressed for, NotComputed for a metric that is
    not there.
    """
    scored_on = [split for split in _SPLITS if (protocols["split"] == split).any()]
    with st.container(key="compare_asked"):
        columns = st.columns([2.8, 2.8, 1.9, 2.1, 1.8], vertical_alignment="bottom")
    shown = metrics.of_study(ws)
    with columns[0]:
        metric = choice("Metric", list(shown), name="metric", words=lambda name: shown[name].label)
    with columns[3]:
        split = choice("Split", scored_on, name="split", words=lambda name: SPLIT_WORDS[name], segmented=True)
    with columns[4]:
        more = st.popover("Options", icon=":material/tune:", width="stretch")
    asked = Asked(metric or next(iter(shown)), split or scored_on[0])
    asked = _under(ws, asked, protocols[protocols["split"] == asked.split])
    default = reads.choices_on(ws, metric=asked.metric, split=asked.split, protocol=asked.protocol)
    names = [row["variant"] for row in default["rows"] if not row_role.is_bound(row)]
    with columns[1]:
        reference = choice("Reference", names, name="reference", help=_REFERENCE_HELP)
    with columns[2]:
        cluster = _cluster(ws)
    with more:
        margin = _margin(shown[asked.metric])
        family = _family(default)
        is_folded = _is_folded(default)
    other = None if reference == default["reference"] else reference  # None: the answer is there already
    wanted = replace(asked, reference=other, margin=margin, cluster=cluster)
    found = compare_reads.found(ws, wanted)
    found = _of_family(found, family)
    if is_folded:  # a link to one of them shows it
        linked = str(st.query_params.get("candidate", ""))
        found = {**found, "rows": without_repeats(found["rows"], but=linked)}
    return View(ws, wanted, found, shown[wanted.metric])


def candidate(view: View) -> str:
    """Show the choice of the variant looked at, the best by default."""
    with st.container(width=480):
        return choice("Variant", view.candidates, name="candidate") or view.candidates[0]


def chosen_candidate(view: View) -> str:
    """Return the variant looked at where no choice is shown: by a click, by the address, else the best."""
    return addresses.linked("candidate", view.candidates, label="Variant")


def choose_candidate(name: str) -> None:
    """Look at another variant from here on; for callbacks."""
    frame.choose(PAGE, "candidate", name)
    addresses.point("candidate", name)


def choose_row(table: str, names: str) -> None:
    """Look at the variant of the row that is selected; `names` is the key of what stands in the rows."""
    rows, shown = st.session_state[table]["selection"]["rows"], st.session_state[names]
    if rows and rows[0] < len(shown):
        choose_candidate(shown[rows[0]])


def choose_section(name: str) -> None:
    """Show another section of the page; for callbacks."""
    frame.choose(PAGE, "view", name)


def _under(ws: Workspace, asked: Asked, protocols: pd.DataFrame) -> Asked:
    """Where there are several protocols: which one, and whether the others' variants are shown beside it."""
    first = reads.choices_on(ws, metric=asked.metric, split=asked.split)["protocol"]
    known = list(dict.fromkeys([first, *protocols["protocol"]]))
    if len(known) < 2:
        addresses.linked("protocol", known, label="Protocol")
        return asked
    told = reads.protocol_words(protocols)
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare_protocols_row"):
        protocol = choice(
            "Protocol", known, name="protocol", help="The settings that scores share.",
            words=lambda name: told[name],
        )  # fmt: skip
        shown = choice(
            "Variants of", list(_PROTOCOLS), name="protocols", segmented=True,
            words=lambda name: _PROTOCOLS[name],
            help="Variants scored under other settings can be shown beside, with what differs; never judged.",
        )  # fmt: skip
    return Asked(asked.metric, asked.split, None, protocol, shown == frame.ALL)


def _cluster(ws: Workspace) -> int | None:
    """The personas looked at; None for all. Without a clustering there is no choice."""
    sizes = Counter(compare_reads.clusters(ws).values())
    picked = choice(
        "Personas",
        [str(number) for number in sorted(sizes)],
        name="cluster",
        whole="All",
        words=lambda name: f"Cluster {name} ({sizes[int(name)]})",
        help=_PERSONAS_HELP if sizes else "Run the clustering to look at one cluster alone.",
    )
    return None if picked is None else int(picked)


def _margin(metric: Metric) -> float:
    """What a persona must gain to count as better, in the metric's unit."""
    picked = choice(
        "A persona is better by",
        list(_POINTS if metric.in_points else _OF_A_SCALE),
        name="margin",
        words=lambda name: "any difference" if name == "0" else f"more than {amount(metric, name)}",
        help="Smaller differences count as equal. Tests, intervals and verdicts do not change.",
    )
    return float(picked or 0) / metric.factor


def amount(metric: Metric, number: str) -> str:
    """Word a difference that can be chosen: "1 point", "0.5 points", "0.1"."""
    return f"{number}{metric.unit_words}" if number != "1" else f"1{metric.unit_words.removesuffix('s')}"


def _family(found: Mapping[str, Any]) -> str | None:
    families = sorted({row["family"] for row in found["rows"] if not row_role.is_reference(row)})
    told = "Show the variants of one family. Holm's correction stays over all that compete."
    return choice("Family", families, name="family", whole="All", help=told)


def _is_folded(found: Mapping[str, Any]) -> bool:
    """Whether repeats from other seeds stand in the means alone; no question where there are none."""
    if not any(map(row_role.is_repeat, found["rows"])):
        return False
    told = "A variant made from several seeds is told by their mean. Each seed can have a row beside it."
    picked = choice(
        "Other seeds", ["each"], name="seeds", whole="In the mean", words=lambda _: "Each beside", help=told
    )
    return picked is None


def _of_family(found: dict[str, Any], family: str | None) -> dict[str, Any]:
    if family is None:
        return found
    rows = [row for row in found["rows"] if row_role.is_reference(row) or row["family"] == family]
    return {**found, "rows": rows}


def competing(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows that compete: no reference, no bound, no repeat, not from another protocol."""
    return [row for row in rows if row_role.competes(row) and row["delta"] is not None]
