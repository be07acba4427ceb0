"""Decoding steps of static shape, which a GPU replays from a captured graph: one launch, not a thousand.

Owns the room for keys and values, in place for all batches of one call, the row counts and lengths that
there are graphs for, and capturing. What is computed is what reading.py's `forward` computes: rows are padded
to the next row count, the cache to the next length, and masks hide both. Without a GPU, and where capturing
fails, the same steps run one operation at a time. Models whose attention is not plain do not take part.
"""

import gc
import math
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import DynamicCache, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from engine.core.errors import first_line
from engine.lm.held import Held, row_count
from engine.lm.last_layer import key_value_shape, plain_attention
from engine.lm.lean import lean, ways
from engine.lm.reading import ReservedLayer, can_be_placed, new_cache, read_prompts, takes_positions
from engine.lm.tail import logits_of

ROOM_STEP = 64
_NAME = "one-token"
_SAME_ROOM = 1.25
"""A graph for a longer room is used where it is at most so many times longer: capturing costs some steps.
Where a kernel attends, which passes over what nobody has seen, it may be any longer."""
_MOST_KEYS = 3
_STEADY_ROPES = frozenset({"default", "linear", "llama3", "yarn"})
"""Rotations that do not depend on how far the longest row is, which the host would have to look at."""


def unsuited(model: PreTrainedModel) -> str:
    """Return why a model's steps cannot be of static shape, in words; "" where they can."""
    if not plain_attention(model):
        return "its layers are not plain attention"
    if not takes_positions(type(model.get_decoder()).forward):
        return "it takes no positions"
    told = getattr(model.config, "rope_parameters", None) or getattr(model.config, "rope_scaling", None) or {}
    kind = told.get("rope_type", told.get("type", "default")) if isinstance(told, dict) else "default"
    if kind not in _STEADY_ROPES:
        return f"its positions turn by {kind} rotation"
    if not can_be_placed(new_cache(model, 1, 1)):
        return "its cache is not keys and values alone"
    return ""


def room_for(length: int) -> int:
    """Return the number of positions that so many are padded to."""
    return -(-length // ROOM_STEP) * ROOM_STEP


def bytes_of(model: PreTrainedModel, rows: int, length: int) -> int:
    """Return what rows of a length take: keys and values, and the logits that a token is chosen from."""
    layers, heads, size = key_value_shape(model)
    each = 2 * layers * heads * size * room_for(length) + 3 * int(model.config.vocab_size)
    return row_count(rows) * each * model.dtype.itemsize


class _ReadInPlace(ReservedLayer):
    """Keys and values that prompts are read into: the first rows of memory that stays where it is."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__(keys.shape[0], keys.shape[2])
        self._all_keys, self._all_values = keys, values
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._show()


class _StepInPlace(ReservedLayer):
    """The same memory in steps: one token a pass, written where a tensor on the device says."""

    def __init__(self, keys: Tensor, values: Tensor, place: Tensor) -> None:
        super().__init__(keys.shape[0], keys.shape[2])
        self.keys, self.values = self._pair = keys, values
        self._place = place
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        for mine, new in zip(self._pair, (key_states, value_states), strict=True):
            mine.index_copy_(2, self._place, new)
        return self._pair


@dataclass(eq=False, slots=True)
class _Shape:
    """The tensors of one row count and length that a step reads and moves on, and its graph."""

    ids: Tensor
    positions: Tensor
    seen: Tensor
    firsts: Tensor
    place: Tensor
    pairs: list[tuple[Tensor, Tensor]]
    cache: DynamicCache
    graph: Any = None
    logits: Tensor | None = None
    moves: int = -1
    refused: bool = False

    @classmethod
    def new(cls, model: PreTrainedModel, memory: Tensor, rows: int, room: int) -> "_Shape":
        _, heads, size = key_value_shape(model)
        views = [one[: rows * heads * room * size].view(rows, heads, room, size) for one in memory]
        pairs = list(zip(views[::2], views[1::2], strict=True))
        counts = torch.zeros(3, rows, dtype=torch.long, device=memory.device)
        seen = torch.zeros(rows, room, dtype=torch.bool, device=memory.device)
        place = torch.zeros(1, dtype=torch.long, device=memory.device)
        cache = _cache_of(model, [_StepInPlace(*pair, place) for pair in pairs])
        return cls(counts[0], counts[1], seen, counts[2], place, pairs, cache)

    def begin(self, positions: Tensor, seen: Tensor, place: Tensor | int) -> None:
        """Put rows in: how many positions each has seen [B], which ones [B, T], where the next token goes."""
        for own, given in ((self.positions, positions), (self.seen, seen)):
            own.zero_()
            own[tuple(slice(0, size) for size in given.shape)] = given
        self.ids.zero_()
        self.firsts.zero_()
        self.firsts[: len(seen)] = seen.long().argmax(dim=1)
        self.place[0] = place


def _cache_of(model: PreTrainedModel, layers: Sequence[ReservedLayer]) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    cache.layers = list(layers)
    return cache


class StaticSteps:
    """The room and the graphs that batches of one model share, one batch at a time."""

    def __init__(self, *, most_bytes: Callable[[], int | None] = lambda: None) -> None:
        """`most_bytes` tells how much may be taken; more raises torch.OutOfMemoryError before it is."""
        self.held = Held()
        self._most_bytes = most_bytes
        self._memory: Tensor | None = None
        self._shapes: dict[tuple[int, int, Hashable], _Shape] = {}
        self._keys: list[Hashable] = []
        self._stream: Any = None
        self._pool: Any = None

    def release(self) -> None:
        """Give all memory back; what comes next begins anew."""
        self._shapes.clear()
        self._memory, self._pool, self.held = None, None, Held()
        if torch.cuda.is_available():
            gc.collect()
            torch.cuda.empty_cache()

    def shape(self, model: PreTrainedModel, rows: int, length: int, key: Hashable) -> _Shape:
        """Return the tensors for so many rows of a length: those that there are, or new ones."""
        count, room = row_count(rows), room_for(length)
        most = math.inf if ways(model).attended is not None else _SAME_ROOM * room
        fitting = [
            known[1]
            for known in self._shapes
            if (known[0], known[2]) == (count, key) and room <= known[1] <= most
        ]  # fmt: skip
        room = min(fitting, default=room)
        memory = self._room(model, count, room)
        known = self._shapes.get((count, room, key))
        if known is None:
            self._forget_others(key)
            known = self._shapes[(count, room, key)] = _Shape.new(model, memory, count, room)
        return known

    def _forget_others(self, key: Hashable) -> None:
        """Drop the shapes of all but the last few changes: a graph holds memory."""
        self._keys = [*(one for one in self._keys if one != key), key][-_MOST_KEYS:]
        self._shapes = {known: shape for known, shape in self._shapes.items() if known[2] in self._keys}

    def _room(self, model: PreTrainedModel, rows: int, room: int) -> Tensor:
        """Return the keys' and values' memory [2 x layers, elements]; taking more forgets all graphs."""
        layers, heads, size = key_value_shape(model)
        needed = rows * heads * room * size
        if self._memory is None or self._memory.shape[1] < needed:
            self._shapes.clear()
            self._memory = None
            most, wanted = self._most_bytes(), bytes_of(model, rows, room)
            if most is not None and wanted > most:
                raise torch.OutOfMemoryError(
                    f"{rows} rows of {room} positions take {wanted:,} bytes; {most:,} are free."
                )
            self._memory = torch.zeros(2 * layers, needed, dtype=model.dtype, device=model.device)
        return self._memory

    def run(self, model: PreTrainedModel, shape: _Shape) -> Tensor:
        """Do one step of a shape: read `ids`, return logits [R, V]; the first time, capture the next ones."""
        stale = shape.graph is not None and shape.moves != self.held.moves
        if shape.graph is not None and shape.logits is not None and not stale:
            shape.graph.replay()
            return shape.logits
        logits = _step(model, shape)
        if model.device.type == "cuda" and not shape.refused:
            self._capture(model, shape)
        return logits

    def _capture(self, model: PreTrainedModel, shape: _Shape) -> None:
        """Capture a shape's step; where that fails, say why and leave it as it is."""
        device = model.device
        if self._stream is None:
            self._stream = torch.cuda.Stream(device)
        if all(other.graph is None for other in self._shapes.values()):
            self._pool = torch.cuda.graph_pool_handle()  # one whose graphs are all gone cannot be used again
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(device)
        try:
            with _no_collection(), torch.cuda.stream(self._stream):
                graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
                try:
                    logits = _step(model, shape)
                except RuntimeError:
                    with suppress(RuntimeError):  # the first error is the one to tell
                        graph.capture_end()
                    raise
                graph.capture_end()
        except RuntimeError as error:
            shape.refused, shape.graph = True, None
            said = f"Decoding goes on without a captured graph: {first_line(error)}"
            warnings.warn(said, RuntimeWarning, stacklevel=2)
        else:
            shape.graph, shape.logits, shape.moves = graph, logits, self.held.moves
        torch.cuda.synchronize(device)


class StaticBatch:
    """Rows under way in static room (decode.py's Batch)."""

    def __init__(
        self,
        steps: StaticSteps,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        prefixes: Sequence[Tensor | None],
        max_new_tokens: int,
        *,
        share_prefix: bool,
        on_rows: Callable[[Sequence[int]], None],
        key: Hashable,
    ) -> None:
        self._steps, self._model, self._on_rows, self._key = steps, model, on_rows, key
        self._rows = len(prompts)
        with lean(model):
            self.logits, _, seen = read_prompts(
                model, prompts, prefixes, max_new_tokens, share_prefix, on_rows, cache_of=self._cache
            )
        self._shape.begin(seen.sum(dim=1), seen, seen.shape[1])
        self._tell(range(self._rows))

    def _cache(self, model: PreTrainedModel, rows: int, length: int) -> DynamicCache:
        self._length = length
        self._shape = self._steps.shape(model, rows, length, self._key)
        for keys, values in self._shape.pairs:  # what nobody sees must still be numbers
            keys.zero_()
            values.zero_()
        return _cache_of(
            model, [_ReadInPlace(keys[:rows], values[:rows]) for keys, values in self._shape.pairs]
        )

    def worth_leaving(self, left: int, going: int) -> bool:
        return row_count(left) < row_count(going)

    def keep(self, places: Sequence[int], rows: Sequence[int]) -> None:
        before, kept = self._shape, torch.tensor(list(places), device=self._model.device)
        self._shape = after = self._steps.shape(self._model, len(kept), self._length, self._key)
        width = min(before.seen.shape[1], after.seen.shape[1])
        for pair, own in zip(before.pairs, after.pairs, strict=True):  # one layer at a time, in one memory
            moved = [one[kept] for one in pair]
            for target, source in zip(own, moved, strict=True):
                target.zero_()
                target[: len(kept), :, :width] = source[:, :, :width]
        after.begin(before.positions[kept], before.seen[kept][:, :width], before.place)
        self._rows = len(kept)
        self._tell(rows)

    def feed(self, tokens: Tensor) -> None:
        self._shape.ids[: self._rows] = tokens
        self.logits = self._steps.run(self._model, self._shape)[: self._rows]

    def _tell(self, rows: Sequence[int]) -> None:
        """Say which rows the next passes hold; rows that fill the count up are like the first."""
        missing = row_count(len(rows)) - len(rows)
        self._on_rows([*rows, *([rows[0]] * missing)])


def _step(model: PreTrainedModel, shape: _Shape) -> Tensor:
    """Read one token of each row; return logits [R, V] and move everything on by one. Never asks the host."""
    decoder: Any = model.get_decoder()
    shape.seen.index_fill_(1, shape.place, True)
    mask = torch.zeros(shape.seen.shape, dtype=model.dtype, device=shape.seen.device)
    mask.masked_fill_(~shape.seen, -math.inf)
    with _attending(model, mask, shape), lean(model):
        hidden = decoder(
            input_ids=shape.ids[:, None],
            attention_mask=mask[:, None, None],
            position_ids=shape.positions[:, None],
            past_key_values=shape.cache,
            use_cache=True,
        ).last_hidden_state
    logits = logits_of(model, hidden[:, -1].contiguous())
    shape.positions.add_(1)
    shape.place.add_(1)
    return logits


@dataclass(frozen=True, slots=True)
class _Look:
    """What the queries of a step see: `mask` [R, T], nothing before `firsts` [R] or after `place` [1]."""

    mask: Tensor
    firsts: Tensor
    place: Tensor
    attended: Callable[..., Tensor] | None


_LOOK: ContextVar[_Look] = ContextVar("what the queries of the step under way see")


@contextmanager
def _attending(model: PreTrainedModel, mask: Tensor, shape: _Shape) -> Iterator[None]:
    before = model.config._attn_implementation
    model.config._attn_implementation = _NAME
    told = _LOOK.set(_Look(mask, shape.firsts, shape.place, ways(model).attended))
    try:
        yield
    finally:
        _LOOK.reset(told)
        model.config._attn_implementation = before


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **told: Any
) -> tuple[Tensor, None]:
    """One query a row [R, H, 1, D]: heads that share keys and values are queries side by side."""
    rows, heads, _length, size = query.shape
    groups = heads // key.shape[1]
    packed = query.reshape(rows, key.shape[1], groups, size)
    look, scale = _LOOK.get(), told.get("scaling")
    if look.attended is not None:
        out = look.attended(
            packed, key, value, look.mask, look.firsts, look.place, size**-0.5 if scale is None else scale
        )
        return out.reshape(rows, 1, heads, -1), None
    backends = (
        sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]) if query.is_cuda else nullcontext()
    )
    with backends:
        out = torch.nn.functional.scaled_dot_product_attention(
            packed, key, value, attn_mask=mask, scale=scale
        )
    return out.reshape(rows, 1, heads, -1), None


ALL_ATTENTION_FUNCTIONS.register(_NAME, _attention)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from freeing a card's memory while a graph is captured."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
