"""Which kernel serves which rows: a cost model measured once for a machine and frozen in each workspace.

Texts may change with the kernel where numbers are rounded coarsely, so the choice must not follow the noise
of timing: it is a rule on counts (`Kernels`), kept in the workspace and named in every score's protocol.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from typing import Literal, NotRequired

import torch
from typing_extensions import TypedDict

from engine.core.locks import locked
from engine.core.paths import Workspace, read_if_whole, user_folder, write_json
from engine.lm.adapters import fresh, linear_layers, targets
from engine.lm.bank import Change, Rows, change_of, written
from engine.lm.decode import decode
from engine.lm.lanes import is_small, one_lane
from engine.lm.load import Base
from engine.lm.plan import plan_for
from engine.lm.shape import LoraShape
from engine.lm.vocabulary import embedding_rows
from engine.lm.window import prompt_room

Mixed = Literal["stacked", "masked"]
_PROMPT, _NEW = 160, 16
_FEW, _MANY, _MANY_OF_LARGE = 4, 64, 16
"""Rows of the timed batches. 64 is a whole batch: what masking costs grows with the adapters in it."""
_HIGHEST = 64


@dataclass(frozen=True, slots=True)
class Kernels:
    """The rule: a change with at least `written_from` rows is written into the weights; others are `mixed`.

    `mixed` names the kernel of batches whose rows have different changes.
    """

    written_from: int = 12
    mixed: Mixed = "stacked"

    @property
    def policy(self) -> str:
        """The protocol's word for it."""
        return f"written from {self.written_from} rows, else {self.mixed}"


DEFAULT = Kernels()
STATIC = Kernels(written_from=256)
"""With static steps a batch of its own pays for a change with some hundred rows; nothing is timed."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, measured: a batch of few and of many rows, the same many rows mixed, one change written."""

    few_rows: float
    many_rows: float
    stacked: float
    masked: float
    write: float
    rows: int = _MANY

    def rule(self) -> Kernels:
        """Return the rule that these costs make the cheapest.

        A batch of n rows costs about fixed + n * each. n rows of one change are written into the weights
        where that beats their share of full mixed batches.
        """
        each = max(0.0, (self.many_rows - self.few_rows) / (self.rows - _FEW))
        fixed = max(0.0, self.few_rows - _FEW * each)
        mixed: Mixed = "stacked" if self.stacked <= self.masked else "masked"
        mixed_each = min(self.stacked, self.masked) / self.rows
        saved = mixed_each - each
        needed = (self.write + fixed) / saved if saved > 0 else float(_HIGHEST)
        power = next((n for n in (1, 2, 4, 8, 16, 32) if n >= needed), _HIGHEST)
        return Kernels(power, mixed)


def kernels_for(ws: Workspace, base: Base) -> Kernels:
    """Return the workspace's rule for a base; measured on this machine when nobody did before.

    Where steps are static the rule is the same everywhere.
    """
    if plan_for(base.model).static:
        return STATIC
    frozen = ws.data / "kernels.json"
    with locked(ws.data / ".kernels.lock", what="The choice of kernels"):
        rules = read_if_whole(frozen, dict[str, _Rule]) or {}  # of a torn file this machine has a copy
        key = _key(base)
        if key not in rules:
            rules[key] = _of_this_machine(base, key)
            write_json(frozen, rules)
    return Kernels(rules[key]["written_from"], rules[key]["mixed"])


class _Rule(TypedDict):
    """A rule as it is kept, and what was measured for it."""

    written_from: int
    mixed: Mixed
    costs: NotRequired[dict[str, float]]


def _of_this_machine(base: Base, key: str) -> _Rule:
    path = user_folder("cache") / f"kernels-{key.replace('/', '_')}.json"
    if (kept := read_if_whole(path, _Rule)) is not None:
        return kept
    costs = measure(base)
    best = costs.rule()
    rule = _Rule(written_from=best.written_from, mixed=best.mixed, costs=asdict(costs))
    with suppress(OSError):  # a home that cannot be written costs the next workspace a few seconds
        write_json(path, rule)
    return rule


def _key(base: Base) -> str:
    config = base.model.config
    shape = (config.model_type, getattr(config, "hidden_size", 0), getattr(config, "num_hidden_layers", 0))
    return "-".join(map(str, (*shape, base.device, base.dtype)))


@torch.inference_mode()
def measure(base: Base) -> Costs:
    """Measure this machine's costs on a base with adapters of rank 8: some seconds for a small one."""
    names = sorted({path.rsplit(".", 1)[-1] for path in linear_layers(base.model)})
    usual = tuple(name for name in ("q_proj", "v_proj") if name in names) or (names[0],)
    modules = targets(base.model, usual)
    form = LoraShape(target_modules=list(usual))
    many = _MANY if is_small(base.model) else _MANY_OF_LARGE
    changes: list[Change | None] = [
        change_of([(fresh(modules, form, seed=number), 1.0)]) for number in range(many)
    ]
    vocabulary = embedding_rows(base.model)
    length = min(_PROMPT, prompt_room(base.model, _NEW))
    prompts = [[(7 * place + row) % vocabulary for place in range(length)] for row in range(many)]

    def answer(count: int, rows: Rows | None = None) -> Callable[[], object]:
        def once() -> None:
            with rows.on() if rows else nullcontext():
                decode(
                    base.model,
                    prompts[:count],
                    max_new_tokens=_NEW,
                    end_ids=frozenset(),
                    share_prefix=False,
                    on_rows=rows.choose if rows else lambda _: None,
                )

        return once

    def write() -> None:
        with written(base.model, changes[0]):
            pass

    with one_lane(base.model):
        return Costs(
            few_rows=_seconds(answer(_FEW)),
            many_rows=_seconds(answer(many)),
            stacked=_seconds(answer(many, Rows(base.model, changes, kernel="stacked"))),
            masked=_seconds(answer(many, Rows(base.model, changes, kernel="masked"))),
            write=_seconds(write),
            rows=many,
        )


def _seconds(work: Callable[[], object]) -> float:
    """Return the least of two times, after one for warming up."""
    work()
    times = []
    for _ in range(2):
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)
