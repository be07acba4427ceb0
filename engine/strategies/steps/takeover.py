"""Takes over what an earlier run of the same experiment did alike: trained adapters, and their replies.

An adapter trained among many is the one trained alone, so a full study need not repeat its pilot, nor a run
under other evaluation settings its training. "Alike" is decided by what training reads: parameters, seed,
base, the adapters it builds on, and the very tokens of its dialogues. Refuses runs whose files have changed.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from engine.core.paths import Workspace, read_json, write_json
from engine.lm.effects import Activations, Recipe, Stored, Weights
from engine.lm.encode import Encoded
from engine.lm.generate import Reply
from engine.lm.load import Base
from engine.lm.recipes import Shelf
from engine.lm.train import Lesson, TrainSettings
from engine.runs import answers, manifest
from engine.runs.context import RunContext
from engine.runs.records import scan
from engine.runs.runfolder import fingerprint
from engine.strategies.budgets import TRAINING
from engine.strategies.spec import PARTIAL
from engine.strategies.steps.augment import variant_name
from engine.strategies.steps.scoring import declare_protocol, example_set, keep_replies

_TAKEN = "taken.json"
_WEIGHTS = "adapter_model.safetensors"
_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Making:
    """All that decides an adapter, its dialogues and its start apart."""

    values: Mapping[str, Any]

    @classmethod
    def of(cls, context: RunContext, base: Base, settings: TrainSettings, *, below: Sequence[Stored]) -> Self:
        """Return the making of a run's adapters: every parameter but those that only leave personas out.

        Adapters it builds on count by their weights.
        """
        spec, ws = context.spec, context.workspace
        near = [Weights(spec.upstream["toward"], "unified")] if "toward" in spec.upstream else []
        return cls(
            {
                "experiment": [spec.experiment, spec.version],
                "settings": asdict(settings),
                "parameters": {name: value for name, value in spec.parameters.items() if name not in PARTIAL},
                "base": [spec.base, spec.base_fingerprint, base.dtype, base.device],
                "below": [_below(ws, one) for one in below],
                "toward": [_weights(ws, one) for one in near],
            }
        )

    def fingerprint(self, lesson: Lesson) -> str:
        """Return what two adapters that must be equal have in common."""
        start = lesson.start or {}
        parts = [
            lesson.name,
            fingerprint([_row(row) for row in lesson.train], _DIGITS),
            fingerprint([_row(row) for row in lesson.val], _DIGITS),
            {
                name: hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
                for name, tensor in start.items()
            },
        ]
        return fingerprint([self.values, parts], _DIGITS)


def take_adapters(context: RunContext, fingerprints: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Bring over the adapters that a succeeded run trained alike; return their records by name.

    `fingerprints` says of each wanted adapter how it is made. Side effect: links (or copies) their folders
    into this run's, and remembers the choice, so that a resumed run has the same left to train.
    """
    note = context.folder / "checkpoint" / _TAKEN
    if note.exists():
        known: dict[str, dict[str, Any]] = read_json(note)
        return known
    wanted = {made: name for name, made in fingerprints.items()}
    taken: dict[str, dict[str, Any]] = {}
    for run_id, records in _donors(context):
        alike = {
            wanted[record["lesson"]]: record
            for record in records
            if record.get("lesson") in wanted and wanted[record["lesson"]] not in taken
        }
        if alike and _whole(context.workspace, run_id):
            for name, record in alike.items():
                _link(context.workspace.adapter(run_id, record["name"]), context.adapters / name)
                taken[name] = {**record, "name": name, "taken_from": run_id}
    if taken:
        runs = ", ".join(sorted({str(record["taken_from"]) for record in taken.values()}))
        context.log(f"{len(taken)} of {len(fingerprints)} adapters are taken over from {runs}")
    write_json(note, taken)
    return taken


def take_replies(context: RunContext, base: Base, recipe: Recipe, shelf: Shelf) -> None:
    """Bring over the replies that the adapters taken over gave under the same protocol.

    Whole batches only are left out later, so texts stay those of a run that does everything itself.
    """
    personas = {
        persona: str(record["taken_from"])
        for record in read_json(context.folder / TRAINING)
        if record.get("taken_from")
        for persona in record["personas"]
    }
    if not personas or any(context.folder.glob("replies-*.jsonl")):  # an earlier attempt went further
        return
    chosen = example_set(context)
    protocol = declare_protocol(context, chosen, base)
    rows = chosen.where(lambda persona: shelf.covers(recipe, persona)).all
    kept: dict[tuple[str, str], Reply] = {}
    for run_id in sorted(set(personas.values())):
        own = {persona for persona, donor in personas.items() if donor == run_id}
        kept |= _replies(context.workspace, run_id, protocol, own)
    found = {
        row: kept[split, example.example_id]
        for row, (split, example) in enumerate(rows)
        if (split, example.example_id) in kept
    }
    if found:
        context.log(f"{len(found)} of {len(rows)} replies are taken over")
        keep_replies(context, variant_name(context), found)


def _donors(context: RunContext) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the succeeded runs of this experiment and what they trained, the newest first."""
    ws, spec = context.workspace, context.spec
    for record in sorted(scan(ws), key=lambda record: -record.order):
        theirs = record.spec
        if record.state != "succeeded" or theirs is None or record.run_id == spec.run_id:
            continue
        path = ws.run_folder(record.run_id) / TRAINING
        alike = (theirs.experiment, theirs.version, theirs.seed) == (spec.experiment, spec.version, spec.seed)
        if alike and path.exists():
            yield record.run_id, read_json(path)


def _whole(ws: Workspace, run_id: str) -> bool:
    folder = ws.run_folder(run_id)
    done = manifest.read(folder)
    return not manifest.faults(folder, done) and not manifest.adapter_faults(ws, run_id, done)


def _link(source: Path, target: Path) -> None:
    """Give a folder of files a second place: written once, read by both; whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(source, part, copy_function=os.link)
    except OSError:  # a file system without hard links
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part)
    shutil.rmtree(target, ignore_errors=True)
    part.replace(target)


def _replies(ws: Workspace, run_id: str, protocol: str, personas: set[str]) -> dict[tuple[str, str], Reply]:
    """Return (split, example id) -> the reply of one run, of these personas under this protocol."""
    table = answers.read(ws, run_id).answers.to_pandas()
    table = table[(table["protocol"] == protocol) & table["persona_id"].isin(personas)]
    return {
        (row.split, row.example_id): Reply(
            row.reply, int(row.prompt_tokens), int(row.reply_tokens), float(row.seconds)
        )
        for row in table.itertuples()
    }


def _row(row: Encoded) -> list[Any]:
    return [list(row.ids), [bool(mark) for mark in row.is_reply]]


def _below(ws: Workspace, stored: Stored) -> str | list[Any]:
    """A part of a sum counts by how much of it there is, too."""
    share = stored.scale if isinstance(stored, Activations) else getattr(stored, "weight", 1.0)
    return _weights(ws, stored) if share == 1 else [_weights(ws, stored), share]


def _weights(ws: Workspace, stored: Stored) -> str:
    return manifest.sha256(ws.adapter(stored.run, stored.name) / _WEIGHTS)
