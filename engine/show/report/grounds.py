"""What the results stand on: question, data, protocol, limits, and how to make them again. Writes no file."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.core import extensions
from engine.core.command import command_line
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import SCHEME_WORDS, SPLIT_WORDS, count, duration, spelled
from engine.data.archive import UPLOAD
from engine.results.checks import failed_words
from engine.results.comparing import looks
from engine.results.comparing.protocol_guard import older_words
from engine.results.imported.importing import EXPERIMENT
from engine.runs.manifest import read as read_manifest
from engine.runs.protocol import WRITTEN_AS
from engine.runs.records import RunRecord
from engine.runs.runfolder import RunSpec
from engine.show.report.blocks import Block, Bullets, Code, Section, Table, Text
from engine.show.report.gathering import Compared, Gathered
from engine.show.row_words import power_words
from engine.show.training_words import noise_words, training_lines
from engine.stats.levels import FEW
from engine.strategies.cloning import command_of
from engine.strategies.clusterings import FILE, read_clusters

_NOT_SHOWN = frozenset({"warnings", "files", "scored_on", "imported", WRITTEN_AS})
_WEAK_SILHOUETTE = 0.25  # Kaufman and Rousseeuw, Finding Groups in Data (1990): below it no structure


def question_section(gathered: Gathered) -> Section:
    """What is asked, and how an answer is found."""
    asked = "Which way of personalising the model really beats one unified model, and for whom?"
    same = "Every variant answers the same examples."
    if gathered.main is not None and gathered.main.imported:
        same = "The scores were published elsewhere, as one mean for each persona and variant."
    how = (
        f"{same} The persona is the unit of every interval and test: differences are paired by persona, and p"
        " values are corrected for the number of variants. Choices are made on validation, verdicts on test."
    )
    return Section("Question", (Text(asked, "lead"), Text(how)))


def data_section(gathered: Gathered) -> Section:
    """What the study stands on: counts, splits and their checks."""
    card, counts = gathered.card, gathered.card["counts"]
    told = f"Source {card['source']}: {count(counts['personas'], 'persona')}"
    if counts["dialogues"]:
        told += (
            f", {count(counts['dialogues'], 'dialogue')}, {count(counts['messages'], 'message')};"
            f" divided {SCHEME_WORDS[gathered.config['split']]}. sha256 {card['data_hash'][:16]}"
        )
    blocks: list[Block] = [Text(f"{told}."), *(Text(str(note), "note") for note in card.get("notes", ()))]
    if counts["dialogues"]:
        blocks.append(_splits(gathered.splits["statistics"]))
    passed = [check["name"] for check in gathered.splits["checks"] if check["ok"]]
    if passed:
        blocks.append(Text(f"Checks passed: {', '.join(passed)}."))
    blocks += [Text(f"Check failed: {told}", "note") for told in failed_words(gathered.ws)]
    return Section("Data", tuple(blocks))


def _splits(found: Mapping[str, Any]) -> Table:
    rows = tuple(
        (word, *(f"{found[name][part]:,}" for part in ("personas", "dialogues", "examples")))
        for name, word in SPLIT_WORDS.items()
        if name in found
    )
    numbers = ("personas", "dialogues", "examples")
    return Table("The splits.", ("split", *numbers), rows, frozenset(numbers))


def protocol_section(gathered: Gathered) -> Section | None:
    """What makes the scores comparable; None where nothing is scored."""
    if gathered.main is None:
        return None
    blocks: list[Block] = []
    for compared in gathered.compared:
        fields = {name: value for name, value in compared.fields.items() if name not in _NOT_SHOWN}
        rows = tuple((name.replace("_", " "), _worded(value)) for name, value in fields.items())
        kind = "Imported protocol" if compared.imported else "Protocol"
        blocks.append(Table(f"{kind} {compared.protocol}.", ("field", "value"), rows))
        older = compared.fields.get(WRITTEN_AS, ())
        if older:
            blocks.append(Text(older_words(older)))
        if compared.imported:
            blocks.append(_scored_on(compared))
    if gathered.left_out:
        blocks.append(Text(f"Further protocols, not reported: {', '.join(gathered.left_out)}."))
    return Section("Protocol", tuple(blocks))


def _worded(value: Any) -> str:
    return (
        json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else spelled(value)
    )


def _scored_on(compared: Compared) -> Table:
    rows = []
    for name, told in compared.fields.get("scored_on", {}).items():
        low, high = told["fewest"], told["most"]
        words = "not said" if low is None else str(low) if low == high else f"{low} to {high}"
        rows.append((name, str(told["personas"]), words, str(told["said_by"])))
    numbers = frozenset({"personas", "examples a persona"})
    columns = ("variant", "personas", "examples a persona", "known from")
    return Table("What each published variant was scored on.", columns, tuple(rows), numbers)


# --- limits


def limits_section(gathered: Gathered) -> Section:
    """What keeps these results from saying more than they do."""
    items: list[str] = []
    for compared in gathered.compared:
        items += _limits_of(gathered, compared, several=len(gathered.compared) > 1)
    items += [line for record in gathered.runs for line in _clusters(gathered, record)]
    if not items:
        items = ["Nothing is scored, so nothing is limited."]
    return Section("Limits", (Bullets(tuple(items)),))


def _limits_of(gathered: Gathered, compared: Compared, *, several: bool) -> Iterator[str]:
    where, metric = f" ({compared.protocol})" if several else "", compared.metric
    if compared.split == "test":
        seen = count(len(looks.seen(gathered.ws, looks.at(compared.found))), "verdict")
        yield f"Test was looked at{where}: {seen} on it so far. Each look makes the next one weaker."
    if power := power_words(compared.rows, metric):
        yield f"Power{where}: {power}"
    personas = max((row["n_paired"] for row in compared.rows), default=0)
    if personas < FEW:
        yield f"Small sample{where}: {count(personas, 'persona')}; below {FEW} intervals are wide."
    noise = compared.found["noise"]
    if told := noise_words(noise, metric):
        yield f"Noise of training{where}: {told}"
    elif not compared.imported:
        hint = f" To learn it: {noise['command']}." if noise["command"] else ""
        yield f"Noise of training{where}: unknown, no variant was made again from another seed.{hint}"
    for row in compared.rows:
        if lines := training_lines(row, difference=metric.change):
            yield f"{row['variant']}{where}: {' '.join(lines)}"
    undefined = _undefined(compared)
    if undefined:
        yield f"Undefined for some examples, which are left out{where}: {', '.join(undefined)}."


def _undefined(compared: Compared) -> list[str]:
    found = []
    for metric, table in compared.others.items():
        null = max(
            (row["n_null_candidate"] + row["n_null_reference"] + row["n_null_both"] for row in table["rows"]),
            default=0,
        )
        if null:
            found.append(metric.replace("_", " "))
    return found


def _clusters(gathered: Gathered, record: RunRecord) -> Iterator[str]:
    """The quality of a clustering, of a run here or of a published study."""
    folder = gathered.ws.run_folder(record.run_id)
    if (folder / FILE).exists():
        read = read_clusters(gathered.ws, record.run_id)
        facts = {"k": read.k, "silhouette": read.silhouette, "stability_ari": read.stability}
    elif record.experiment == EXPERIMENT:
        try:
            facts = read_manifest(folder).get("summary", {}).get("clusters", {})
        except EngineError:
            return
    else:
        return
    silhouette = facts.get("silhouette")
    if silhouette is None:
        return
    weak = (
        ": hardly any structure, so cluster variants rest on little" if silhouette < _WEAK_SILHOUETTE else ""
    )
    stable = facts.get("stability_ari")
    told = "" if stable is None else f", stability (adjusted Rand) {stable:.2f}"
    yield f"Clusters of {record.run_id}: {facts.get('k')} with silhouette {silhouette:.3f}{told}{weak}."


# --- how to make it again


def reproduce_section(gathered: Gathered) -> Section:
    """The commands that make the same runs, the versions they were made with, and the runs themselves."""
    done = [record for record in gathered.runs if record.state == "succeeded"]
    lines = [*_commands(gathered, done), "python -m engine report --workspace W"]
    specs = [record.spec for record in done if record.spec]
    versions = sorted({f"{name} {version}" for spec in specs for name, version in spec.versions.items()})
    start = "In an empty folder W, with the versions below:" if versions else "In an empty folder W:"
    blocks: list[Block] = [Text(start), Code(tuple(lines))]
    if versions:
        blocks.append(Text(f"Made with {', '.join(versions)}."))
    if gathered.card["counts"]["dialogues"]:
        about = f"Base model {gathered.config['base']}; data sha256 {gathered.card['data_hash']}."
        blocks.append(Text(about))
    if done:
        rows = tuple(
            (record.run_id, str(record.spec.seed if record.spec else ""), _took(record)) for record in done
        )
        blocks.append(Table("The runs.", ("run", "seed", "time"), rows, frozenset({"seed", "time"})))
    return Section("Make it again", tuple(blocks))


def _took(record: RunRecord) -> str:
    return "" if record.experiment == EXPERIMENT else duration(record.status.seconds)


def _commands(gathered: Gathered, done: list[RunRecord]) -> Iterator[str]:
    """What is typed to make it again, in a folder of one's own that the reader calls W."""
    config, card, there = gathered.config, gathered.card, {"workspace": "W"}
    if card.get("importer") != EXPERIMENT:
        source = config["dataset"]["source"].removeprefix(UPLOAD)  # the reader has the file by that name
        made = {"dataset": source, "split": config["split"]}
        made |= {name: (card.get("world") or {}).get(name) for name in ("personas", "dialogues")}
        made |= {"base": config["base"], "seed": config["seed"], "map": card.get("mapping")}
        yield command_line("init", options={**made, **card.get("asked", {}), **there})
    for one in extensions.named(gathered.ws):
        for step in ("extension", "approve"):
            yield command_line("machine", options={step: str(one.path), **there})
    for record in done:
        if record.experiment == EXPERIMENT:
            yield command_line("import-study", "RESULTS", options=there)
        elif record.spec is not None:
            yield command_of(
                record.spec, gathered.ws, upstream=_unusual(record.spec), where=Workspace(Path("W"))
            )


def _unusual(spec: RunSpec) -> dict[str, str]:
    """What a run builds on that a launch would not take by itself: runs with settings of their own."""
    roles = {name.partition(".")[0] for name in spec.changed if "." in name}
    return {role: run_id for role, run_id in spec.upstream.items() if role in roles}
