"""A small study on disk, for tests of pages: a real world, and finished runs in the format of real ones.

Only the models are left out: replies are drawn from the dataset's own references by a seeded hash, right
as often as the variant's skill says. Everything else (import, specs, manifests, parquet) is the real thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from engine.core.paths import Workspace, read_json, write_json
from engine.core.types import Example
from engine.data import choose_examples, examples, load_dataset, load_splits, prepare
from engine.data.choices import Scheme
from engine.runs import manifest
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec, Status, now, read_status, write_spec, write_status
from engine.strategies import registry
from engine.strategies.plan import Plan, PlannedRun, plan
from tests.scores_for_tests import score_texts
from tests.steps_for_tests import PACE

# experiment -> variants it makes: name -> (family, share of right replies, trained parameters)
MADE: Mapping[str, Mapping[str, tuple[str, float, int]]] = {
    "base": {"base": ("prompt", 0.20, 0)},
    "profile-prompt": {"profile-prompt": ("prompt", 0.26, 0)},
    "unified": {"unified": ("unified", 0.48, 98_304)},
    "retrieval": {
        "unified+retrieval-1": ("retrieval", 0.52, 98_304),
        "unified+retrieval-3": ("retrieval", 0.60, 98_304),
        "unified+retrieval-5": ("retrieval", 0.46, 98_304),
    },
    "per-persona": {"per-persona": ("per-persona", 0.55, 98_304)},
    "ceiling": {"ceiling-persona": ("ceiling", 0.97, 0), "knows-population": ("ceiling", 0.70, 0)},
}


def prepare_world(
    root: Path, *, personas: int = 8, dialogues: int = 8, unseen: float | None = None, split: Scheme = "auto"
) -> Workspace:
    """Prepare a workspace from the default world; its base model is a configuration and empty files."""
    ws = Workspace(root)
    base = root / "tiny-base"
    write_json(base / "config.json", {"model_type": "qwen2"})
    for name in ("model.safetensors", "tokenizer.json"):
        (base / name).touch()
    prepare(
        ws,
        dataset="world:default",
        personas=personas,
        dialogues=dialogues,
        base=str(base),
        split=split,
        unseen=unseen,
    )
    return ws


def finish(ws: Workspace, *names: str, per_persona: int = 10) -> list[str]:
    """Leave finished runs of the experiments, and of what they need; return the new run ids in order."""
    made = []
    for name in names:
        for run in plan(ws, name).runs:
            if run.state != "succeeded":
                _leave(ws, run.spec, per_persona=per_persona, order=len(list(ws.runs.glob("*"))))
                made.append(run.run_id)
    return made


def cluster_into(ws: Workspace, k: int) -> dict[int, list[str]]:
    """Leave a finished clustering that deals the personas out to `k` clusters; return who is in which."""
    spec = plan(ws, "clustering", {"k": [k]}).target.spec
    folder = ws.run_folder(spec.run_id)
    folder.mkdir(parents=True)
    names = [persona.persona_id for persona in load_dataset(ws).personas]
    assignment = {name: place % k for place, name in enumerate(names)}
    order = len(list(ws.runs.glob("*")))
    with RunContext(
        ws, spec, status=Status(state="running", order=order, attempt=1, started_at=now())
    ) as context:
        write_json(folder / "clusters.json", {"assignment": assignment})
    _end(ws, spec, context)
    return {number: [name for name in names if assignment[name] == number] for number in range(k)}


def counting_run(ws: Workspace, experiment: str, *, ticks: int, pause: float, ending: str = "well") -> Plan:
    """Return a plan of one real background run which only counts, where the test is `paced`."""
    paces = ws.data / PACE
    told = read_json(paces) if paces.exists() else {}
    write_json(paces, {**told, experiment: {"ticks": ticks, "pause": pause, "ending": ending}})
    spec = replace(plan(ws, experiment).target.spec, stages={"load": 1.0, "count": 9.0})
    return Plan(experiment, (PlannedRun(spec, "asked", None),))


def end_badly(ws: Workspace, experiment: str, *, state: str, error: str, hint: str = "") -> str:
    """Leave a run of that experiment that ended without success; return its id."""
    spec = plan(ws, experiment).target.spec
    folder = ws.run_folder(spec.run_id)
    folder.mkdir(parents=True)
    order = len(list(ws.runs.glob("*")))
    status = Status(state=state, order=order, attempt=1, progress=0.37, stage="train", done=37, total=100)  # type: ignore[arg-type]
    write_status(folder, replace(status, error=error, hint=hint or None, seconds=41.0, ended_at=now()))
    write_spec(folder, spec)
    (folder / "log.txt").write_text(f"{now()} starts\n{now()} {error}\n")
    return spec.run_id


def _leave(ws: Workspace, spec: RunSpec, *, per_persona: int, order: int) -> None:
    folder = ws.run_folder(spec.run_id)
    folder.mkdir(parents=True)
    began = Status(
        state="running",
        order=order + 1,
        attempt=1,
        started_at=now(),
        seconds=20.0 + 60 * ("unified" in spec.run_id),
    )
    with RunContext(ws, spec, status=began) as context:
        _train(context)
        protocol = context.protocol({**spec.protocol, "scorer": "sample"})
        rows = []
        for name, (family, skill, parameters) in MADE[spec.experiment].items():
            told = {"kind": "weights", "run": spec.run_id, "name": name}
            recipe: dict[str, Any] = {"oracle": name} if family == "ceiling" else {"effects": [told]}
            ws.adapter(spec.run_id, name).mkdir(parents=True, exist_ok=True)
            context.variant(
                name,
                recipe,
                family=family,
                parameters_trained=parameters,
                train_seconds=80.0 if parameters else None,
            )
            serves = registry.get(spec.experiment).traits.serves_unseen
            for split in [one for one in spec.protocol["splits"] if serves or one != "unseen"]:
                rows += _scores(ws, name, skill, split=split, protocol=protocol, per_persona=per_persona)
        pd.DataFrame(rows).to_parquet(folder / "scores.parquet")
        context.log("scores written")
    _end(ws, spec, context)


def _end(ws: Workspace, spec: RunSpec, context: RunContext) -> None:
    """End the run and forget who worked: the test's process lives on, and would hold the slot."""
    context.end("succeeded")
    folder = ws.run_folder(spec.run_id)
    write_status(folder, replace(read_status(folder), worker=None))
    write_spec(folder, spec)
    manifest.write(ws, spec.run_id)


def _train(context: RunContext) -> None:
    """Leave the loss curve and the summary of a training run."""
    if context.spec.experiment != "unified":
        return
    for step in range(1, 121):
        if step % 2 == 0:
            wobble = 0.15 * (_share(f"loss{step}") - 0.5)
            context.event(
                "loss",
                step=step,
                epoch=1 + (step - 1) // 40,
                split="train",
                loss_nats=0.9 + 2.6 * 0.97**step + wobble,
            )
        if step % 40 == 0:
            context.event("loss", step=step, epoch=step // 40, split="val", loss_nats=1.15 + 1.4 * 0.98**step)
    context.summary(best_epoch=3, train_seconds=80.0, val_loss_nats=1.15 + 1.4 * 0.98**120)


def _scores(
    ws: Workspace, name: str, skill: float, *, split: str, protocol: str, per_persona: int
) -> list[dict[str, Any]]:
    dataset, splits = load_dataset(ws), load_splits(ws)
    chosen = choose_examples(examples(dataset, splits, split), per_persona)  # type: ignore[arg-type]
    return [
        _row(name, skill, chosen, number, split=split, protocol=protocol) for number in range(len(chosen))
    ]


def _row(
    name: str, skill: float, chosen: tuple[Example, ...], number: int, *, split: str, protocol: str
) -> dict[str, Any]:
    example = chosen[number]
    lean = 0.35 * (_share(f"{name}{example.persona_id}") - 0.5)
    right = _share(f"{example.example_id}") < skill + lean
    reply = (
        example.reference if right else chosen[int(_share(name + example.example_id) * len(chosen))].reference
    )
    said, held = set(reply.lower().split()), set(example.reference.lower().split())
    return {
        "variant": name,
        "split": split,
        "protocol": protocol,
        "example_id": example.example_id,
        "persona_id": example.persona_id,
        "dialogue_id": example.dialogue_id,
        "turn": example.turn,
        "reply": reply,
        "reference": example.reference,
        "prompt_tokens": 60 + 4 * example.turn,
        "reply_tokens": len(reply.split()),
        "seconds": 0.02,
        "retrieved": None,
        "embedding_similarity": 0.3 + 0.7 * len(said & held) / len(said | held),
        **score_texts(reply, example.reference),
    }


def _share(text: str) -> float:
    """A number in [0, 1) that only the text decides."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 0x1_0000_0000
