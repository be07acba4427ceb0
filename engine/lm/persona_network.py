"""Networks from what is known of a persona to what acts for her: a prefix, or a low-rank change of layers.

What is known, x, becomes a short code, c = V x + b; what acts is a sum over its parts, trained with it: a
prefix P + sum c_k P_k, or a change of each layer sum c_k B_k A_k. Trained over all personas at once through
the same trainer as adapters, of which it is one: a row of a batch names what is known of its persona. Owns
the two forms and the file of a network. Chooses nobody to train on.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import DynamicCache, PreTrainedModel

from engine.core.paths import write_atomically
from engine.lm.adapters import Lora, save_lora, targets
from engine.lm.attention import prefer_causal_blocks
from engine.lm.effects import Prefix, Stored, Weights
from engine.lm.encode import Encoded
from engine.lm.forms import Drop, LoraForm
from engine.lm.lanes import Lanes
from engine.lm.merge_learned import beside
from engine.lm.packing import Drill
from engine.lm.passes import Passes
from engine.lm.prefix import PrefixForm, PrefixStates, fill, save_prefix
from engine.lm.shape import LoraShape
from engine.lm.tensor_file import packed

_V, _BIAS = "code|V", "code|b"
_MIDDLE, _PARTS = "prefix|middle", "prefix|parts"
_A, _B = "|A", "|B"
NETWORK = "network.safetensors"
_SHARE = 0.1
"""What is known is many small numbers that all move a code at once; so much of it keeps codes from running
away under the rate that suits what acts."""


class CodeForm:
    """What both forms share: the code of each row of what is `known` [N, d], told apart by its place."""

    dropout = 0.0
    shared = True
    """Rows of a batch name what is known of their personas; there is one network for all."""

    def __init__(self, known: Tensor, size: int) -> None:
        self.known, self.size = _SHARE * known, size
        self._there: dict[torch.device, Tensor] = {}

    def start_of_code(self, *, seed: int) -> dict[str, Tensor]:
        """Return a V that gives codes a length of about 1, and no bias."""
        random = torch.Generator().manual_seed(seed)
        return {
            _V: torch.randn(self.size, self.known.shape[1], generator=random) / (_SHARE * self.size**0.5),
            _BIAS: torch.zeros(self.size),
        }

    def code_along(self, told: Tensor) -> dict[str, Tensor]:
        """Return a V whose codes say where somebody is along what tells the rows `told` [n, d] apart most.

        Its rows are their principal directions, so that codes are as near to each other as what they are made
        of; those beyond the n are 0. A random V keeps little of that in so few numbers.
        """
        _, _, directions = torch.linalg.svd(told, full_matrices=False)
        v = torch.zeros(self.size, told.shape[1])
        v[: len(directions)] = directions[: self.size] / _SHARE
        return {_V: v}

    def save(self, tensors: Mapping[str, Tensor], folder: Path, *, base: str) -> None:
        """Write the network as one file; it says nothing of the base."""
        write_atomically(folder / NETWORK, packed(tensors))

    def codes(self, stacked: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Return the codes [B, K] of these rows of what is known; the stack [1, ...] holds one network."""
        v = stacked[_V]
        if v.device not in self._there:
            self._there[v.device] = self.known.to(v.device)
        return linear(self._there[v.device][rows], v[0], stacked[_BIAS][0])


def code_of(tensors: Mapping[str, Tensor], known: Tensor) -> Tensor:
    """Return the code [K] of one row of what is known [d] by a trained network."""
    return linear(_SHARE * known, tensors[_V], tensors[_BIAS])


class ProjectorForm(CodeForm):
    """From what is known to a prefix: P + sum over the code of c_k P_k."""

    effect = Prefix

    def __init__(self, plain: PrefixForm, known: Tensor, size: int) -> None:
        """`plain` is the form of one prefix: where it begins, and how long it is."""
        super().__init__(known, size)
        self._plain = plain

    def start(self, *, seed: int) -> dict[str, Tensor]:
        """Return a network that gives everybody the prefix that an untrained one begins as."""
        (middle,) = self._plain.start(seed=seed).values()
        return {
            **self.start_of_code(seed=seed),
            _MIDDLE: middle,
            _PARTS: torch.zeros(self.size, *middle.shape),
        }

    @contextmanager
    def applied(
        self, model: PreTrainedModel, stacked: Mapping[str, Tensor], rows: Tensor, drop: Drop | None
    ) -> Iterator[dict[str, Any]]:
        codes = self.codes(stacked, rows)
        cache = DynamicCache(config=model.config)
        fill(cache, stacked[_MIDDLE] + torch.einsum("bk,kpw->bpw", codes, stacked[_PARTS][0]), model)
        yield {"past_key_values": cache}

    def put(
        self,
        tensors: Mapping[str, Tensor],
        own: Mapping[str, Tensor],
        models: Path,
        *,
        run: str,
        base: str,
        model: PreTrainedModel,
    ) -> dict[str, list[Stored]]:
        """Write a prefix for each folder name's row of what is known; return what acts under each."""
        for name, row in own.items():
            states = tensors[_MIDDLE] + torch.einsum("k,kpw->pw", code_of(tensors, row), tensors[_PARTS])
            save_prefix(PrefixStates(states), models / name, model, base=base)
        return {name: [Prefix(run, name)] for name in own}


class MixtureForm(CodeForm):
    """From what is known to a change of each layer: sum over the code of c_k B_k A_k, each of a low rank."""

    effect = Weights

    def __init__(self, model: PreTrainedModel, shape: LoraShape, known: Tensor, size: int) -> None:
        super().__init__(known, size)
        self.shape = shape.model_copy(update={"dropout": 0.0})
        self._plain = LoraForm(model, self.shape)
        self._paths = tuple(targets(model, shape.target_modules))

    def start(self, *, seed: int) -> dict[str, Tensor]:
        """Return a network that changes nothing yet: each B_k is 0."""
        drawn = [self._plain.start(seed=seed + part) for part in range(self.size)]
        return {
            **self.start_of_code(seed=seed),
            **{name: torch.stack([one[name] for one in drawn]) for name in drawn[0]},
        }

    @contextmanager
    def applied(
        self, model: PreTrainedModel, stacked: Mapping[str, Tensor], rows: Tensor, drop: Drop | None
    ) -> Iterator[dict[str, Any]]:
        codes = self.codes(stacked, rows) * self.shape.scale
        with ExitStack() as hooked:
            for path in self._paths:
                a, b = (stacked[path + end][0].to(model.dtype) for end in (_A, _B))
                hook = beside((a.flatten(0, 1), b.transpose(0, 1).flatten(1)), codes)
                hooked.enter_context(model.get_submodule(path).register_forward_hook(hook))
            yield {}

    def put(
        self,
        tensors: Mapping[str, Tensor],
        own: Mapping[str, Tensor],
        models: Path,
        *,
        run: str,
        base: str,
        model: PreTrainedModel,
    ) -> dict[str, list[Stored]]:
        """Write the parts as adapters; a persona's are their sum by her code. Returns what acts for each."""
        for part in range(self.size):
            factors = {path: (tensors[path + _A][part], tensors[path + _B][part]) for path in self._paths}
            lora = Lora(factors, self.shape.scale)
            kind = str(model.config.model_type)
            save_lora(lora, self.shape, models / _part(part), base=base, architecture=kind)
        return {
            name: [Weights(run, _part(part), one) for part, one in enumerate(code_of(tensors, row).tolist())]
            for name, row in own.items()
        }


NetworkForm = ProjectorForm | MixtureForm


def loss_of(
    model: PreTrainedModel,
    form: NetworkForm,
    tensors: Mapping[str, Tensor],
    rows: Sequence[Encoded],
    *,
    pad_id: int,
) -> float:
    """Return a network's mean loss over all reply tokens of `rows`, in nats."""
    stacked = {name: tensor.unsqueeze(0).to(model.device) for name, tensor in tensors.items()}
    with Lanes(model, prepare=prefer_causal_blocks) as lanes:
        passes = Passes(lanes, form, pad_id=pad_id, say=lambda _: None)
        (loss,) = passes.losses(stacked, [Drill(0, row) for row in rows])
    return loss


def _part(number: int) -> str:
    return f"part-{number}"
