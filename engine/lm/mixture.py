"""Answers of several recipes in lockstep: their logits or probabilities are put together token by token.

p(next) = sum over groups of weight * softmax(sum over the group's rows of coefficient * logits), each row by
its own prompt, change and cache; all rows of a request are in one batch and read the one token that is
chosen. Where every row is a group of its own that is a mixture of probabilities, which is not a merge of
weights; one group steers logits by logits. Where a mixture itself is steered there are several pools of such
groups, and p(next) = softmax(sum over pools of power * log of the pool's p(next)). Requests of one row go the
plain way (engine/lm/generate.py).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.core.errors import EngineError
from engine.lm.bank import Change, Rows
from engine.lm.ends import ends_of
from engine.lm.generate import Decoding, Reply, batches, decoding_until, generate, plan_batches
from engine.lm.kernels import DEFAULT, Kernels
from engine.lm.memory import is_out_of_memory
from engine.lm.plan import Batching, plan_for
from engine.lm.static_steps import StaticSteps


@dataclass(frozen=True, slots=True)
class Strand:
    """One row of a batch: a prompt (token ids), what is changed in the model, its share in the next token.

    Rows of one request that name the same `group` are put together on logits, by their `coefficient`; they
    have one weight. None is a group of its own. Groups of one `pool` are put together on probabilities, and
    pools on their logarithms, by their `power`.
    """

    ids: Sequence[int]
    change: Change | None = None
    weight: float = 1.0
    coefficient: float = 1.0
    group: int | None = None
    pool: int = 0
    power: float = 1.0


def refuse_power(power: float) -> None:
    """Raise EngineError where a side of a mixture would be what is steered over a mixture itself."""
    if power != 1:
        raise EngineError(
            "What is steered over a mixture cannot be one side of another mixture.",
            "Mix first, then steer the mixture: --set over=mixture",
        )


Request = Sequence[Strand]
"""The rows that answer together; the weights of a pool's groups sum to 1."""


class Lockstep:
    """How the rows of a batch, request after request, come to one token each."""

    def __init__(self, requests: Sequence[Request], device: torch.device) -> None:
        self.rows = [row for request in requests for row in request]
        groups = [
            (number, -1 - place if row.group is None else row.group)
            for number, request in enumerate(requests)
            for place, row in enumerate(request)
        ]
        order = {group: place for place, group in enumerate(dict.fromkeys(groups))}
        self._groups = torch.tensor([order[group] for group in groups], device=device)
        self._owners = torch.tensor([number for number, _ in groups], device=device)
        self._weights = torch.tensor([row.weight for row in self.rows], device=device)
        self._coefficients = torch.tensor([row.coefficient for row in self.rows], device=device)
        self._on_logits = any(row.group is not None or row.coefficient != 1 for row in self.rows)
        self._pools, self._powers = None, torch.tensor([row.power for row in self.rows], device=device)
        if any(row.power != 1 for row in self.rows):
            pools = [(number, row.pool) for number, request in enumerate(requests) for row in request]
            place = {pool: at for at, pool in enumerate(dict.fromkeys(pools))}
            self._pools = torch.tensor([place[pool] for pool in pools], device=device)
        self._left: tuple[Sequence[int], _Together] | None = None

    def choose(self, logits: Tensor, going: Sequence[int]) -> Tensor:
        """Return each row's token [B], the likeliest of its request; `going` numbers the rows of `logits`."""
        shares, owners = self.shares(logits, going)
        return shares.argmax(dim=-1)[owners]

    def shares(self, logits: Tensor, going: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return each request's probabilities [R, V] for the next token, and the request of each row [B]."""
        if self._left is None or self._left[0] != going:
            self._left = list(going), self._together(going)
        own = self._left[1]
        if self._pools is not None:
            return self._of_pools(logits, going, own, self._pools), own.row_requests
        if own.first is not None:
            logits = _added_up(logits, own.groups, own.coefficients, len(own.first))
        return summed(logits, own.requests, own.weights, own.count), own.row_requests

    def _of_pools(self, logits: Tensor, going: Sequence[int], own: "_Together", pools_of: Tensor) -> Tensor:
        left = torch.tensor(list(going), device=self._owners.device)
        groups, first = _numbered(self._groups[left])
        pools, first_of_pool = _numbered(pools_of[left][first])
        chances = _added_up(logits, groups, self._coefficients[left], len(first)).log_softmax(dim=-1)
        chances += self._weights[left][first].log()[:, None]
        most = chances.new_full((len(first_of_pool), chances.shape[-1]), -torch.inf)
        most.scatter_reduce_(0, pools[:, None].expand_as(chances), chances, "amax")
        total = torch.zeros_like(most).index_add_(0, pools, (chances - most[pools]).exp())
        rows = first[first_of_pool]
        powers, requests = self._powers[left][rows], own.row_requests[rows]
        return _added_up(most + total.log(), requests, powers, own.count).softmax(dim=-1)

    def _together(self, going: Sequence[int]) -> "_Together":
        """Return which rows go together as long as these go: worked out once, and not at every token."""
        left = torch.tensor(list(going), device=self._owners.device)
        numbers, row_requests = torch.unique(self._owners[left], return_inverse=True)
        weights, coefficients = self._weights[left], self._coefficients[left]
        if not self._on_logits:
            return _Together(
                row_requests, row_requests, weights, len(numbers), row_requests, coefficients, None
            )
        groups, first = _numbered(self._groups[left])
        return _Together(
            row_requests, row_requests[first], weights[first], len(numbers), groups, coefficients, first
        )


@dataclass(frozen=True, slots=True)
class _Together:
    """Which rows go together: `row_requests` [B] of each row, `requests` and `weights` of each group."""

    row_requests: Tensor
    requests: Tensor
    weights: Tensor
    count: int
    groups: Tensor
    coefficients: Tensor
    first: Tensor | None


def grouped(logits: Tensor, groups: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of each group [G, V] in fp32, in their order, and the first row of each [G]."""
    own, first = _numbered(groups)
    return _added_up(logits, own, coefficients, len(first)), first


def _numbered(groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return the groups of rows numbered from 0 [B], and the first row of each [G]."""
    numbers, own = torch.unique(groups, return_inverse=True)
    places = torch.arange(len(own), device=own.device)
    first = places.new_full((len(numbers),), len(own)).scatter_reduce_(0, own, places, "amin")
    return own, first


def _added_up(logits: Tensor, groups: Tensor, coefficients: Tensor, count: int) -> Tensor:
    total = logits.new_zeros(count, logits.shape[-1], dtype=torch.float32)
    return total.index_add_(0, groups, logits.float() * coefficients[:, None])


def summed(logits: Tensor, requests: Tensor, weights: Tensor, count: int | None = None) -> Tensor:
    """Return the mixtures' probabilities [R, V] in fp32: of each request the weighted sum over its rows.

    `logits` is [B, V], `requests` [B] numbers the request of each row from 0, `weights` is [B]; `count` is
    how many requests there are, where it is known.
    """
    shares = logits.float().softmax(dim=-1) * weights[:, None]
    total = shares.new_zeros(int(requests.max()) + 1 if count is None else count, logits.shape[-1])
    return total.index_add_(0, requests, shares)


@torch.inference_mode()
def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Request],
    *,
    max_new_tokens: int = 64,
    rows: int | None = None,
    plan: Batching | None = None,
    kernels: Kernels = DEFAULT,
    on_batch: Callable[[list[int], list[Reply]], None] | None = None,
    skip: frozenset[int] = frozenset(),
) -> list[Reply]:
    """Return a greedy reply for each request, in order; those in `skip` are left out.

    Takes what `generate` takes. A reply's `prompt_tokens` counts the prompts of all its rows.
    """
    plan = plan or plan_for(model)
    rows = rows or plan.rows
    plain = [number for number, request in enumerate(requests) if len(request) == 1]
    several = [number for number, request in enumerate(requests) if len(request) > 1]
    replies: dict[int, Reply] = {}

    def done(numbers: list[int], made: list[Reply]) -> None:
        replies.update(zip(numbers, made, strict=True))
        if on_batch is not None:
            on_batch(numbers, made)

    generate(
        model,
        tokenizer,
        [requests[number][0].ids for number in plain],
        changes=[requests[number][0].change for number in plain],
        max_new_tokens=max_new_tokens,
        rows=rows,
        plan=plan,
        kernels=kernels,
        on_batch=lambda places, made: done([plain[place] for place in places], made),
        skip=frozenset(place for place, number in enumerate(plain) if number in skip),
    )
    ends, steps = ends_of(model, tokenizer), plan.steps(model)
    decoding = decoding_until(ends, tokenizer, max_new_tokens)
    for numbers in _batches(requests, several, rows):
        if skip.issuperset(numbers):
            continue
        began = time.perf_counter()
        asked = [requests[number] for number in numbers]
        tokens = decode_mixed(model, asked, decoding, kernels=kernels, steps=steps)
        seconds = (time.perf_counter() - began) / len(numbers)
        made = [
            Reply(ends.said(tokenizer, new), sum(len(row.ids) for row in requests[number]), len(new), seconds)
            for number, new in zip(numbers, tokens, strict=True)
        ]
        done(numbers, made)
    return [replies[number] for number in sorted(replies)]


def batches_of(requests: Sequence[Request], *, rows: int, kernels: Kernels = DEFAULT) -> list[list[int]]:
    """Return which requests `answer` computes together, batch by batch."""
    plain = [number for number, request in enumerate(requests) if len(request) == 1]
    several = [number for number, request in enumerate(requests) if len(request) > 1]
    lengths = [len(requests[number][0].ids) for number in plain]
    changes = [requests[number][0].change for number in plain]
    planned = plan_batches(lengths, changes, rows=rows, kernels=kernels)
    return [[plain[place] for place in batch.rows] for batch in planned] + _batches(requests, several, rows)


def decode_mixed(
    model: PreTrainedModel,
    requests: Sequence[Request],
    decoding: Decoding,
    *,
    kernels: Kernels = DEFAULT,
    steps: StaticSteps | None = None,
) -> list[list[int]]:
    """Return the tokens of each request of one batch; on a device without room for all, of its two halves."""
    try:
        return _decode(model, requests, decoding, kernels, steps)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(requests) == 1:
            raise
    if steps is not None:
        steps.release()
    half = len(requests) // 2
    return [
        tokens
        for part in (requests[:half], requests[half:])
        for tokens in decode_mixed(model, part, decoding, kernels=kernels, steps=steps)
    ]


def _decode(
    model: PreTrainedModel,
    requests: Sequence[Request],
    decoding: Decoding,
    kernels: Kernels,
    steps: StaticSteps | None,
) -> list[list[int]]:
    lockstep = Lockstep(requests, model.device)
    rows = lockstep.rows
    owner = [place for place, request in enumerate(requests) for _ in request]
    held = steps.held if steps is not None else None
    adapters = Rows(model, [row.change for row in rows], kernel=kernels.mixed, held=held)
    with adapters.on():
        replies = decoding(
            model,
            [row.ids for row in rows],
            share_prefix=False,
            prefixes=[row.change.prefix if row.change else None for row in rows],
            on_rows=adapters.choose,
            choose=lockstep.choose,
            steps=steps,
            key=adapters.key,
        )
    return [replies[owner.index(place)] for place in range(len(requests))]


def _batches(requests: Sequence[Request], numbers: Sequence[int], rows: int) -> list[list[int]]:
    """Return batches of requests by the length of their longest prompt, of at most `rows` rows each."""
    if not numbers:
        return []
    most = max(len(requests[number]) for number in numbers)
    longest = [max(len(row.ids) for row in requests[number]) for number in numbers]
    return [[numbers[place] for place in places] for places in batches(longest, max(1, rows // most))]
