"""Metrics for replies that are there: computed again or for the first time, without generating anything.

Owns which runs lack which metric, and that a row is embedded by the scorer that its protocol names. Finished
runs stay untouched: what is computed is kept beside them (engine/runs/answers.py), in files that the store
takes in with the run.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.core.errors import EngineError
from engine.core.locks import locked
from engine.core.machine import changes
from engine.core.paths import Workspace
from engine.core.wording import count
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.lm.measure import measure
from engine.lm.scorer_choice import Encoder, encoder_of, usual
from engine.results import store
from engine.runs import answers, manifest

if TYPE_CHECKING:
    from engine.lm.scorer import Scorer


@dataclass(frozen=True, slots=True)
class Rescored:
    """One metric of one run's replies, computed now. `undefined` counts replies for which it has no value."""

    run_id: str
    metric: str
    replies: int
    undefined: int

    @property
    def words(self) -> str:
        """The record in one line."""
        empty = f", undefined for {self.undefined}" if self.undefined else ""
        return f"{self.run_id}: {self.metric} of {count(self.replies, 'reply', 'replies')}{empty}"


@changes("compute metrics")
def rescore(
    ws: Workspace, names: Collection[str] = (), *, on_run: Callable[[Rescored], None] = lambda one: None
) -> list[Rescored]:
    """Compute what is missing of some metrics (of all, when none is named); return what was computed.

    Side effect: writes data/rescored/RUN/METRIC.parquet and takes it into the store. Embeddings that a run
    has kept are not computed again. Raises EngineError for unknown names, for a metric that fails, and, once
    all else is done, where the scorer that a run's protocol names is another than today's.
    """
    wanted = [metrics.chosen(ws, name) for name in names] or list(metrics.of_study(ws).values())
    done, refused = list[Rescored](), dict[str, str]()
    with locked(ws.data / ".rescore.lock", what="Rescoring"):
        lacking = store.missing(ws)
        runs = dict.fromkeys(run_id for one in wanted for run_id in lacking.get(one.name, ()))
        for run_id in runs:
            found = [one for one in wanted if run_id in lacking.get(one.name, ())]
            encoder = None
            if any(one.of_embeddings for one in found) and (encoder := _encoder_of(ws, run_id)) is None:
                refused[run_id] = _named_by(ws, run_id)
                found = [one for one in found if one.of_embeddings is None]
            for record in _rescore(ws, run_id, found, encoder):
                done.append(record)
                on_run(record)
    store.refresh(ws)
    if refused:
        run_id, named = next(iter(refused.items()))
        raise EngineError(
            f"Similarity of {count(len(refused), 'run')} was not computed, {run_id} first: its protocol"
            f" names the scorer {named}, and today's is {encoder_of(ws).identity}.",
            "Choose that scorer again, then rescore: python -m engine scorer HUB_ID_OR_FOLDER",
        )
    return done


def _named_by(ws: Workspace, run_id: str) -> str:
    """Return the scorer that a run's protocol names; before one could be chosen it was the usual one."""
    protocols = manifest.read(ws.run_folder(run_id))["protocols"].values()
    return " and ".join(sorted({str(one.get("scorer") or usual().identity) for one in protocols}))


def _encoder_of(ws: Workspace, run_id: str) -> Encoder | None:
    """Return the encoder that a run's protocol names, None where it is neither today's nor the usual one."""
    named = _named_by(ws, run_id)
    return next((one for one in (encoder_of(ws), usual()) if one.identity == named), None)


def _scorer(ws: Workspace, encoder: Encoder | None) -> "Scorer":
    from engine.lm.scorer import Scorer  # torch, where embeddings are asked for

    return Scorer(ws, encoder=encoder)


def _rescore(
    ws: Workspace, run_id: str, wanted: Collection[Metric], encoder: Encoder | None
) -> list[Rescored]:
    said = answers.replies(ws.run_folder(run_id))
    said = said[said["reply"].notna() & said["reference"].notna()].reset_index(drop=True)
    found = measure(
        wanted, said["reply"].tolist(), said["reference"].tolist(), scorer=lambda: _scorer(ws, encoder)
    )
    keys = said[list(answers.KEY_COLUMNS)]
    done = []
    for metric in wanted:
        rows = found[found["metric"] == metric.name]
        answers.write_later(ws, run_id, metric.name, rows.join(keys, on="row").drop(columns="row"))
        undefined = rows["value"].isna().sum() if not metric.of_whole_set else 0
        done.append(Rescored(run_id, metric.name, len(said), int(undefined)))
    return done
