"""What the Compare page reads, kept between reruns under the store's version. Computes nothing itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains.metrics import METRICS
from engine.results import marks, store
from engine.results.comparing import leakage, losses, pairings
from engine.results.comparing.headline import Headline
from engine.results.comparing.headline import headline as engine_headline
from engine.results.comparing.leakage import Leakage
from engine.results.comparing.losses import Why
from engine.results.imported.routing import ImportedRouting, route_imported
from engine.results.study.standing import clusters as newest
from engine.results.variants import outlays
from engine.show.persona.replies import Answered, answered
from engine.stats import routing
from engine.stats.compare import effects_of
from engine.stats.routing import Hindsight
from pages.shared import reads


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of the page. `margin` is in the metric's unit; `cluster` None stands for all personas."""

    metric: str
    split: str
    reference: str | None = None
    protocol: str | None = None
    across_protocols: bool = False
    margin: float = 0.0
    cluster: int | None = None


def found(ws: Workspace, asked: Asked) -> dict[str, Any]:
    """Return the comparison of every variant with the reference, over the personas asked for."""
    return _whole(ws, asked, margin=asked.margin) if asked.cluster is None else _within(ws, asked)


@reads.lasting(dict[str, Any])
def _within(ws: Workspace, asked: Asked) -> dict[str, Any]:
    members = _members(ws, asked) or frozenset()
    return pairings.compare_within(ws, _whole(ws, asked, margin=0.0), members, margin=asked.margin)


@reads.lasting(Headline, until=reads.with_looks)
def headline(ws: Workspace, asked: Asked) -> Headline:
    """Return what the comparison comes down to; a choice of val that nobody judged on test stays unjudged."""
    return engine_headline(ws, _whole(ws, asked, margin=0.0), compared=reads.compared)


@reads.lasting(Leakage | None)
def audit(ws: Workspace, asked: Asked, variant: str) -> Leakage | None:
    """Return where a variant's gain stands: on replies of her own train dialogues and elsewhere, by turn."""
    return leakage.audit(ws, _whole(ws, asked, margin=0.0), [variant])


def why(ws: Workspace, asked: Asked, variant: str) -> Why:
    """Return where a variant loses, reply by reply, over the personas asked for. Nobody may change it."""
    said = marks.path(ws)
    return _why(ws, asked, variant, marked=integrity.sha256(said) if said.exists() else "")


@reads.lasting(Why, cache=reads.SHARED)
def _why(ws: Workspace, asked: Asked, variant: str, *, marked: str) -> Why:
    """As of these marks."""
    return losses.why(ws, _whole(ws, asked, margin=0.0), variant, _members(ws, asked))


@reads.kept
def answers(
    ws: Workspace, asked: Asked, examples: tuple[str, ...], *, variant: str, against: str
) -> list[Answered]:
    """Return examples with the replies of a variant and of what it is compared with, in the order given."""
    found = _whole(ws, asked, margin=0.0)
    rows, dialogues = losses.examples_of(ws, found, (variant, against), examples)
    made = answered(rows, dialogues, reads.domain(ws), metric=asked.metric, reference=against)
    return sorted(made, key=lambda one: examples.index(one.example_id))


strangers = reads.kept(leakage.strangers)


@reads.shared
def by_persona(ws: Workspace, asked: Asked) -> pd.DataFrame:
    """Return one row a variant and persona of it: candidate, reference, difference (fractions).

    Shared by all sessions: not to be changed. A margin makes no difference to it.
    """
    paired = pairings.pairings(ws, _whole(ws, asked, margin=0.0), personas=_members(ws, asked))
    return pairings.differences(paired)


@reads.lasting(Hindsight)
def hindsight(ws: Workspace, asked: Asked, variants: tuple[str, ...], reference: str) -> Hindsight:
    """Return what the best of `variants` for each persona, chosen on these very scores, would gain."""
    held = by_persona(ws, replace(asked, margin=0.0))
    sign = METRICS[asked.metric].sign
    gains = {
        name: dict(zip(rows["persona_id"], sign * rows["difference"], strict=True))
        for name, rows in held[held["variant"].isin(variants)].groupby("variant", sort=False)
    }
    return routing.hindsight(gains, fallback=reference, personas=held["persona_id"].unique())


@reads.kept
def routing_of_published(ws: Workspace, asked: Asked, reference: str) -> ImportedRouting:
    """Return what routing is worth over a reference, on the import that is looked at."""
    return route_imported(ws, metric=asked.metric, fallback=reference, protocol=asked.protocol)


@reads.lasting(dict[str, float])
def true_gains(ws: Workspace, asked: Asked, variant: str) -> dict[str, float]:
    """Return each persona's gain by a variant with luck taken out; empty where that cannot be told."""
    members = _members(ws, asked)
    one = pairings.pairings(ws, _whole(ws, asked, margin=0.0), personas=members, variants=[variant])[variant]
    metric = METRICS[asked.metric]
    found = effects_of(one, higher_is_better=metric.higher_is_better is not False)
    if found is None or metric.higher_is_better is None:
        return {}
    return dict(zip(one.personas, found.effect.tolist(), strict=True))


@reads.kept
def clusters(ws: Workspace) -> Mapping[str, int]:
    """Return each persona's cluster by the newest clustering; empty where there is none that can be read."""
    try:
        return dict(newest(ws, reads.look(ws)))
    except EngineError:  # without a base model or a readable clustering there is nothing to filter by
        return {}


@reads.kept
def costs(ws: Workspace, *, split: str, protocol: str) -> dict[str, dict[str, float | None]]:
    """Return variant -> what it cost: parameters and training (seconds) with all it is built on, latency
    (seconds a reply)."""
    replies = store.reply_costs(ws, split=split, protocol=protocol).set_index("variant")["seconds"]
    seen = store.overview(ws)
    trained = outlays(seen.variants.values(), seen.origins)
    told: dict[str, dict[str, float | None]] = {}
    for name, one in seen.variants.items():
        seconds = replies.get(name)
        known = one.recipe.get("published") is None
        told[name] = {
            "parameters": float(trained[name].parameters) if known else None,
            "training": trained[name].seconds if known else None,
            "latency": None if seconds is None or pd.isna(seconds) else float(seconds),
        }
    return told


def _whole(ws: Workspace, asked: Asked, *, margin: float) -> dict[str, Any]:
    fields = asdict(replace(asked, margin=margin, cluster=None))
    return reads.compared(ws, **{name: value for name, value in fields.items() if value})


def _members(ws: Workspace, asked: Asked) -> frozenset[str] | None:
    """The personas of the cluster asked for; None for everybody."""
    if asked.cluster is None:
        return None
    return frozenset(name for name, number in clusters(ws).items() if number == asked.cluster)
