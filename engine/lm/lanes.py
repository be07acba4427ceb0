"""Lanes: copies of one model that share its weights, each with a thread of its own.

A small model's products are too small to be worth splitting over cores: two threads on two batches are faster
than two threads on one, the more so on a busy machine, for they wait for nobody. A large model, and one on a
GPU, has one lane, and all threads work on each product. Results do not depend on the number of lanes.
"""

import copy
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

import torch
from transformers import PreTrainedModel

Item = TypeVar("Item")
Result = TypeVar("Result")

_SMALL_PARAMETERS = 50_000_000


def lanes_for(model: PreTrainedModel) -> int:
    """Return how many lanes serve a model here: as many as threads for a small one on the CPU, else 1."""
    return torch.get_num_threads() if suits_lanes(model) else 1


def suits_lanes(model: PreTrainedModel) -> bool:
    """Say whether a model's work is dealt to lanes, however many this machine has."""
    return model.device.type == "cpu" and is_small(model)


def is_small(model: PreTrainedModel) -> bool:
    """Say whether a model's products are too small to be worth splitting over cores."""
    return model.num_parameters() <= _SMALL_PARAMETERS


class Lanes:
    """Computes items side by side, each on a model that nobody else uses meanwhile. A context manager."""

    def __init__(
        self,
        model: PreTrainedModel,
        count: int | None = None,
        *,
        prepare: Callable[[PreTrainedModel], None] = lambda model: None,
    ) -> None:
        """`prepare` is done to each lane's copy; the model itself stays as it is."""
        self.count = lanes_for(model) if count is None else count
        self.device, self.suits, self.like = model.device, suits_lanes(model), model
        self._threads = torch.get_num_threads()
        self._models: SimpleQueue[PreTrainedModel] = SimpleQueue()
        for _ in range(self.count):
            lane = twin(model)
            prepare(lane)
            self._models.put(lane)
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="lane") if self.count > 1 else None

    def __enter__(self) -> "Lanes":
        if self._pool is not None:
            torch.set_num_threads(1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(self._threads)

    def map(
        self, work: Callable[[PreTrainedModel, Item], Result], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """Yield work(model, item) in the items' order; at most two items a lane are under way or waiting.

        `work` enters its own grad or inference mode. What it raises is raised here, and no new item is begun;
        close the generator to stop early.
        """
        if self._pool is None:
            yield from (self._on_own(work, item) for item in items)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(self._on_own, work, item))
                if len(waiting) >= 2 * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            wait(future for future in waiting if not future.cancelled())

    def _on_own(self, work: Callable[[PreTrainedModel, Item], Result], item: Item) -> Result:
        if self.count > 1:
            torch.set_num_threads(1)  # the setting belongs to the thread that makes it
        model = self._models.get()
        try:
            return work(model, item)
        finally:
            self._models.put(model)


@contextmanager
def one_lane(model: PreTrainedModel) -> Iterator[None]:
    """Give this thread the share of the machine that one lane of the model would have."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // lanes_for(model)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def twin(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of the model whose modules are its own and whose weights are the very same tensors."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)
