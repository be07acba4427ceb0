"""The commands of the Data page: init, worlds (a synthetic world's files) and scorer (who scores replies)."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from engine.cli.bases import looked_at, show_card
from engine.cli.frame import Call, Place, command, note, out, table
from engine.core.base_folder import EMBEDDED
from engine.core.base_identity import shown_base
from engine.core.errors import EngineError
from engine.core.paths import full_disk_told
from engine.core.wording import count
from engine.data.layouts.tasks import BY_NAME
from engine.data.mapping import PARTS
from engine.domains.metrics import METRICS
from engine.domains.registry import BUILT_IN

if TYPE_CHECKING:
    from engine.data.preview import Preview


@command(
    "init",
    examples=(
        "init --workspace W --dataset world:default --personas 20 --dialogues 30",
        "init --workspace W --dataset my/dialogues.jsonl --split by-persona",
        "init --workspace W --dataset world:default --personas 20 --base smollm2",
        "init --workspace W --dataset owner/dataset:config:split --base Qwen/Qwen2.5-0.5B-Instruct",
        "init --dataset tickets.csv --map user=customer_id,session=ticket_id,assistant=agent --preview",
        "init --workspace W --dataset LaMP_4/dev_questions.json --task lamp-4 --min-dialogues 5",
    ),
    anywhere=True,
)
@click.option(
    "--dataset",
    required=True,
    help="A file, a folder, a .zip, a hub id (owner/name or owner/name:config:split), or world:NAME.",
)
@click.option(
    "--map",
    multiple=True,
    metavar="PART=COLUMN,...",
    help=(
        "Which column is what, or the card.json of an import before; the rest is guessed. Parts:"
        f" {', '.join(PARTS)}."
    ),
)
@click.option("--task", help=f"Which task of the LaMP family it is: {', '.join(BY_NAME)}; else recognised.")
@click.option("--preview", "looks", is_flag=True, help="Say what would come of it, and write nothing.")
@click.option(
    "--split",
    type=click.Choice(["auto", "by-time", "by-persona"]),
    default="auto",
    show_default=True,
    help="Divide every persona's dialogues by time, or the personas themselves.",
)
@click.option(
    "--base",
    default="embedded",
    show_default=True,
    help="The base model: embedded, smollm2, a path, or a hub id.",
)
@click.option(
    "--domain",
    help=f"What the data is about: {', '.join(one.name for one in BUILT_IN)}, or one's own; else recognised.",
)
@click.option(
    "--personas", type=click.IntRange(min=1), help="A seeded subset of so many (a world: how many)."
)
@click.option(
    "--dialogues", type=click.IntRange(min=1), help="The first so many of each persona (a world: how many)."
)
@click.option(
    "--min-dialogues",
    type=click.IntRange(min=1),
    help="Leave out personas with fewer, instead of splitting everybody by persona.",
)
@click.option(
    "--unseen",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Beside a split by time, the share of personas to keep out of all training.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The workspace's seed.")
@click.option("--keep-good", is_flag=True, help="Leave faulty rows out instead of refusing the dataset.")
@click.option("--force", is_flag=True, help="Replace data that has no runs yet.")
def init(call: Call, *, looks: bool, **choices: Any) -> int:
    """Create a workspace: import a dataset, check it, and split it."""
    from engine.data import prepare, preview
    from engine.strategies.scorer import settle

    if looks:
        found = preview(call.ws, **choices)
        call.answer(asdict(found), lambda: _show_preview(call, found))
        return 1 if found.refused else 0
    looked = _probed(str(choices["base"]))
    card = prepare(call.ws, **choices)
    settled = settle(call.ws)

    def show() -> None:
        if looked is not None:
            show_card(looked)
        _show_card(call, card)
        if settled.why:
            decides = METRICS[settled.primary].label
            out().print(Text(f"{decides} is the primary metric: {settled.why}", style="yellow"))

    return call.answer(card if looked is None else {**card, "base": looked}, show)


def _probed(base: str) -> dict[str, Any] | None:
    """Look at a base before anything is built on it; what ships with the project is known."""
    if base == EMBEDDED:
        return None
    found = looked_at(base)
    found.refuse()
    return found.as_json()


def _show_preview(call: Call, found: "Preview") -> None:
    """Show columns and guesses, what would come of them, and what is left out and why."""
    out().print(Text(f"{found.source}: {found.layout or 'no known layout'}", style="bold"))
    columns = table("Column", "Is", "First value")
    for column in found.columns:
        columns.add_row(Text(column.name), Text(column.part or "left out"), Text(column.example))
    if any(column.part for column in found.columns):  # else the layout itself says what is what
        out().print(columns)
    held = found.outcome
    if held:
        dates = f", {held['first']} to {held['last']}" if held["first"] else ""
        by_split = ", ".join(f"{number} {name}" for name, number in held["examples_by_split"].items())
        out().print(
            Text(
                f"Would hold {count(held['personas'], 'persona')}, {count(held['dialogues'], 'dialogue')}"
                f"{dates}, split {held['split']}, domain {held['domain']}; order by"
                f" {held['order']['by'] or 'nothing needed'}."
            )
        )
        out().print(Text(f"{held['examples']} examples: {by_split}"))
        for failed in held["failed_checks"]:
            out().print(Text(f"Check failed: {failed}", style="red"))
    for remark in found.notes:
        out().print(Text(remark, style="yellow"))
    for reason in found.left_out:
        out().print(Text(f"{reason.first}: {reason.what} ({reason.times} times)", style="yellow"))
    if found.refused:
        out().print(Text(f"Would be refused: {found.refused}", style="bold red"))
        call.say(found.remedy)
    mapping = ",".join(f"{part}={column}" for part, column in found.mapping.items())
    if mapping:
        call.say(f"Mapping: --map {mapping}")


def _show_card(call: Call, card: dict[str, Any]) -> None:
    from engine.results.checks import failed_words

    counts = card["counts"]
    state = "already holds" if card.get("unchanged") else "holds"
    out().print(Text(f"{call.ws.root} {state} {card['source']}", style="bold"))
    by_split = ", ".join(f"{number} {name}" for name, number in counts["examples_by_split"].items())
    out().print(
        Text(
            f"{count(counts['personas'], 'persona')}, {count(counts['dialogues'], 'dialogue')},"
            f" split {card['split']}" + (f", domain {card['domain']}" if "domain" in card else "")
        )
    )
    out().print(Text(f"{counts['examples']} examples: {by_split}"))
    for remark in card.get("notes", ()):
        out().print(Text(remark, style="yellow"))
    for told in failed_words(call.ws):
        out().print(Text(f"Check failed: {told}", style="red"))
    if card.get("left_out"):
        rows = count(len(card["left_out"]), "faulty row")
        out().print(Text(f"{rows} left out; card.json lists them.", style="yellow"))
    out().print(Text(f"Base model: {shown_base(str(call.ws.read_config()['base']))}"))
    call.say(f"Next: {call.command('run', 'unified')}")


@click.group("worlds")
def worlds() -> None:
    """Synthetic worlds: data whose truth is known."""


@command(
    "make",
    examples=("worlds make default out/", "worlds make uniform out/ --personas 50 --seed 3"),
    anywhere=True,
)
@click.argument("name")
@click.argument("folder", type=Place())
@click.option("--personas", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--dialogues", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def make(call: Call, *, name: str, folder: Path, personas: int, dialogues: int, seed: int) -> int:
    """Write a world's files (characters, routines, sessions, truth) into FOLDER."""
    from engine.data.worlds import write_world

    if folder.exists() and any(folder.iterdir()):
        raise EngineError(f"{folder} is not empty.", "Name a new folder.")
    try:
        with full_disk_told(folder):
            write_world(folder, name=name, personas=personas, dialogues=dialogues, seed=seed)
    except BaseException:
        for half in folder.glob("*"):
            half.unlink()
        raise
    value = {"world": name, "folder": str(folder), "personas": personas, "dialogues": dialogues, "seed": seed}
    return call.answer(
        value, lambda: out().print(Text(f"{folder}: {name}, {personas} personas x {dialogues} dialogues."))
    )


worlds.add_command(make)


@command("scorer", examples=("scorer", "scorer BAAI/bge-m3", "scorer DIR", "scorer all-MiniLM-L6-v2"))
@click.argument("name", required=False)
def scorer(call: Call, *, name: str | None) -> int:
    """Show which sentence encoder scores and what it can read, or choose NAME (a hub id or folder).

    Scores by the encoder before stay, under their own protocol. Where it cannot read the replies, chrF
    decides.
    """
    from engine.domains import metrics
    from engine.lm.scorer_choice import encoder_of, reading
    from engine.strategies.scorer import choose

    encoder = choose(call.ws, name) if name is not None else encoder_of(call.ws)
    found, decides = reading(call.ws), metrics.primary(call.ws)

    def show() -> None:
        size = f"{encoder.dimensions} dimensions, {encoder.most_tokens} tokens a text"
        out().print(Text(f"{encoder.identity}: {size}", style="bold"))
        out().print(Text(found.words if found and found.words else "It reads all replies that are judged."))
        out().print(Text(f"The primary metric is {decides.label}."))
        if found is not None and not found.is_trusted:
            note("Its similarity says little here. Another one: python -m engine scorer HUB_ID_OR_FOLDER")

    told = {"scorer": encoder.identity, "primary": decides.name, "unknown": None, "cut": None}
    return call.answer({**told, **({"unknown": found.unknown, "cut": found.cut} if found else {})}, show)
