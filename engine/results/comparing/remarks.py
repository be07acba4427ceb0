"""What a reader must know before believing a table: its warnings, and what is not there at all.

Owns the wording of what a comparison lacks: scores in a metric, personas that have it, training. Judges
nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from engine.core import cuts
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.types import Row
from engine.core.wording import count
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results.checks import failed_words
from engine.results.comparing import row_role
from engine.results.comparing.protocol_guard import base_words, told
from engine.results.comparing.scene import Scene
from engine.runs.runfolder import declared
from engine.strategies import scorer
from engine.strategies.budgets import own_budget

_SIDES = (("candidate", "reference"), ("reference", "candidate"))
_MOST_NAMED = 5


def too_few(defined: Mapping[str, int], metric: Metric) -> str | None:
    """Return why a metric is no headline, None where it is: fewer than half of the personas have it."""
    if 2 * defined["personas"] >= defined["of"]:
        return None
    whom = f"{defined['personas']} of {count(defined['of'], 'persona')}"
    return f"{metric.label} is defined for {whom}, fewer than half: it decides nothing."


class NotComputed(EngineError):
    """A metric not computed for replies that are there (`can_be`), or that a publication leaves out."""

    def __init__(self, metric: Metric, variant: str, *, can_be: bool) -> None:
        hint = _rescore(metric) if can_be else "The published files do not say it: choose another metric."
        super().__init__(f"{variant} is not scored in {metric.label}.", hint)
        self.metric, self.can_be = metric, can_be


def _rescore(metric: Metric) -> str:
    return f"Compute it for the replies that are there: python -m engine rescore --metric {metric.name}"


def warnings(
    ws: Workspace,
    scene: Scene,
    rows: Sequence[Row],
    shown: Sequence[Row],
    *,
    unscored: Sequence[str],
    defined: Mapping[str, int],
    unheld: Sequence[str],
) -> list[str]:
    """Return the warnings of a table, a line each: `rows` are all of it, `shown` those that are asked for.

    `unscored` names variants without scores in the metric, `unheld` says what the second metric lacks.
    """
    is_ours = not scene.fields[scene.protocol].get("imported")
    found = [
        *_of_protocol(scene, rows, unscored),
        too_few(defined, scene.metric),
        *unheld,
        *failed_words(ws, scorer=False),
        scorer.warning(ws, scene.metric) if is_ours else None,
        *_uneven(shown),
        *_fewer_seeds(scene, shown),
        *_cut(ws, shown),
        *_unturned(ws, shown),
    ]
    return [line for line in found if line]


def _of_protocol(scene: Scene, rows: Sequence[Row], unscored: Sequence[str]) -> list[str]:
    """What a reader must know: what the protocol itself says, who is left out, and what differs in rows from
    elsewhere."""
    found = [str(one) for one in scene.fields[scene.protocol].get("warnings", ())]
    if not scene.on_todays_base:
        words = base_words(scene.fields[scene.protocol])
        found.append(f"Made with another base model ({words}) than the workspace has today.")
    if scene.metric.version not in ("", METRICS[scene.metric.name].version):
        found.append(
            f"{scene.metric.label} is shown as version {scene.metric.version} defined it, today's is"
            f" {METRICS[scene.metric.name].version}. {_rescore(scene.metric)}"
        )
    if chosen := [row["variant"] for row in rows if row["role"] == row_role.IN_SAMPLE]:
        found.append(
            f"Scored on the val that it chose by, so it looks better here and does not compete:"
            f" {', '.join(chosen)}. Run it again: its val is cross-fitted now."
        )
    if unscored:
        names = ", ".join(unscored)
        found.append(f"Not scored in {scene.metric.label}, so left out: {names}. {_rescore(scene.metric)}")
    for protocol in dict.fromkeys(row["protocol"] for row in rows if row["role"] == row_role.ELSEWHERE):
        names = ", ".join(row["variant"] for row in rows if row["protocol"] == protocol)
        by = ", ".join(sorted({row["paired_by"] for row in rows if row["protocol"] == protocol}))
        words = told(scene.differences(protocol))
        found.append(f"Another protocol, so no verdict: {names}. What differs: {words}. Paired by {by}.")
    return found


def _uneven(rows: Sequence[Row]) -> list[str]:
    """Who is compared on some of the examples only: its mean and that of the reference's row are then of
    different ones."""
    told = []
    for row in rows:
        left_out = max(row[f"n_only_{side}"] + row[f"n_null_{other}"] for side, other in _SIDES)
        if row["n_paired"] and left_out and row["role"] != row_role.ELSEWHERE:
            told.append(f"{row['variant']} ({row['n_examples']:,} of {row['n_examples'] + left_out:,})")
    if not told:
        return []
    more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    names = f"{', '.join(told[:_MOST_NAMED])}{more}"
    return [f"Compared on the examples that both have a value for, so not by the means beside them: {names}."]


def _fewer_seeds(scene: Scene, rows: Sequence[Row]) -> list[str]:
    """Who is compared over some of the seeds only, its own or the reference's."""
    first, name = scene.reference.variant_id, scene.reference.variant
    here = [one.variant_id for one in scene.under(scene.protocol)]
    of = {one: scene.repeated.get(one, one) for one in here}
    held, told = Counter(of.values()), []
    for row in (row for row in rows if row_role.competes(row)):
        own, against = (set(side) for side in zip(*row["compared"], strict=True))
        if len(own) < held[row["variant_id"]]:
            told.append(f"{row['variant']} ({len(own)} of its {held[row['variant_id']]})")
        elif {of[one] for one in against} == {first} and len(against) < held[first]:
            told.append(f"{row['variant']} ({len(against)} of {name}'s {held[first]})")
    if not told:
        return []
    names = ", ".join(told)
    return [
        f"Compared seed beside seed, over fewer than there are: {names}. The means beside may be of more."
    ]


def _cut(ws: Workspace, rows: Sequence[Row]) -> list[str]:
    """What the base's window cut off in the runs that made what is shown."""
    found = []
    for run_id in dict.fromkeys(row["run_id"] for row in rows):
        if words := cuts.told(declared(ws.run_folder(run_id), "summary", {})):
            names = ", ".join(row["variant"] for row in rows if row["run_id"] == run_id)
            found.append(f"Too long for the base's window, {names}: {words}.")
    return found


def _unturned(ws: Workspace, rows: Sequence[Row]) -> list[str]:
    """Which variants had not come to their best epoch when their training ended."""
    early = []
    for row in rows:
        budget = own_budget(ws, row["run_id"])
        if budget.warning:
            of = f" ({budget.unturned:,} of {count(budget.judged, 'adapter')})" if budget.judged > 1 else ""
            early.append(f"{row['variant']}{of}")
    if not early:
        return []
    return [
        f"Perhaps trained too little, the best epoch was the last: {', '.join(early)}. Allow more epochs."
    ]


def without_repeats(rows: Sequence[Mapping[str, Any]], *, but: str = "") -> list[Mapping[str, Any]]:
    """Return the rows without repeats from other seeds, which the means hold; `but` one of them stays.

    What a variant was made with is told where another has its name still.
    """
    kept = [row for row in rows if not row_role.is_repeat(row) or row["variant"] == but]
    names = Counter(row["variant"].split("@")[0] for row in kept)
    return [{**row, "settings": ""} if names[row["variant"]] == 1 else row for row in kept]
