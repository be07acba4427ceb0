"""What a run told while it worked, as one table of curves: loss, learning rate, memory, processor.

Owns the names of the curves and their smoothing. Draws nothing; the charts are engine/show/charts/losses.py.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from engine.core.paths import Workspace
from engine.runs import usage
from engine.runs.runfolder import read_events
from engine.show.charts.losses import loss_table

COLUMNS = ("run_id", "curve", "split", "step", "epoch", "seconds", "value")


def curve_table(ws: Workspace, run_ids: Sequence[str]) -> pd.DataFrame:
    """Return one row a value: run_id, curve (loss_nats, learning_rate, memory_bytes, processor), split, step,
    epoch, seconds, value; what a curve has not is empty."""
    parts = [one for run_id in run_ids for one in _of_run(run_id, ws.run_folder(run_id)) if len(one)]
    return (
        pd.concat(parts, ignore_index=True)[list(COLUMNS)] if parts else pd.DataFrame(columns=list(COLUMNS))
    )


def usage_table(folder: Path) -> pd.DataFrame:
    """Return the looks at a run's machine: seconds, memory_gb, processor (cores busy)."""
    rows = [
        {"seconds": one["t"], "memory_gb": one["memory_bytes"] / 1e9, "processor": one.get("processor")}
        for one in usage.read(folder)
    ]
    return pd.DataFrame(rows, columns=["seconds", "memory_gb", "processor"])


def smoothed(table: pd.DataFrame, share: float) -> pd.DataFrame:
    """Return a loss table whose training loss is a running mean that keeps `share` (0 to 1) of the past.

    The mean is corrected for its beginning, as Adam's are. Validation stays as it is.
    """
    if not share:
        return table
    training = table["split"] == "training"
    held = table.loc[training].sort_values("step")
    means = held["loss_nats"].ewm(alpha=1 - share, adjust=True).mean()
    return table.assign(loss_nats=table["loss_nats"].where(~training, means))


def _of_run(run_id: str, folder: Path) -> list[pd.DataFrame]:
    losses = loss_table(read_events(folder))
    rates = losses[losses["learning_rate"].notna()]
    looks = usage_table(folder)
    return [
        losses.assign(run_id=run_id, curve="loss_nats", value=losses["loss_nats"]),
        rates.assign(run_id=run_id, curve="learning_rate", value=rates["learning_rate"]),
        *(
            looks.assign(
                run_id=run_id, curve=name, value=looks[column] * factor, split="", step=None, epoch=None
            )
            for name, column, factor in (("memory_bytes", "memory_gb", 1e9), ("processor", "processor", 1.0))
        ),
    ]
