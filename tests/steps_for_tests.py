"""A small real step, for tests of queue, store and command line.

`count` counts in the folder, pauses as told, resumes from its checkpoint, and leaves scores that depend on
variant and example only. It imports little, so that a test does not wait for it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import read_json, write_json
from engine.runs.context import Cancelled, RunContext

PACE, HOLD = "pace.json", "hold"
PERSONAS = tuple(f"p{number:02d}" for number in range(6))


def count(context: RunContext) -> None:
    """Count to `ticks`, remembering where it was, then leave scores."""
    parameters = context.spec.parameters
    _count(context, parameters)
    leave_scores(context)


def at_a_pace(context: RunContext) -> None:
    """Count as the workspace's data/pace.json says for this experiment, and leave nothing."""
    _count(context, read_json(context.workspace.data / PACE)[context.spec.experiment])


def _count(context: RunContext, parameters: Mapping[str, Any]) -> None:
    if parameters["ending"] == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    checkpoint = context.folder / "checkpoint" / "position.json"
    start = read_json(checkpoint)["done"] if checkpoint.exists() else 0
    context.event("start", at=start)
    context.progress("load", 1, 1)
    for done in range(start + 1, parameters["ticks"] + 1):
        time.sleep(parameters["pause"])
        context.progress("count", done, parameters["ticks"], unit="ticks")
        write_json(checkpoint, {"done": done})
        while (context.workspace.data / HOLD).exists() and not context.stop_requested():
            time.sleep(0.02)
        if context.stop_requested():
            raise Cancelled
    _end(parameters["ending"])


def leave_scores(context: RunContext) -> None:
    """Write scores.parquet and declare what it holds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    spec = context.spec
    gain = spec.parameters["gain"] + spec.parameters["lift"]
    name = spec.experiment
    protocol = context.protocol({**spec.protocol, "scorer": "a hash"})
    rows = [
        _row(name, split, protocol, persona=persona, number=number, gain=gain)
        for split in spec.protocol["splits"]
        for persona in PERSONAS
        for number in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(rows), context.folder / "scores.parquet")
    recipe = {"count": name, "parameters": spec.parameters}
    context.variant(name, recipe, family="test", train_seconds=1.5, aliases=(f"{name}-alias",))
    context.summary(rows=len(rows))


def _end(ending: str) -> None:
    if ending == "badly":
        raise ValueError("the sum is wrong")
    if ending == "tells a secret":
        raise ValueError(f"the server refused {os.environ['HF_TOKEN']}")
    if ending == "with a hint":
        raise EngineError("There is nothing to count.", "Give it something.")
    if ending == "by exit":
        os._exit(7)


def _row(
    variant: str, split: str, protocol: str, *, persona: str, number: int, gain: float
) -> dict[str, object]:
    example_id = f"{persona}/{split}-{number}#1"
    noise = int(hashlib.sha256(f"{variant}{example_id}".encode()).hexdigest()[:6], 16) / 0xFFFFFF
    return {
        "variant": variant,
        "split": split,
        "protocol": protocol,
        "example_id": example_id,
        "persona_id": persona,
        "dialogue_id": f"{persona}/{split}-{number}",
        "turn": 1,
        "reply": f"{variant} says {number}",
        "reference": f"reference {number}",
        "prompt_tokens": 10,
        "reply_tokens": 5,
        "seconds": 0.01,
        "retrieved": None,
        "embedding_similarity": 0.5 + gain + 0.1 * noise,
        "device_f1": None if number == 0 else 0.5 + gain,
        "param_f1": float("nan"),
    }
