"""Computes metrics of replies: the one way from texts to scores, for runs, `rescore` and a chat's reply."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.core.errors import EngineError
from engine.domains.metric import Metric

if TYPE_CHECKING:
    from engine.lm.scorer import Scorer

Progress = Callable[[int, int], None]


def measure(
    metrics: Iterable[Metric],
    replies: Sequence[str],
    references: Sequence[str],
    *,
    scorer: "Callable[[], Scorer]",
    on_progress: Progress | None = None,
) -> pd.DataFrame:
    """Return the scores, long: row (the reply's place), metric, version, part, value (None: undefined).

    `scorer` is asked for only where a metric needs embeddings; a text that it knows is not embedded again.
    Equal pairs are computed once. Raises EngineError for a metric that fails or gives no number.
    """
    found: list[tuple[int, str, str, str, float | None]] = []
    chosen, vectors = list(metrics), None
    for metric in chosen:
        if metric.of_embeddings is not None:
            if vectors is None:
                vectors = scorer().embed([*replies, *references], on_progress=on_progress)
            values = _guarded(metric, metric.of_embeddings, vectors[: len(replies)], vectors[len(replies) :])
            found += [
                (row, metric.name, metric.version, "", float(value) if math.isfinite(value) else None)
                for row, value in enumerate(values)
            ]
        else:
            found += _of_texts(metric, replies, references)
    return pd.DataFrame(found, columns=["row", "metric", "version", "part", "value"]).astype(
        {"value": "float64"}
    )


def of_reply(
    metrics: Iterable[Metric], reply: str, reference: str, *, scorer: "Scorer"
) -> dict[str, float | None]:
    """Return the value of each metric for one reply, to six places; statistics of a whole set have none."""
    rows = measure(
        [one for one in metrics if not one.of_whole_set], [reply], [reference], scorer=lambda: scorer
    )
    return {
        row.metric: None if pd.isna(row.value) else round(float(row.value), 6) for row in rows.itertuples()
    }


def _of_texts(
    metric: Metric, replies: Sequence[str], references: Sequence[str]
) -> list[tuple[int, str, str, str, float | None]]:
    known: dict[tuple[str, str], Mapping[str, float | None]] = {}
    found = []
    for row, pair in enumerate(zip(replies, references, strict=True)):
        if pair not in known:
            known[pair] = {
                part: _number(metric, value)
                for part, value in _guarded(metric, metric.values_of, *pair).items()
            }
        found += [(row, metric.name, metric.version, part, value) for part, value in known[pair].items()]
    return found


def _guarded(metric: Metric, function: Callable[..., Any], *texts: Any) -> Any:
    try:
        return function(*texts)
    except (
        Exception
    ) as error:  # the boundary to code that may be a user's own: whatever it raises is its fault
        raise EngineError(
            f"The metric {metric.name} failed: {type(error).__name__}: {error}",
            "Mend or forget it, then resume: the replies are kept.",
        ) from error


def _number(metric: Metric, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    raise EngineError(
        f"The metric {metric.name} gave {value!r}.",
        "A metric gives a finite number, or None where undefined.",
    )
