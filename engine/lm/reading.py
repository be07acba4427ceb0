"""Reading prompts into a cache, joining caches, and one pass: masks, positions, prefixes, shared beginnings.

Knows token ids only. A prompt's beginning that all rows share is read once; rows are read a few at a time,
each part padded to its own longest prompt. What follows the prompts is decode.py's.
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from engine.lm.last_layer import key_value_shape, last_position, only_at, plain_attention
from engine.lm.memory import sent
from engine.lm.prefix import fill
from engine.lm.tail import logits_of

_WORTH_SHARING_TOKENS, _WORTH_SHARING_ROWS = 32, 4
READ_TOKENS = {"cpu": 1024, "cuda": 65_536}
"""Tokens that are read at once: what a core's cache holds, and what keeps a card busy."""


class ReservedLayer(DynamicLayer):
    """A cache layer whose room is taken at once, so that a step copies only what is new."""

    def __init__(self, rows: int, room: int) -> None:
        super().__init__()
        self._rows, self._room, self._used = rows, room, 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        _, heads, _, size = key_states.shape
        self._all_keys = key_states.new_zeros(self._rows, heads, self._room, size)
        self._all_values = value_states.new_zeros(self._rows, heads, self._room, value_states.shape[-1])
        self.is_initialized = True

    @property
    def held(self) -> tuple[Tensor, Tensor]:
        """The keys and values so far, [rows, heads, used, size] each."""
        return self._all_keys[:, :, : self._used], self._all_values[:, :, : self._used]

    def place(self, rows: slice, end: int, keys: Tensor, values: Tensor) -> None:
        """Put what a part of the rows has read [b, heads, n, size] so that it ends at position `end`."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        self._all_keys[rows, :, end - keys.shape[2] : end] = keys
        self._all_values[rows, :, end - values.shape[2] : end] = values
        self._used = end
        self._show()

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        end = self._used + key_states.shape[-2]
        self.place(slice(None), end, key_states, value_states)
        return self._all_keys[:, :, :end], self._all_values[:, :, :end]

    def batch_select_indices(self, indices: Tensor) -> None:
        self._all_keys, self._all_values = self._all_keys[indices], self._all_values[indices]
        self._rows = len(indices)
        self._show()

    def _show(self) -> None:
        self.keys, self.values = self.held


def read_prompts(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    prefixes: Sequence[Tensor | None],
    max_new_tokens: int,
    share_prefix: bool,
    on_rows: Callable[[Sequence[int]], None],
    *,
    cache_of: Callable[[PreTrainedModel, int, int], DynamicCache] | None = None,
) -> tuple[Tensor, DynamicCache, Tensor]:
    """Read the prompts, a few rows at a time; return logits [B, V], the cache and who is seen [B, T].

    A part of the rows fits the processor's cache and is padded to its own longest prompt only. In the
    batch's cache, which `cache_of` makes for so many rows and positions, all prompts end at one position.
    """
    splits = can_be_placed(new_cache(model, 1, 1))
    shared = _worth_sharing(prompts) if share_prefix and splits else 0
    trained = max((len(prefix) for prefix in prefixes if prefix is not None), default=0)
    before, width = trained + shared, max(map(len, prompts)) - shared
    rest = [list(prompt[shared:]) for prompt in prompts]
    seen = sent(_seen(rest, prefixes, trained, before), model.device)
    cache = (cache_of or new_cache)(model, len(prompts), before + width + max_new_tokens)
    common: DynamicCache | None = None
    if shared:
        on_rows([0])
        common = new_cache(model, 1, before)
        _fill_trained(common, prefixes[:1], trained, model)
        beginning = torch.tensor([prompts[0][:shared]], device=model.device)
        forward(model, beginning, seen[:1, :before], common)
    most = READ_TOKENS.get(model.device.type, 8192)
    parts = _parts([len(one) for one in rest], most) if splits else [slice(0, len(prompts))]
    logits = []
    for part in parts:
        on_rows(range(len(prompts))[part])
        longest = max(map(len, rest[part]))
        ids = torch.tensor([[0] * (longest - len(one)) + one for one in rest[part]])
        own = cache if len(parts) == 1 else new_cache(model, len(ids), before + longest)
        if common is not None:
            _copy(common, own, len(ids))
        else:
            _fill_trained(own, prefixes[part], trained, model)
        mine = torch.cat([seen[part, :before], seen[part, before + width - longest :]], dim=1)
        logits.append(forward(model, sent(ids, model.device), mine, own))
        if own is not cache:
            _place(own, cache, part, before, before + width)
    return torch.cat(logits), cache, seen


def _worth_sharing(prompts: Sequence[Sequence[int]]) -> int:
    """Return how long a beginning of all prompts is read once, in tokens; 0 where that would save little."""
    if len(prompts) < _WORTH_SHARING_ROWS:
        return 0
    shared = _common_prefix(prompts)
    return shared if shared >= _WORTH_SHARING_TOKENS else 0


def _seen(
    rest: Sequence[Sequence[int]], prefixes: Sequence[Tensor | None], trained: int, before: int
) -> Tensor:
    """Return which positions hold something of each row [B, T]: of the `trained` first ones its own prefix,
    then all up to `before`, then what is the `rest` of its prompt, which ends at the end."""
    end = before + max(map(len, rest))
    starts = torch.tensor([end - len(one) for one in rest])
    seen = torch.arange(end) >= starts[:, None]
    seen[:, trained:before] = True
    for row, prefix in enumerate(prefixes if trained else ()):
        seen[row, trained - (0 if prefix is None else len(prefix)) : trained] = True
    return seen


def _place(own: DynamicCache, whole: DynamicCache, part: slice, before: int, end: int) -> None:
    """Put what a part of the rows has read where it belongs: its first `before` positions, and its last
    ones so that they end at `end`."""
    for layer, theirs in zip(_reserved(whole), _reserved(own), strict=True):
        keys, values = theirs.held
        if before:
            layer.place(part, before, keys[:, :, :before], values[:, :, :before])
        layer.place(part, end, keys[:, :, before:], values[:, :, before:])


def _parts(lengths: Sequence[int], tokens: int) -> list[slice]:
    """Return consecutive slices of rows, each of at most `tokens` with its padding, or of one row."""
    parts, start = [], 0
    for row in range(1, len(lengths) + 1):
        if row == len(lengths) or (row + 1 - start) * max(lengths[start : row + 1]) > tokens:
            parts.append(slice(start, row))
            start = row
    return parts


def _reserved(cache: DynamicCache) -> list[ReservedLayer]:
    return [layer for layer in cache.layers if isinstance(layer, ReservedLayer)]


def can_be_placed(cache: DynamicCache) -> bool:
    """Say whether all layers keep plain keys and values, so that rows can be put beside others."""
    return all(isinstance(layer, ReservedLayer) for layer in cache.layers)


def _copy(common: DynamicCache, own: DynamicCache, rows: int) -> None:
    for number, layer in enumerate(_reserved(common)):
        keys, values = layer.held
        own.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)


def _fill_trained(
    cache: DynamicCache, prefixes: Sequence[Tensor | None], length: int, model: PreTrainedModel
) -> None:
    """Put the rows' prefixes first; where one is shorter or missing, positions that nobody sees."""
    if not length:
        return
    layers, heads, size = key_value_shape(model)
    nothing = torch.zeros(0, layers * 2 * heads * size)
    states = [nothing if prefix is None else prefix for prefix in prefixes]
    states = [pad(one, (0, 0, length - len(one), 0)) for one in states]
    fill(cache, torch.stack(states).to(model.device), model)


def forward(model: PreTrainedModel, ids: Tensor, seen: Tensor, cache: DynamicCache) -> Tensor:
    """Return the logits [B, V] after the last of `ids` [B, T]; `seen` [B, past + T] marks real tokens."""
    decoder: Any = model.get_decoder()
    given: dict[str, Any] = {}
    if takes_positions(type(decoder).forward):
        given["position_ids"] = (seen.long().cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    with _last_alone(model, ids) if ids.shape[1] > 1 else nullcontext():
        hidden = decoder(
            input_ids=ids,
            attention_mask=_mask(model, seen, ids.shape[1]),
            past_key_values=cache,
            use_cache=True,
            **given,
        ).last_hidden_state
    return logits_of(model, hidden[:, -1].contiguous())


def joined(
    model: PreTrainedModel, parts: Sequence[tuple[DynamicCache, Tensor]], more: int
) -> tuple[DynamicCache, Tensor]:
    """Return one cache and who is seen [B, T] for the rows of several, with room for `more` tokens.

    All rows end at the same position; positions before them that no row sees are left out. Each cache must
    be one that can_be_placed.
    """
    used = [int(seen.any(dim=0).float().argmax()) for _, seen in parts]
    lengths = [seen.shape[1] - first for (_, seen), first in zip(parts, used, strict=True)]
    rows, end = sum(len(seen) for _, seen in parts), max(lengths)
    whole = new_cache(model, rows, end + more)
    shown = parts[0][1].new_zeros(rows, end)
    start = 0
    for (cache, seen), length in zip(parts, lengths, strict=True):
        part = slice(start, start + len(seen))
        shown[part, end - length :] = seen[:, seen.shape[1] - length :]
        for layer, theirs in zip(_reserved(whole), _reserved(cache), strict=True):
            keys, values = theirs.held
            if not layer.is_initialized:
                layer.lazy_initialization(keys, values)
            layer.place(part, end, keys[:, :, -length:], values[:, :, -length:])
        start = part.stop
    return whole, shown


def _last_alone(model: PreTrainedModel, ids: Tensor) -> AbstractContextManager[None]:
    """Run the last layer's feed-forward block at each row's last position alone."""
    if ids.device.type != "cuda":
        return only_at(model, last_position(ids))
    rows, width = ids.shape
    last = torch.arange(1, rows + 1, device=ids.device) * width - 1
    return only_at(model, last, (rows, width))


def _mask(model: PreTrainedModel, seen: Tensor, new: int) -> Tensor:
    """Return what each new token sees: [B, 1, T, past + T]; models with windows make their own."""
    if not plain_attention(model):
        return seen.long()
    total = seen.shape[1]
    place = torch.arange(total, device=seen.device)
    causal = place[None, :] <= place[total - new :, None]
    itself = place[None, :] == place[total - new :, None]
    return ((causal & seen[:, None]) | itself)[:, None]


def new_cache(model: PreTrainedModel, rows: int, room: int) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    cache.layers = [
        ReservedLayer(rows, room) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


@lru_cache(maxsize=16)
def takes_positions(forward: Callable[..., Any]) -> bool:
    return "position_ids" in inspect.signature(forward).parameters


def _common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all prompts begin with, at most all but the last of the shortest."""
    first, last = min(map(list, prompts)), max(map(list, prompts))
    most = min(len(prompt) for prompt in prompts) - 1
    return next((place for place in range(most) if first[place] != last[place]), most)
