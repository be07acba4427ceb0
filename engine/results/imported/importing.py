"""Taking a study in: from a folder, a .zip or an upload to one finished run in the workspace.

Owns the run folder of an import, and the workspace that is made where there is none: one of its own that
holds no dialogues, so that published scores alone can be looked at. Everything is built aside and renamed in
at the end: an import is there whole or not at all.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from engine.core.errors import EngineError
from engine.core.machine import changes
from engine.core.paths import Workspace
from engine.core.types import Dataset, Persona
from engine.core.wording import count
from engine.data.archive import Upload, named, unpack_upload, unpack_zip
from engine.data.dataset import CARD, PERSONAS, SPLITS, data_hash, dataset_files, hash_of, load_dataset
from engine.data.prepare import noted
from engine.data.splits import NAMES
from engine.data.staging import incoming, json_bytes, move_in, write_parts
from engine.data.statistics import dataset_statistics
from engine.domains.metrics import METRICS
from engine.results.imported.files import PersonaScore
from engine.results.imported.protocol import SPLIT, examples_words, protocol_fields, scored_on
from engine.results.imported.study import SUFFIXES, PublishedVariant, Study, read_study
from engine.runs import answers, manifest
from engine.runs.context import RunContext
from engine.runs.protocol import protocol_id
from engine.runs.records import scan
from engine.runs.runfolder import RunSpec, Status, now, write_spec, write_status

EXPERIMENT = "import-study"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import left. `unchanged` says that exactly these files were imported before.

    `rows` hold variant, file, aliases, personas, examples (words), mean (a fraction) and derived.
    """

    run_id: str
    protocol: str
    unchanged: bool
    created_workspace: bool
    rows: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]
    left_aside: tuple[str, ...]


@changes("import a study", least="own")
def import_study(ws: Workspace, source: str | Path) -> Imported:
    """Import the result files in `source`, a folder or a .zip, as one finished run of the workspace.

    Where there is no workspace yet, one is made that holds the study's personas and no dialogues. Raises
    EngineError (DataError with every fault of every file), and then the workspace is as it was.
    """
    path = Path(source).expanduser()
    if path.is_file() and path.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory() as scratch, path.open("rb") as packed:
            unpack_zip(packed, Path(scratch) / "study", name=path.name, suffixes=SUFFIXES)
            return _import(ws, read_study(Path(scratch) / "study", named=False, label=path.name), path.name)
    if path.is_file():
        raise EngineError(f"{path} is a single file.", "Name the folder it lies in, or a .zip of the folder.")
    return _import(ws, read_study(path.resolve()), path.resolve().name)


@changes("import a study", least="own")
def import_upload(ws: Workspace, files: Upload) -> Imported:
    """Import uploaded files (with names: .json and .csv files, or one .zip) as `import_study` does."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "study"
        unpack_upload(files, folder, suffixes=SUFFIXES, command="import-study DIR")
        label = named(files)
        return _import(ws, read_study(folder, named=False, label=label), label)


def _import(ws: Workspace, study: Study, label: str) -> Imported:
    fields = protocol_fields(study)
    spec = _spec(study, fields)
    fresh = not ws.config.exists()
    warnings = (*fields["warnings"], *strangers(ws, study.personas))
    if (ws.run_folder(spec.run_id) / manifest.NAME).exists():
        return _imported(study, spec, fields, warnings=warnings, unchanged=True, fresh=False)
    with incoming(ws) as staging:
        moves = make_room(ws, study.personas, label, staging) if fresh else []
        aside = Workspace(staging / "run")
        order = max((record.order for record in scan(ws)), default=0) + 1
        _leave_run(aside, spec, study, fields, label=label, order=order)
        ws.runs.mkdir(exist_ok=True)
        place = ws.run_folder(spec.run_id)
        move_in([(aside.run_folder(spec.run_id), place), *moves], aside=staging / "aside")
    return _imported(study, spec, fields, warnings=warnings, unchanged=False, fresh=fresh)


def _spec(study: Study, fields: Mapping[str, Any]) -> RunSpec:
    model = study.config.get("model")
    base = model.get("name") if isinstance(model, dict) else None
    return RunSpec(
        experiment=EXPERIMENT,
        version=1,
        parameters={"files": dict(study.digests)},
        seed=0,
        data_hash="",
        base=str(base or "published"),
        protocol=dict(fields),
        created_at=now(),
    )


def _leave_run(
    ws: Workspace, spec: RunSpec, study: Study, fields: Mapping[str, Any], *, label: str, order: int
) -> None:
    """Write the whole run folder of the import; done.json comes last."""
    context = RunContext(ws, spec)
    protocol = context.protocol(fields)
    for one in study.variants:
        context.variant(one.name, _recipe(one), family=one.family, aliases=one.aliases)
    context.summary(
        source=label,
        variants=len(study.variants),
        personas=len(study.personas),
        clusters=dict(study.clusters),
        left_aside=list(study.left_aside),
    )
    given = [
        name for name in METRICS if any(name in one.values for it in study.variants for one in it.scores)
    ]
    rows = [(one, score, _row(one, score, protocol)) for one in study.variants for score in one.scores]
    scores = [
        {**row, "metric": metric, "version": answers.NO_VERSION, "part": "", "value": value}
        for _, score, row in rows
        for metric in given
        for value in (score.values.get(metric),)
    ]
    columns = {"answers": list(answers.ANSWER_TYPES), "scores": list(answers.SCORE_TYPES)}
    answers.write(
        context.folder,
        pd.DataFrame([row for *_, row in rows], columns=columns["answers"]),
        pd.DataFrame(scores, columns=columns["scores"]),
    )
    context.log(f"{len(study.variants)} variants from {len(study.digests)} files of {label}")
    at = now()
    done = Status("succeeded", order=order, attempt=1, progress=1.0)
    write_status(context.folder, replace(done, queued_at=at, started_at=at, ended_at=at))
    write_spec(context.folder, spec)
    manifest.write(ws, spec.run_id)


def _recipe(one: PublishedVariant) -> dict[str, Any]:
    told: dict[str, Any] = {"file": one.file, "sha256": one.digest}
    if one.derived:
        told["derived"] = one.derived
    if not one.scores:
        told["average"] = dict(one.average)
    return {"published": told}


def _row(one: PublishedVariant, score: PersonaScore, protocol: str) -> dict[str, Any]:
    """One persona's means as one row: it pairs with the same persona's row of every other variant."""
    example = f"persona:{score.persona_id}"
    return {
        "variant": one.name,
        "split": SPLIT,
        "protocol": protocol,
        "example_id": example,
        "persona_id": score.persona_id,
        "dialogue_id": example,
        "turn": 0,
        "n_examples": score.n_examples,
    }


def _imported(
    study: Study,
    spec: RunSpec,
    fields: Mapping[str, Any],
    *,
    warnings: tuple[str, ...],
    unchanged: bool,
    fresh: bool,
) -> Imported:
    return Imported(
        run_id=spec.run_id,
        protocol=protocol_id(fields),
        unchanged=unchanged,
        created_workspace=fresh,
        rows=tuple(
            {
                "variant": one.name,
                "file": one.file,
                "aliases": list(one.aliases),
                "personas": len(one.scores),
                "examples": examples_words(one) if one.scores else "average only",
                "examples_total": scored_on(one)["examples"],
                "mean": one.mean,
                "derived": one.derived,
            }
            for one in study.variants
        ),
        warnings=warnings,
        left_aside=study.left_aside,
    )


_NOTE = "This workspace holds published scores and no dialogues: nothing can be trained in it."


def strangers(ws: Workspace, personas: Sequence[str]) -> list[str]:
    """Say which of `personas` the workspace does not have; nothing where it has all, or is none yet."""
    path = ws.dataset / PERSONAS
    if not ws.config.exists() or not path.exists():
        return []
    own = {one.persona_id for one in load_dataset(ws).personas}
    others = [name for name in personas if name not in own]
    if not others:
        return []
    told = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return [
        f"{len(others)} of the study's {count(len(personas), 'persona')} are not in this workspace ({told}):"
        " its scores are compared among themselves, never with those of runs made here."
    ]


def make_room(ws: Workspace, personas: Sequence[str], label: str, staging: Path) -> list[tuple[Path, Path]]:
    """Build a workspace of personas without dialogues in `staging`; return what is to be moved where."""
    dataset = Dataset(tuple(Persona(name) for name in personas), ())
    files = dataset_files(dataset)
    digest = data_hash(files)
    source = f"published results of {label}"
    card = _card(dataset, source, digest)
    about = {"source": source, "data_hash": digest, "personas": len(personas), "dialogues": 0}
    config = {"dataset": about, "base": "embedded", "split": "by-time", "seed": 0, "created_at": now()}
    files |= {CARD: json_bytes(card)}
    divided = {SPLITS: json_bytes(_splits())}
    config |= noted(files, divided)
    return write_parts(staging, ws, files, divided, config)


def _card(dataset: Dataset, source: str, digest: str) -> dict[str, Any]:
    zero = [
        *("dialogues", "messages", "assistant_turns", "examples"),
        *("personas_with_character", "personas_with_routines", "dialogues_with_meta"),
    ]
    return {
        "source": source,
        "importer": "import-study",
        "data_hash": digest,
        "counts": {
            "personas": len(dataset.personas),
            **dict.fromkeys(zero, 0),
            "examples_by_split": dict.fromkeys(NAMES, 0),
        },
        "statistics": dataset_statistics(dataset),
        "split": "by-time",
        "notes": [_NOTE],
        "left_out": [],
    }


def _splits() -> dict[str, Any]:
    nothing = {"dialogues": 0, "share": None, "personas": 0, "dialogues_per_persona": None, "examples": 0}
    return {
        "scheme": "by-time",
        "splits_hash": hash_of("{}"),
        "assignment": {},
        "online": [],
        "checks": [],
        "statistics": {**dict.fromkeys(NAMES, nothing), "online": {"dialogues": 0}},
    }
