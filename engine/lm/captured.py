"""Small training steps as recorded launches: a GPU replays thousands of kernels without waiting for Python.

A step of one adapter on a few dialogues is a few milliseconds of arithmetic behind tens of milliseconds of
launches. Its sizes are rounded up to a few, and for each the launches are recorded (a CUDA graph) once it has
come often enough. Where recording fails the steps go on one by one, with a line that says why.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.lm.packing import Batch, Drill, Layout, batch_of, layout_of

Compute = Callable[[PreTrainedModel, Mapping[str, Tensor], Batch, bool], tuple[Tensor, tuple[Tensor, ...]]]
_MOST_TOKENS = 8192
_TIMES_BEFORE = 2
_MOST_GRAPHS = 32


@dataclass(frozen=True, slots=True)
class _Recording:
    """A recorded step: what it reads, and what it writes."""

    graph: Any
    given: dict[str, Tensor]
    data: Tensor
    sums: Tensor
    grads: Tensor


def rounded(layout: Layout) -> Layout:
    """Return a layout of few kinds that holds this one and at least one token of padding behind it."""
    step = 256 if layout.width < 2048 else 1024
    width = -(-(layout.width + 1) // step) * step
    quarter = layout.rows * width // 4
    return replace(
        layout,
        width=width,
        labels=max(1, -(-layout.labels // quarter)) * quarter,
        dialogues=1 << (layout.dialogues - 1).bit_length(),
        longest=1 << (layout.longest + width - layout.width - 1).bit_length(),
    )


class Captured:
    """The recorded steps of one model and one form."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._seen: Counter[Layout] = Counter()
        self._recordings: dict[Layout, _Recording] = {}
        self._pool: Any = None
        self.fails = False

    def step(
        self,
        compute: Compute,
        model: PreTrainedModel,
        stacked: Mapping[str, Tensor],
        bins: Sequence[Sequence[Drill]],
        weights: Sequence[float],
        *,
        pad_id: int,
        device: torch.device,
    ) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        """Return what `compute` gives, by a recording; None where the step is not one to be recorded."""
        if self.fails or len(weights) > 1:
            return None
        room = rounded(layout_of(bins, adapters=1, packed=True))
        self._seen[room] += 1
        usual = room.rows * room.width <= _MOST_TOKENS and self._seen[room] > _TIMES_BEFORE
        if not usual or (room not in self._recordings and len(self._recordings) >= _MOST_GRAPHS):
            return None
        batch = batch_of(bins, weights, pad_id=pad_id, packed=True, room=room).to(device)
        recording = self._recordings.get(room) or self._record(compute, model, stacked, batch)
        if recording is None:
            return None
        recording.data.copy_(batch.data, non_blocking=True)
        torch._foreach_copy_(list(recording.given.values()), list(stacked.values()))
        recording.graph.replay()
        shapes = [tensor.shape for tensor in stacked.values()]
        flat = recording.grads.clone().split([shape.numel() for shape in shapes])
        return recording.sums.clone(), tuple(p.view(s) for p, s in zip(flat, shapes, strict=True))

    def stop(self, reason: str) -> None:
        """Give back what recordings hold, and make none any more."""
        if not self.fails:
            self._say(f"Steps are launched one by one on this GPU: {reason}")
        self.fails, self._pool = True, None
        self._recordings.clear()

    def _record(
        self, compute: Compute, model: PreTrainedModel, stacked: Mapping[str, Tensor], batch: Batch
    ) -> _Recording | None:
        given = {name: tensor.clone() for name, tensor in stacked.items()}
        graph = torch.cuda.CUDAGraph()
        try:
            beside = torch.cuda.Stream()
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                compute(model, given, batch, True)
            torch.cuda.current_stream().wait_stream(beside)
            torch.cuda.synchronize()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                sums, grads = compute(model, given, batch, True)
                flat = torch.cat([grad.flatten() for grad in grads])
        except RuntimeError as error:  # that there is no room is one of them
            self.stop(str(error).partition("\n")[0])
            return None
        self._pool = self._pool or graph.pool()
        recording = _Recording(graph, given, batch.data, sums, flat)
        self._recordings[batch.layout] = recording
        return recording
