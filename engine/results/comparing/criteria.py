"""The study's success criteria, and what a variant still lacks. Owns the bands and their wording; pure.

Every band is judged against the unified variant on the same personas. Its mean is asked for as a gain over
unified (the study's own distance from its unified, 0.8214) and, for the study's own numbers, as an absolute
value. Values are fractions.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from engine.core.wording import count, p_value, percent, points, signed_points
from engine.domains.metrics import METRICS
from engine.stats.co_primary import DOWN, HELD, UP, Beside, beside_words
from engine.stats.co_primary import standing as standing_of
from engine.stats.levels import ALPHA, LOST, NOISE

UNIFIED_OF_THE_STUDY: Final = 0.8214
PER_PERSONA: Final = "per-persona"
DECIDES: Final = "embedding_similarity"

Measured = Literal["mean", "absolute mean", "share improved", "p", "catastrophic", "metric"]


@dataclass(frozen=True, slots=True)
class Band:
    """One named level of success. `absolute` is the study's mean; None: a condition is not asked for.

    Every level asks for a gain that is more than chance (p below `alpha`, corrected for the number of
    variants): a mean above 0 alone is reached by luck; and, as a verdict does, that the domain's second
    primary metric is no worse. `all_up` asks for the further metrics that the domain
    names to rise as well, each by the same test.
    """

    name: str
    title: str
    absolute: float
    share_improved: float | None = None
    alpha: float = ALPHA
    fewer_catastrophic: bool = False
    all_up: bool = False

    @property
    def gain(self) -> float:
        """How far over unified the mean must be."""
        return round(self.absolute - UNIFIED_OF_THE_STUDY, 6)


BANDS: Final[tuple[Band, ...]] = (
    Band("above-unified", "Above unified", UNIFIED_OF_THE_STUDY),
    Band("good", "Good", 0.84),
    Band(
        "minimum", "Minimum viable", 0.85,
        share_improved=0.60, fewer_catastrophic=True,
    ),
    Band("excellent", "Excellent", 0.87),
    Band(
        "stretch", "Stretch", 0.88,
        share_improved=0.80, fewer_catastrophic=True, all_up=True,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """One variant against unified. `gains` maps the further metrics that must rise to their difference.

    `share_improved` is that of the personas who truly gain, by a model of their differences, where there is
    one; `counted_share` counts those who scored higher. `p` is Holm's where there is one; `p_of_gains` are
    those of `gains`. `per_persona_lost` is the share of personas that lose more than ten
    points under per-persona LoRA, None where that is not scored; `lost` is the variant's own. `beside` is the
    domain's second primary metric, where it has one.
    """

    variant: str
    mean: float | None
    gain: float | None
    share_improved: float | None
    p: float | None
    lost: int | None
    n_personas: int
    per_persona_lost: float | None
    gains: Mapping[str, float | None]
    counted_share: float | None = None
    p_of_gains: Mapping[str, float | None] = field(default_factory=dict)
    beside: Beside | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a band: what is wanted, what was found, what is missing (0 when met).

    `met` is None where it cannot be said, with the reason in `words`.
    """

    kind: Measured
    metric: str | None
    wanted: float | None
    found: float | None
    missing: float | None
    met: bool | None
    words: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A band and whether it is reached: over unified (`met`) and with the study's own value (`met_absolute`).

    None means that a condition cannot be judged and none is failed.
    """

    band: str
    title: str
    gain: float
    absolute: float
    met: bool | None
    met_absolute: bool | None
    conditions: tuple[Condition, ...]
    absolute_mean: Condition

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not met or cannot be said, in words."""
        return tuple(one.words for one in self.conditions if not one.met)

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values, `missing` included."""
        return {**asdict(self), "missing": list(self.missing)}


def judge(standing: Standing, bands: tuple[Band, ...] = BANDS) -> list[Judged]:
    """Return every band for one variant, from the lowest mean to the highest."""
    return [_judge(standing, band) for band in bands]


def _judge(standing: Standing, band: Band) -> Judged:
    mean = _mean("mean", band.gain, standing.gain)
    absolute = _mean("absolute mean", band.absolute, standing.mean)
    others = [
        *([_share(band.share_improved, standing)] if band.share_improved is not None else []),
        _significance(band.alpha, standing),
        *([_catastrophic(standing)] if band.fewer_catastrophic else []),
        *(_also_up(metric, standing, band.alpha) for metric in standing.gains if band.all_up),
        *([] if standing.beside is None else [_held(standing.beside)]),
    ]
    return Judged(
        band=band.name,
        title=band.title,
        gain=band.gain,
        absolute=band.absolute,
        met=_all([mean, *others]),
        met_absolute=_all([absolute, *others]),
        conditions=(mean, *others),
        absolute_mean=absolute,
    )


def _all(conditions: list[Condition]) -> bool | None:
    if any(one.met is False for one in conditions):
        return False
    return None if any(one.met is None for one in conditions) else True


def _mean(kind: Measured, wanted: float, found: float | None) -> Condition:
    if found is None:
        return Condition(kind, DECIDES, wanted, None, None, None, "no mean to compare")
    met = found > NOISE if wanted == 0 else found >= wanted - NOISE
    if kind == "mean":
        goal = "above 0" if wanted == 0 else f"{signed_points(wanted)} wanted"
        words = f"{signed_points(found)} points over unified, {goal}"
    else:
        words = f"mean {points(found)}, {points(wanted)} wanted"
    return Condition(kind, DECIDES, wanted, found, _short(wanted - found, met), met, words)


def _share(wanted: float, standing: Standing) -> Condition:
    found = standing.share_improved
    if found is None:
        return Condition("share improved", None, wanted, None, None, None, "no share improved to compare")
    met = found >= wanted - NOISE
    counted = standing.counted_share
    beside = "" if counted in (None, found) else f" ({percent(counted)} by count)"
    digits = 0 if met or percent(found) != percent(wanted) else 1  # what is missed does not read as met
    words = f"{percent(found, digits)} of personas improve{beside}, {percent(wanted)} wanted"
    return Condition("share improved", None, wanted, found, _short(wanted - found, met), met, words)


def _significance(alpha: float, standing: Standing) -> Condition:
    """The gain must be more than chance: a small p of a loss is no success."""
    p, gain = standing.p, standing.gain
    if p is None or gain is None:
        return Condition("p", None, alpha, None, None, None, "no p value")
    words = f"p {p_value(p)}, below {alpha:g} wanted" + ("" if gain > 0 else ", and a gain")
    return Condition("p", None, alpha, p, None, p < alpha and gain > 0, words)


def _catastrophic(standing: Standing) -> Condition:
    """Fewer personas lose more than ten points than under per-persona LoRA; none at all is always enough."""
    limit, lost = standing.per_persona_lost, standing.lost
    if lost is None or not standing.n_personas:
        return Condition("catastrophic", None, limit, None, None, None, "no losses to count")
    found = lost / standing.n_personas
    told = f"{count(lost, 'persona')} of {standing.n_personas} {LOST}"
    if limit is None:
        met = True if lost == 0 else None
        words = told if met else f"{told}; {PER_PERSONA} is not scored, to compare with"
        return Condition("catastrophic", None, None, found, None, met, words)
    met = lost == 0 or found < limit - NOISE
    words = f"{told}, fewer than {PER_PERSONA}'s {percent(limit)} wanted"
    return Condition("catastrophic", None, limit, found, _short(found - limit, met), met, words)


def _also_up(metric: str, standing: Standing, alpha: float) -> Condition:
    found, label = standing.gains.get(metric), METRICS[metric].label
    if found is None:
        return Condition("metric", metric, 0.0, None, None, None, f"{label}: not defined for these replies")
    p = standing.p_of_gains.get(metric)
    if p is None:
        return Condition("metric", metric, 0.0, found, None, None, f"{label}: no p value")
    met = found > NOISE and p < alpha
    words = f"{label} {signed_points(found)} points with p {p_value(p)}, up with p below {alpha:g} wanted"
    return Condition("metric", metric, 0.0, found, None if found > 0 else _short(-found, met), met, words)


def _held(beside: Beside) -> Condition:
    """The second primary metric: what is not shown to hold cannot be said, what is down fails."""
    met = {UP: True, HELD: True, DOWN: False}.get(standing_of(beside))
    wanted = -beside["margin"]
    return Condition("metric", beside["metric"], wanted, beside["ci_low"], None, met, beside_words(beside))


def _short(missing: float, met: bool) -> float:
    return 0.0 if met else max(0.0, missing)
