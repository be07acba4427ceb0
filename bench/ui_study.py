"""A large study on disk for measuring pages: a real world, and finished runs in the form that runs leave.

Import, splits, plans, specs, manifests and statistics are the real ones; only the models are left out.
Replies are drawn from the persona's own right replies and scored by the real metrics; similarities are drawn.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.core.paths import Workspace, write_json
from engine.core.types import Example
from engine.data import choose_examples, examples, load_dataset, load_splits, prepare
from engine.domains.metrics import METRICS
from engine.results.comparing.comparison import compare_variants
from engine.runs import answers, manifest
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec, State, Status, append_line, now, read_spec, write_spec
from engine.strategies.plan import look, plan

EXAMPLES = 10  # of each split and persona
PILOT = 100  # personas of a pilot
VARIETY = 200  # variants of a workspace that has lived long
_DRAWN = 4  # right replies of the same persona that a reply is drawn from; the first is the example's own
_CLUSTERS = 10
_PRIMARY = next(iter(METRICS))
_STEPS = 120
_BEGUN_STEPS = 12  # of a run that ended early


@dataclass(frozen=True, slots=True)
class Made:
    """A variant to leave: its family, how often it is right, parameters and seconds of training, upstreams
    under it (roles of its spec), memories in its prompt."""

    name: str
    family: str
    skill: float
    parameters: int = 0
    seconds: float | None = None
    over: tuple[str, ...] = ()
    memories: int = 0


_OVER_UNIFIED = ("unified",)
MADE: Mapping[str, tuple[Made, ...]] = {
    "base": (Made("base", "prompt", 0.30),),
    "profile-prompt": (Made("profile-prompt", "prompt", 0.33),),
    "unified": (Made("unified", "unified", 0.50, 24_576, 1500.0),),
    "per-persona": (Made("per-persona", "per-persona", 0.45, 24_576, 520.0),),
    "hybrid": (Made("hybrid", "hybrid", 0.57, 24_576, 530.0, _OVER_UNIFIED),),
    "prefix": (Made("prefix", "prefix", 0.35, 30_720, 540.0),),
    "global-prefix": (Made("global-prefix", "prefix", 0.40, 30_720, 700.0),),
    "prefix-unified": (Made("prefix-unified", "prefix", 0.52, 30_720, 350.0, _OVER_UNIFIED),),
    "constrained": (Made("constrained", "per-persona", 0.42, 6_144, 530.0),),
    "clustering": (),
    "cluster": (Made("cluster", "cluster", 0.46, 24_576, 430.0),),
    "cluster-from-unified": (Made("cluster-from-unified", "cluster", 0.58, 24_576, 420.0, _OVER_UNIFIED),),
    "merge-average": (Made("merge-average", "merge", 0.38),),
    "merge-cluster": (Made("merge-cluster", "merge", 0.40),),
    "merge-moe": (Made("merge-moe", "merge", 0.47),),
    "merge-soft": (Made("merge-soft", "merge", 0.39),),
    "routing": (Made("routing", "routing", 0.56),),
    "retrieval": tuple(
        Made(f"unified+retrieval-{k}", "retrieval", 0.50 + 0.02 * k, over=_OVER_UNIFIED, memories=k)
        for k in (1, 3, 5)
    ),
    "mixture": (Made("mixture-0.6", "mixture", 0.49),),
}
VARIANTS = sum(len(made) for made in MADE.values())


def make(root: Path, personas: int) -> Workspace:
    """Prepare a world of that many personas and leave 20 variants' runs; the store takes them in, and all are
    judged on test, which pages are switched to."""
    ws = Workspace(root)
    _leave_study(ws, personas)
    compare_variants(ws, split="test")
    return ws


def _leave_study(ws: Workspace, personas: int) -> _Drawer:
    """Prepare the world and leave the runs of MADE; return what further ones are drawn by."""
    prepare(ws, dataset="world:default", personas=personas, dialogues=30)
    _tell("prepared")
    drawer = _Drawer(ws)
    _tell("replies drawn and scored")
    for order, experiment in enumerate(MADE, 1):
        spec = plan(ws, experiment, seen=look(ws)).target.spec
        _leave(ws, spec, drawer, order=order)
    _tell(f"{len(MADE)} runs on all personas left")
    return drawer


def make_long(root: Path, personas: int, runs: int) -> Workspace:
    """Prepare the study of `make` and let it have lived: so many runs in all, and VARIETY variants.

    Beside the study itself there are pilots of other settings, each with a variant of its own on PILOT
    personas, and runs that failed, were cancelled, or left no scores.
    """
    ws = Workspace(root)
    drawer = _leave_study(ws, personas)
    few = drawer.of_first(PILOT)
    there = {spec.experiment: spec for spec in (read_spec(one) for one in ws.runs.iterdir())}
    pilots = [name for name in ("hybrid", "per-persona", "constrained", "cluster", "prefix") if name in there]
    for number in range(len(there), runs):
        spec = there[pilots[number % len(pilots)]]
        is_pilot = number < len(there) + VARIETY - VARIANTS
        told = {**spec.parameters, "epochs": 1 + number % 7, **({"personas": PILOT} if is_pilot else {})}
        spec = replace(spec, parameters=told, seed=number, changed=("epochs", "personas"))
        if is_pilot:
            _leave(ws, spec, few, order=number)
        else:
            _leave_ended(ws, spec, order=number)
    _tell(f"{runs} runs left")
    compare_variants(ws, split="test")
    return ws


def _tell(done: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {done}", file=sys.stderr, flush=True)


def _leave_ended(ws: Workspace, spec: RunSpec, *, order: int) -> None:
    """Leave a run that ended without scores."""
    folder = ws.run_folder(spec.run_id)
    folder.mkdir(parents=True)
    state: State = ("failed", "cancelled", "lost")[order % 3]  # type: ignore[assignment]
    with RunContext(
        ws, spec, status=Status(state="running", order=order, attempt=1, started_at=now())
    ) as context:
        _losses(context, _BEGUN_STEPS)
        context.log("it began")
    context.end(state, error="It was told to end." if state == "failed" else None)
    write_spec(folder, spec)


class _Drawer:
    """The examples, and for each of them a few replies with their metrics, from which variants draw."""

    def __init__(self, ws: Workspace) -> None:
        dataset, splits = load_dataset(ws), load_splits(ws)
        self.personas = [persona.persona_id for persona in dataset.personas]
        self.draw = np.random.default_rng(0)
        self.leaning = self.draw.normal(0, 0.12, (len(self.personas), VARIANTS))  # of a persona to a variant
        self.chosen = {
            split: choose_examples(examples(dataset, splits, split), EXAMPLES)  # type: ignore[arg-type]
            for split in ("val", "test")
        }
        self.memories = _memories(choose_examples(examples(dataset, splits, "train"), 5))
        self.replies = {split: _scored_replies(found) for split, found in self.chosen.items()}
        self._place = 0

    def of_first(self, count: int) -> _Drawer:
        """Return one that draws for the first so many personas alone."""
        few, named = copy.copy(self), frozenset(self.personas[:count])
        kept = {split: [one.persona_id in named for one in found] for split, found in self.chosen.items()}
        few.chosen = {split: list(compress(found, kept[split])) for split, found in self.chosen.items()}
        few.replies = {
            split: held[np.repeat(kept[split], _DRAWN)].reset_index(drop=True)
            for split, held in self.replies.items()
        }
        return few

    def table(self, made: Made, protocol: str) -> pd.DataFrame:
        """Return one variant's rows on both splits, as a run writes them."""
        place, self._place = self._place, (self._place + 1) % VARIANTS
        return pd.concat([self._rows(made, place, split, protocol) for split in self.chosen])

    def _rows(self, made: Made, place: int, split: str, protocol: str) -> pd.DataFrame:
        chosen, drawn = self.chosen[split], self.replies[split]
        number = {name: at for at, name in enumerate(self.personas)}
        leaning = self.leaning[[number[one.persona_id] for one in chosen], place]
        right = self.draw.random(len(chosen)) < made.skill + leaning
        which = np.where(right, 0, self.draw.integers(1, _DRAWN, len(chosen)))
        held = drawn.iloc[np.arange(len(chosen)) * _DRAWN + which].reset_index(drop=True)
        level = np.where(right, 0.93, 0.55) + 0.2 * leaning + self.draw.normal(0, 0.05, len(chosen))
        ids = pd.DataFrame(
            {
                "variant": made.name,
                "split": split,
                "protocol": protocol,
                "example_id": [one.example_id for one in chosen],
                "persona_id": [one.persona_id for one in chosen],
                "dialogue_id": [one.dialogue_id for one in chosen],
                "turn": [one.turn for one in chosen],
                "reference": [one.reference for one in chosen],
                "prompt_tokens": 240 + 70 * made.memories,
                "reply_tokens": [len(text.split()) for text in held["reply"]],
                "seconds": 0.04 + 0.01 * made.memories,
                "retrieved": [
                    self.memories[one.persona_id][made.memories] if made.memories else None for one in chosen
                ],
                _PRIMARY: level.clip(0.0, 1.0),
            }
        )
        return pd.concat([ids, held], axis=1)


def _scored_replies(chosen: Sequence[Example]) -> pd.DataFrame:
    """Return for each example _DRAWN replies: its own right one, then others' of the same persona."""
    own: dict[str, list[str]] = {}
    for one in chosen:
        own.setdefault(one.persona_id, []).append(one.reference)
    rows = []
    for at, one in enumerate(chosen):
        others = own[one.persona_id]
        for step in range(_DRAWN):
            reply = one.reference if not step else others[(at + step) % len(others)]
            scores = {m.name: m.values_of(reply, one.reference)[""] for m in METRICS.values() if m.of_texts}
            rows.append({"reply": reply, **scores})
    return pd.DataFrame(rows)


def _long(table: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in METRICS if name in table]
    scores = table.melt(list(answers.KEY_COLUMNS), names, "metric", "value")
    return scores.assign(version=scores["metric"].map({name: METRICS[name].version for name in names}))


def _memories(found: Sequence[Example]) -> dict[str, dict[int, str]]:
    """Return persona -> k -> k of her training interactions as the column `retrieved` holds them."""
    held: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        memory = {"request": one.context[-1].text, "reply": one.reference, "example_id": one.example_id}
        held.setdefault(one.persona_id, []).append({**memory, "similarity": 0.8})
    return {name: {k: json.dumps(mine[:k]) for k in (1, 3, 5)} for name, mine in held.items()}


def _leave(ws: Workspace, spec: RunSpec, drawer: _Drawer, *, order: int) -> None:
    folder = ws.run_folder(spec.run_id)
    folder.mkdir(parents=True)
    began = Status(state="running", order=order, attempt=1, started_at=now(), seconds=60.0)
    with RunContext(ws, spec, status=began) as context:
        for name, value in _files(ws, spec, drawer).items():
            write_json(folder / name, value)
        if any(made.parameters for made in MADE[spec.experiment]):
            _losses(context)
        tables = []
        for made in MADE[spec.experiment]:
            context.variant(
                made.name, _recipe(spec, made), family=made.family, parameters_trained=made.parameters,
                train_seconds=made.seconds,
            )  # fmt: skip
            tables.append(drawer.table(made, context.protocol({**spec.protocol, "scorer": "drawn"})))
        if tables:
            table = pd.concat(tables)
            answers.write(folder, table, _long(table))
        context.log("scores written")
    context.end("succeeded")
    write_spec(folder, spec)
    manifest.write(ws, spec.run_id)


def _recipe(spec: RunSpec, made: Made) -> Mapping[str, Any]:
    own = {"run": spec.run_id}
    if made.family == "routing":
        return {"route": spec.run_id}
    under: list[dict[str, Any]] = [
        {"run": spec.upstream[role], "name": role} for role in made.over if role in spec.upstream
    ]
    if made.family == "mixture":
        parts = [
            {"adapters": [{"run": run}], "profile": False, "memories": 0} for run in spec.upstream.values()
        ]
        return {"mixture": {"weight": 0.6, "parts": parts[:2]}}
    trained = made.family not in ("prompt", "retrieval")
    profile = made.name == "profile-prompt"
    return {"adapters": [*under, *([own] if trained else [])], "profile": profile, "memories": made.memories}


def _losses(context: RunContext, steps: int = _STEPS) -> None:
    """Leave the events of so many steps in one write, in the form of `RunContext.event`."""
    lines = []
    for step in range(1, steps + 1):
        loss, told = (
            0.9 + 2.6 * 0.97**step,
            {"t": step / 10, "kind": "loss", "step": step, "epoch": step // 40},
        )
        lines.append({**told, "split": "train", "loss_nats": loss})
        if step % 40 == 0:
            lines.append({**told, "split": "val", "loss_nats": loss + 0.2})
    append_line(context.folder / "events.jsonl", "\n".join(map(json.dumps, lines)))
    context.summary(best_epoch=3, train_seconds=500.0, val_loss_nats=1.1)


def _files(ws: Workspace, spec: RunSpec, drawer: _Drawer) -> dict[str, Any]:
    """What a run of this kind leaves beside its scores: clusters, routes, weights of merges."""
    names = drawer.personas
    cluster = {name: place % _CLUSTERS for place, name in enumerate(names)}
    if spec.experiment == "clustering":
        angles = {name: 2 * np.pi * number / _CLUSTERS for name, number in cluster.items()}
        near = drawer.draw.normal(0, 0.3, (len(names), 2))
        return {
            "clusters.json": {
                "method": "k-means",
                "features": "behaviour",
                "k": _CLUSTERS,
                "silhouette": 0.31,
                "warning": None,
                "assignment": cluster,
                "centroids_similarity": dict.fromkeys(names, 0.7),
                "map": {
                    name: [float(np.cos(angle) + x), float(np.sin(angle) + y)]
                    for (name, angle), (x, y) in zip(angles.items(), near, strict=True)
                },
            }
        }
    if spec.experiment == "routing":
        roads = {role: spec.upstream[role] for role in ("unified", "per-persona", "hybrid")}
        return {
            "routes.json": {
                "metric": _PRIMARY,
                "margin": 0.02,
                "fallback": "unified",
                "candidates": {
                    role: {"run": run, "recipe": _recipe_of(ws, run)} for role, run in roads.items()
                },
                "routes": {
                    name: {"variant": list(roads)[place % 3], "gain_val": 0.01 * (place % 3)}
                    for place, name in enumerate(names)
                },
            }
        }
    if spec.experiment.startswith("merge-"):
        shares = {
            name: [names[(at + step) % len(names)] for step in range(5)] for at, name in enumerate(names)
        }
        return {
            "weights.json": {
                "method": spec.experiment.removeprefix("merge-"),
                "combine": "exact",
                "merges": {
                    name: {
                        "effective_adapters": 3.3,
                        "weights": dict(zip(near, (0.5, 0.2, 0.15, 0.1, 0.05), strict=True)),
                    }
                    for name, near in shares.items()
                },
                "assignment": {name: name for name in names},
            }
        }
    return {}


def _recipe_of(ws: Workspace, run_id: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = manifest.read(ws.run_folder(run_id))["variants"][0]["recipe"]
    return found
