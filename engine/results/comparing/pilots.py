"""What the pilots of a workspace say about the full study. Owns which variants are pilots and what they face.

A pilot is a variant that serves only some of the personas because its run was asked to (`personas`). Its
forecast is made on validation by default, so that planning uses up no look at test.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains.metric import Metric
from engine.results import store
from engine.results.comparing import grounds
from engine.results.comparing.criteria import BANDS, DECIDES
from engine.results.comparing.scene import Scene, set_scene
from engine.results.store.statistics import DEFAULT_REFERENCES
from engine.results.trees.tree_words import scale_words
from engine.results.variants import Variant
from engine.runs.records import scan
from engine.runs.runfolder import RunSpec
from engine.stats.forecast import Forecast, forecast
from engine.stats.levels import POINT
from engine.stats.pairing import Pairing, Vector
from engine.strategies.cloning import command_of
from engine.strategies.ground import read_ground

_NO_REFERENCE = "Unified is not scored under the pilot's protocol, so there is nothing to compare it with."
MINIMUM = next(band for band in BANDS if band.name == "minimum")


@dataclass(frozen=True, slots=True)
class Pilot:
    """One pilot against unified: its forecast, or the reason why there is none.

    `scale_up` is the command that runs the same for everybody; what the pilot trained is taken over by it.
    """

    variant: str
    experiment: str
    run_id: str
    reference: str | None
    metric: str
    split: str
    personas: int
    personas_full: int
    forecast: Forecast | None
    reason: str | None
    scale_up: str


def pilots(ws: Workspace, *, metric: str | None = None, split: str = "val") -> list[Pilot]:
    """Return every pilot's forecast, newest protocol first; an empty list where there is none.

    The full study is one of all the workspace's personas. The difference worth having is over unified: the
    study's minimum in its own metric, one point in any other. Raises EngineError for a metric nobody knows
    and where nothing is scored on `split`.
    """
    store.refresh(ws)
    newest = set_scene(ws, metric=metric, split=split, protocol=None, reference=None)
    specs = {record.run_id: record.spec for record in scan(ws)}
    made = []
    for protocol in newest.protocols:
        scene = set_scene(ws, metric=metric, split=split, protocol=protocol, reference=None)
        made += _under(ws, scene, specs)
    return made


def _under(ws: Workspace, scene: Scene, specs: Mapping[str, RunSpec | None]) -> list[Pilot]:
    """The pilots of one protocol."""
    ground = read_ground(ws)
    there = [(one, specs.get(one.run_id)) for one in scene.under(scene.protocol)]
    there = [(one, spec) for one, spec in there if spec and ground.carries(spec)]
    asked = [(one, spec) for one, spec in there if spec and spec.parameters.get("personas") is not None]
    if not asked:
        return []
    everybody = ground.personas
    reference = next((one for one in map(scene.find, DEFAULT_REFERENCES) if one is not None), None)
    paired: dict[str, Pairing] = {}
    against: dict[str, str] = {}
    if reference:
        whom = scene.pairs_with(reference)
        wanted = {one.variant_id: whom[one.variant_id] for one, _ in asked}
        paired = grounds.pairings_of(ws, (scene.protocol, scene.split), scene.metric, wanted)
        names = {one.variant_id: one.variant for one in scene.under(scene.protocol)}
        against = {own: names[found[0][1]] for own, found in wanted.items()}
    family = sum(not scene.role(one) for one in scene.under(scene.protocol))
    made = []
    for one, spec in asked:
        served = scene.served(one)
        if served < everybody:
            name = against.get(one.variant_id)
            pairing = paired.get(one.variant_id)
            made.append(
                _pilot(
                    one, spec, scene, pairing, ws=ws, reference=name, served=served, everybody=everybody,
                    family=family,
                )
            )  # fmt: skip
    return made


def gains(paired: Pairing, metric: Metric) -> Vector:
    """Return the personas' differences as gains, whichever way the metric is better; of a metric that is no
    fraction, as gates read it, as shares of what it is compared with."""
    level = 1.0 if metric.unit == "fraction" else abs(float(paired.reference.mean())) or 1.0
    return metric.sign * paired.differences / level


def _worth_having(metric: Metric) -> float:
    """The level of success is one of similarity; another metric has its own scale."""
    return MINIMUM.gain if metric.name == DECIDES else POINT


def _pilot(
    variant: Variant,
    spec: RunSpec,
    scene: Scene,
    paired: Pairing | None,
    *,
    ws: Workspace,
    reference: str | None,
    served: int,
    everybody: int,
    family: int,
) -> Pilot:
    found, reason = None, _NO_REFERENCE if paired is None else None
    if paired is not None:
        try:
            found = forecast(
                gains(paired, scene.metric),
                n_full=everybody,
                criterion=_worth_having(scene.metric),
                family=max(1, family),
            )
        except EngineError as error:
            reason = error.message
    if found is not None and (told := scale_words(scene.metric, str(reference))):
        found = replace(found, words=(*found.words, told))
    return Pilot(
        variant=variant.variant,
        experiment=spec.experiment,
        run_id=variant.run_id,
        reference=reference,
        metric=scene.metric.name,
        split=scene.split,
        personas=served,
        personas_full=everybody,
        forecast=found,
        reason=reason,
        scale_up=command_of(spec, ws, without=("personas",)),
    )
