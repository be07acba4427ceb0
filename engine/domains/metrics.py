"""The registry of metrics: which there are, and which a study shows, its primary one first.

The only list of metrics. A metric of a user's own comes from an approved file's METRICS
(engine/core/extensions.py) and is one like any other. Computes nothing; engine/lm/measure.py does.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from engine.core import extensions
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.domains import answer_metrics, general_metrics
from engine.domains.metric import Metric, as_record
from engine.domains.registry import domain_of
from engine.domains.smart_home import metrics as smart_home_metrics

PRIMARY = "primary"
"""In workspace.json: the metric that decides in the place of the domain's, which cannot be told there."""
_OWN: Mapping[str, Metric] = {
    one.name: one for one in (*general_metrics.METRICS, *smart_home_metrics.METRICS, *answer_metrics.METRICS)
}
_known: dict[str, Metric] = dict(_OWN)
_looked_at: dict[str, Metric] = {}
METRICS: Mapping[str, Metric] = MappingProxyType(_known)  # a user's own join it when their study is looked at

_looked_at.update(_OWN)


def of_study(ws: Workspace) -> dict[str, Metric]:
    """Return the metrics of this study by name: its domain's, the primary one first, then a user's own.

    Raises EngineError where a user's own file lists what is no metric, or takes the name of another, and
    where the domain names a metric that is nowhere.
    """
    domain = domain_of(ws)
    decides = ws.read_config().get(PRIMARY) if ws.config.exists() else None
    names = dict.fromkeys((*([str(decides)] if decides else []), *domain.metrics))
    for extension, found in extensions.defined(ws, "METRICS"):
        with extensions.held(extension):
            for one in _records(found, where=str(extension.path)):
                if one.name in _OWN:
                    raise EngineError(
                        f"{extension.path} defines {one.name}, and there is a metric of that name.",
                        "Give it another name.",
                    )
                _known[one.name] = one
                if not one.domains or domain.name in one.domains:
                    names[one.name] = None
    if domain.co_primary is not None:
        names[domain.co_primary.metric] = None
    found = {name: _metric(name, domain.name) for name in names}
    _looked_at.clear()
    _looked_at.update(found)
    return found


def choosable() -> list[str]:
    """Return the metrics to choose by, those with a direction, of the study that was looked at last."""
    return [one.name for one in _looked_at.values() if one.higher_is_better is not None]


def own_primary(ws: Workspace) -> Metric:
    """Return the primary metric of the study's domain, whether or not another decides in its place."""
    of_study(ws)  # the user's own are known from then on
    domain = domain_of(ws)
    return _metric(domain.primary, domain.name)


def primary(ws: Workspace) -> Metric:
    """Return the metric that decides in this study where none is named."""
    return chosen(ws, None)


def chosen(ws: Workspace, name: str | None) -> Metric:
    """Return the study's metric of that name, the primary one for None. Raises EngineError for others."""
    known = of_study(ws)
    if name is None:
        return next(iter(known.values()))
    if name not in known:
        raise unknown_name("metric", name, known)
    return known[name]


def headline(ws: Workspace) -> list[Metric]:
    """Return the study's metrics that are shown where room is scarce, the primary one first."""
    return [one for one in of_study(ws).values() if one.short]


def _metric(name: str, domain: str) -> Metric:
    if name not in METRICS:
        raise unknown_name(f"metric of the domain {domain}", name, METRICS)
    return METRICS[name]


def _records(found: object, *, where: str) -> list[Metric]:
    many = found if isinstance(found, Iterable) else (found,)
    return [as_record(one, where=where) for one in many]
