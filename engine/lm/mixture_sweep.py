"""Mixtures of the same rows with many weights at once: what a sweep of the weight costs about once.

A request is read once for all weights. Weights that have chosen the same tokens so far share their rows, and
part where they first disagree, so the cost grows with the number of different replies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.lm.bank import Change, Rows
from engine.lm.ends import Ends, ends_of
from engine.lm.generate import batches
from engine.lm.kernels import DEFAULT, Kernels
from engine.lm.memory import is_out_of_memory
from engine.lm.mixture import Strand, grouped, refuse_power
from engine.lm.plan import BATCH_ROWS
from engine.lm.reading import forward, read_prompts


@dataclass(frozen=True, slots=True)
class Weighed:
    """One row of a request: its prompt (token ids), its change to the model, its share under each weight.

    `coefficient` and `group` are those of engine/lm/mixture.py.
    """

    ids: Sequence[int]
    change: Change | None
    shares: tuple[float, ...]
    coefficient: float = 1.0
    group: int | None = None


def weighed(row: Strand, weights: Sequence[float], *, beside: int = 0) -> Weighed:
    """Return a row of one side: its share under each weight, and its group put `beside` so many others."""
    refuse_power(row.power)
    group = None if row.group is None else row.group + beside
    return Weighed(
        row.ids, row.change, tuple(weight * row.weight for weight in weights), row.coefficient, group
    )


@dataclass(frozen=True, slots=True)
class _Branch:
    """Weights, by their place, of one request that have said the same so far."""

    request: int
    weights: tuple[int, ...]


@torch.inference_mode()
def sweep(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Sequence[Weighed]],
    *,
    max_new_tokens: int = 64,
    rows: int = BATCH_ROWS,
    kernels: Kernels = DEFAULT,
    on_batch: Callable[[Mapping[int, list[str]]], None] = lambda made: None,
    known: Mapping[int, list[str]] | None = None,
) -> list[list[str]]:
    """Return for each request its greedy reply under each weight.

    All rows hold as many shares as there are weights; the shares of a request's rows sum to 1 for each.
    `on_batch` gets the replies of every batch by the requests' numbers, and may raise to stop; batches that
    are all `known` from before are left out.
    """
    if not requests:
        return []
    most = max(len(request) for request in requests)
    longest = [max(len(row.ids) for row in request) for request in requests]
    ends = ends_of(model, tokenizer)
    said = dict(known or {})
    for places in batches(longest, max(1, rows // most)):
        if said.keys() >= set(places):
            continue
        asked = [requests[place] for place in places]
        made = {
            place: [ends.said(tokenizer, tokens) for tokens in each]
            for place, each in zip(
                places, _decode(model, tokenizer, asked, max_new_tokens, kernels, ends), strict=True
            )
        }
        said |= made
        on_batch(made)
    return [said[place] for place in range(len(requests))]


def _decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[Sequence[Weighed]],
    max_new_tokens: int,
    kernels: Kernels,
    ends: Ends,
) -> list[list[list[int]]]:
    """Return request -> weight -> tokens of one batch; where a device has no room, of its two halves."""
    try:
        return _Batch(model, requests, max_new_tokens, kernels).decode(tokenizer, ends)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(requests) == 1:
            raise
    half = len(requests) // 2
    return [
        each
        for part in (requests[:half], requests[half:])
        for each in _decode(model, tokenizer, part, max_new_tokens, kernels, ends)
    ]


class _Batch:
    """One batch: which rows belong to which request, and what is said under each weight."""

    def __init__(
        self,
        model: PreTrainedModel,
        requests: Sequence[Sequence[Weighed]],
        max_new_tokens: int,
        kernels: Kernels,
    ) -> None:
        self._model, self._most = model, max_new_tokens
        self._rows = [row for request in requests for row in request]
        first, self._of = 0, list[range]()
        for request in requests:
            self._of.append(range(first, first + len(request)))
            first += len(request)
        self._adapters = Rows(model, [row.change for row in self._rows], kernel=kernels.mixed)
        self._shares = torch.tensor(
            [row.shares for row in self._rows], device=model.device
        )  # [rows, weights]
        self._coefficients = torch.tensor([row.coefficient for row in self._rows], device=model.device)
        groups = [
            -1 - place if row.group is None else row.group
            for request in requests
            for place, row in enumerate(request)
        ]
        on_logits = any(row.group is not None for row in self._rows)
        self._groups = torch.tensor(groups, device=model.device) if on_logits else None

    def decode(self, tokenizer: PreTrainedTokenizerBase, ends: Ends) -> list[list[list[int]]]:
        """Return request -> weight -> tokens, without the token that ended them."""
        count = self._shares.shape[1]
        said: list[list[list[int]]] = [[[] for _ in range(count)] for _ in self._of]
        branches = [_Branch(number, tuple(range(count))) for number in range(len(self._of))]
        with self._adapters.on():
            logits, cache, seen = read_prompts(
                self._model,
                [row.ids for row in self._rows],
                [row.change.prefix if row.change else None for row in self._rows],
                self._most,
                False,
                self._adapters.choose,
            )
            self._adapters.choose(range(len(self._rows)))
            for step in range(self._most):
                parted = self._part(logits, branches)
                going = [(place, branch, token) for place, branch, token in parted if token not in ends.ids]
                for _, branch, token in going:
                    for weight in branch.weights:
                        said[branch.request][weight].append(token)
                going = [
                    (place, branch, token)
                    for place, branch, token in going
                    if not ends.over(tokenizer, said[branch.request][branch.weights[0]])
                ]
                if not going or step == self._most - 1:
                    break
                fed, kept = self._fed(branches, going)
                branches = [branch for _, branch, _ in going]
                if kept != list(range(len(seen))):
                    chosen = torch.tensor(kept, device=seen.device)
                    cache.batch_select_indices(chosen)
                    seen = seen[chosen]
                    self._adapters.choose([row for branch in branches for row in self._of[branch.request]])
                seen = torch.cat([seen, seen.new_ones(len(seen), 1)], dim=1)
                logits = forward(self._model, fed, seen, cache)
        return said

    def _part(self, logits: Tensor, branches: Sequence[_Branch]) -> list[tuple[int, _Branch, int]]:
        """Return (place of the parent, branch, its next token): one for each token chosen."""
        shares, start, found = logits.float().softmax(dim=-1), 0, []
        for place, branch in enumerate(branches):
            own = self._of[branch.request]
            weights = self._shares[own.start : own.stop][:, list(branch.weights)]
            chances = shares[start : start + len(own)]
            if self._groups is not None:
                together = logits[start : start + len(own)]
                on_logits, first = grouped(
                    together, self._groups[own.start : own.stop], self._coefficients[own.start : own.stop]
                )
                chances, weights = on_logits.softmax(dim=-1), weights[first]
            tokens = (weights.T @ chances).argmax(dim=-1).tolist()
            start += len(own)
            for token in dict.fromkeys(tokens):
                same = tuple(one for one, its in zip(branch.weights, tokens, strict=True) if its == token)
                found.append((place, _Branch(branch.request, same), int(token)))
        return found

    def _fed(
        self, before: Sequence[_Branch], going: Sequence[tuple[int, _Branch, int]]
    ) -> tuple[Tensor, list[int]]:
        """Return what the next pass is fed [rows, 1], and which of the rows before each row goes on from."""
        starts, first = [], 0
        for branch in before:
            starts.append(first)
            first += len(self._of[branch.request])
        tokens, kept = list[int](), list[int]()
        for place, branch, token in going:
            size = len(self._of[branch.request])
            kept += range(starts[place], starts[place] + size)
            tokens += [token] * size
        return torch.tensor(tokens, device=self._model.device).unsqueeze(1), kept
