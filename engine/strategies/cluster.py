"""One adapter for each cluster of personas, from the base or from the unified adapter."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from engine.core.errors import EngineError
from engine.strategies.published import BACKUP, CAREFUL, CONSTRAINED, START
from engine.strategies.spec import InName, Preset, Upstream, Wish
from engine.strategies.trained import (
    LIBRARY,
    OwnLoraParameters,
    other_shape,
    toward_unified,
    train_lora,
    trained,
)

_SHAPE = ("rank", "alpha", "target_modules")


class ClusterParameters(OwnLoraParameters):
    """How one LoRA adapter a cluster is trained."""

    cluster: int | None = Field(None, ge=0, description="Train and score this cluster only; by default all.")


class FromUnifiedParameters(ClusterParameters):
    """How a cluster's adapter begins at the unified one."""

    start: Annotated[Literal["delta", "weights"], InName("from-{}")] = Field(
        "delta",
        description="A delta beside the frozen unified adapter, or one adapter that begins as its weights.",
        validate_default=True,
    )

    @field_validator("start")
    @classmethod
    def _pulls_what_is_whole(cls, value: str, seen: ValidationInfo) -> str:
        if value == "delta" and seen.data.get("l2_toward") == "unified":
            raise ValueError("a delta is pulled to unified by l2_toward=zero; start=weights needs the other")
        return value


def _clusters(parameters: ClusterParameters) -> tuple[Upstream, ...]:
    return (Upstream(role="clusters", experiment="clustering"), *toward_unified(parameters))


def _clusters_from_unified(parameters: FromUnifiedParameters) -> tuple[Upstream, ...]:
    role = "unified" if parameters.start == "delta" else "start"
    return (Upstream(role=role, experiment="unified"), *_clusters(parameters))


def in_a_cluster(wish: Wish) -> None:
    """Raise EngineError where a run is for one cluster, of a number that there is not or cannot be."""
    from engine.strategies.clusterings import FILE, read_clusters  # it plans, too

    number, run_id = wish.spec.parameters["cluster"], wish.upstream["clusters"].run_id
    most = wish.ground.personas - wish.ground.unseen
    if number is not None and number >= most:
        raise EngineError(
            f"There is no cluster {number}.",
            f"They count from 0, and {most} personas are grouped: no number is above {most - 1}.",
        )
    if number is not None and (wish.ws.run_folder(run_id) / FILE).exists():
        found = read_clusters(wish.ws, run_id)
        found.of([*found.assignment], only=number)  # says which there are


def _begins_alike(wish: Wish) -> None:
    """Raise EngineError where an adapter would begin as weights of another shape."""
    in_a_cluster(wish)
    start, own = wish.upstream.get("start"), wish.spec.parameters
    differ = [name for name in _SHAPE if start is not None and start.parameters[name] != own[name]]
    if start is not None and differ:
        raise other_shape(start)


STRATEGIES = (
    trained(
        "cluster",
        title="Cluster LoRA",
        question="Do personas who resemble each other share an adapter better than all together?",
        parameters=ClusterParameters,
        step=train_lora,
        by="cluster",
        traits=LIBRARY,
        group="Clusters",
        needs=_clusters,
        fits=in_a_cluster,
        presets=(
            Preset(
                "cluster-0",
                "Cluster 0 at lr 5e-4, 3 epochs",
                {"cluster": 0, "learning_rate": 5e-4, "epochs": 3},
                f"{START}, experiment 1: one cluster for testing; it came to 72.65 against 82.14.",
            ),
            Preset(
                "cluster-4",
                "Cluster 4 at lr 2e-4, 5 epochs",
                {"cluster": 4, **CAREFUL},
                f"{BACKUP}, current status: a lower rate for longer, after cluster 0 failed.",
            ),
            Preset(
                "all-clusters",
                "Every cluster at lr 2e-4, 5 epochs",
                dict(CAREFUL),
                f"{START}, experiment 1, step 2, at the rate of the backup plan.",
            ),
            Preset(
                "cluster-4-constrained",
                "Cluster 4, rank 4, q only, dropout 0.1, decay 0.05",
                {"cluster": 4, **CAREFUL, **CONSTRAINED},
                f"{BACKUP}, strategy 4.",
            ),
        ),
    ),
    trained(
        "cluster-from-unified",
        title="Cluster LoRA on unified",
        question="Does an adapter for each cluster that builds on the unified one add what its type shares?",
        parameters=FromUnifiedParameters,
        step=train_lora,
        by="cluster",
        traits=LIBRARY,
        family="cluster",
        group="Clusters",
        needs=_clusters_from_unified,
        fits=_begins_alike,
        beside=("base",),
        presets=(
            Preset(
                "cluster-4",
                "Cluster 4 from unified at lr 1e-4, 3 epochs, batch 2",
                {"cluster": 4, "start": "delta", "learning_rate": 1e-4, "epochs": 3, "batch_size": 2},
                f"{BACKUP}, strategy 2: a new adapter on top of the loaded unified one.",
            ),
            Preset(
                "from-unified",
                "Every cluster from unified at lr 1e-4, 3 epochs, batch 2",
                {"start": "delta", "learning_rate": 1e-4, "epochs": 3, "batch_size": 2},
                f"{BACKUP}, strategy 2, for all clusters.",
            ),
            Preset(
                "warm-start",
                "Every cluster from unified's weights at lr 1e-4, 3 epochs, batch 2",
                {"start": "weights", "learning_rate": 1e-4, "epochs": 3, "batch_size": 2},
                f"{BACKUP}, strategy 2, training on the unified adapter itself.",
            ),
        ),
    ),
)
