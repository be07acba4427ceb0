"""From a source to what is about to be written: read, choose, split, check. Writes nothing.

Owns the order of these steps, which an import and a look before it share, and the card that tells of them.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from engine.core.base_folder import EMBEDDED
from engine.core.errors import EngineError, Fault
from engine.core.paths import Workspace, read_json
from engine.core.types import Dataset, Splits
from engine.core.wording import count
from engine.data.assemble import Imported, accept
from engine.data.choices import Choices
from engine.data.dataset import CARD, example_turns
from engine.data.given_split import read_given_split
from engine.data.layouts.layout import Sample
from engine.data.mapping import Mapping, columns_of, columns_used, read_mapping
from engine.data.order import Order
from engine.data.placed import split_as_placed
from engine.data.schema import shorten
from engine.data.sources import Source, read_source, samples_of
from engine.data.splits import (
    MIN_DIALOGUES,
    NAMES,
    at_least,
    choose_personas,
    keep_unseen,
    make_splits,
    split_statistics,
    too_short_for_time,
    with_unanswered,
)
from engine.data.statistics import dataset_statistics
from engine.domains.answer_metrics import HIGHEST, LOWEST, rating_of
from engine.domains.chat import CHAT
from engine.domains.domain import Domain
from engine.domains.registry import find_domain, recognise
from engine.domains.tasks import LABELS, RATINGS, is_unanswered


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything about to be written. `domain` is what the data is about, named or recognised; `asked` is
    what the user chose of who and what is taken.
    """

    source: Source
    imported: Imported
    dataset: Dataset
    splits: Splits
    domain: Domain
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    short: dict[str, int]
    columns: tuple[str, ...] = ()
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def acts(self) -> bool:
        """Whether any reply does what the domain can tell, so that what replies do can be compared."""
        replies = (
            one.text for row in self.dataset.dialogues for one in row.messages if one.role == "assistant"
        )
        return not self.domain.judges or any(map(self.domain.acts, replies))

    @property
    def order(self) -> Order:
        """What told the order in time of those who are kept."""
        return self.imported.order.of(persona.persona_id for persona in self.dataset.personas)


_MOST_LABELS, _LONGEST_LABEL = 20, 40
_STILL = "metrics of what replies do are not applicable. Choose another one with --domain, if one fits."


def make_ready(ws: Workspace, source: Source, choices: Choices) -> Ready:
    """Read, choose and split. Every fault of the rows and of a given split is known before any stops it."""
    mapping, remembered, columns, samples = _mapping(ws, source, choices)
    imported = read_source(source, mapping, samples)
    dataset, faults, notes = imported.dataset, imported.faults, (*remembered, *imported.notes)
    given: Splits | None = None
    if imported.given_split is not None and dataset.dialogues:
        if choices.dialogues is not None or not _wants_time(dataset, choices):
            notes += (
                f"{imported.given_split.name} was not used: it is for a split by time of all dialogues.",
            )
        else:
            dataset, given, more = read_given_split(imported.given_split, imported)
            faults += more
            notes += (f"The split is the one given in {imported.given_split.name}.",) if given else ()
    accept(dataset, faults, source=source.label, keep_good=choices.keep_good)
    chosen, short, left_short = _long_enough(dataset, choices)
    chosen = choose_personas(chosen, personas=choices.personas, seed=choices.seed)
    chosen = first_dialogues(chosen, choices.dialogues)
    splits, told = _split(chosen, given, imported, choices)
    refuse_empty_split(chosen, splits)
    domain = find_domain(ws, choices.domain) if choices.domain else recognise(ws, chosen)
    ready = Ready(source, imported, chosen, splits, domain, faults, notes, short, columns, choices.asked)
    doubt = ready.order.notes() if splits.scheme == "by-time" else ()
    about_base = _said_of_base(choices, domain, is_world=source.world is not None)
    still = (
        () if ready.acts else (f"No reply acts on anything that the domain {domain.name} knows: {_STILL}",)
    )
    replies = _said_of_replies(choices, domain, chosen)
    return replace(ready, notes=(*notes, *left_short, *told, *doubt, *still, *replies, *about_base))


def _mapping(
    ws: Workspace, source: Source, choices: Choices
) -> tuple[Mapping, tuple[str, ...], tuple[str, ...], tuple[Sample, ...] | None]:
    """What the user says of the columns; nothing said, what was said of the same columns before. And the
    columns, and the samples that tell them.
    """
    said = choices.mapping
    if source.world is not None:
        return said, (), (), None
    samples = samples_of(source, said)
    columns = tuple(sorted(columns_of(row for sample in samples for row in sample.rows)))
    if said.names_columns:
        return said, (), columns, samples
    try:
        card = read_json(ws.dataset / CARD)
    except (OSError, EngineError):
        return said, (), columns, samples
    if not card.get("mapping"):
        return said, (), columns, samples
    before = read_mapping(card["mapping"])
    known = set(card.get("columns") or ())
    lost = sorted(columns_used(before) & known - set(columns))
    if lost or not known:
        gone = f"Columns that the import before used are gone ({', '.join(lost)}): all are guessed anew."
        return said, (gone,) if lost else (), columns, samples
    kept = replace(before, **said.as_json())
    seen = samples if kept.encoding == said.encoding else None
    new = sorted(set(columns) - known)
    more = f" New and left out: {', '.join(new[:5])}{', ...' if len(new) > 5 else ''}." if new else ""
    return kept, (f"Columns are understood as at the import before.{more}",), columns, seen


def _wants_time(dataset: Dataset, choices: Choices) -> bool:
    return choices.split == "by-time" or (choices.split == "auto" and not too_short_for_time(dataset))


def _long_enough(dataset: Dataset, choices: Choices) -> tuple[Dataset, dict[str, int], tuple[str, ...]]:
    """Leave out whoever has fewer dialogues than asked for; say so, or say what the few do to the split."""
    if choices.min_dialogues is None:
        return dataset, {}, ()
    kept, short = at_least(dataset, choices.min_dialogues)
    if not kept.personas:
        raise EngineError(
            f"No persona has {count(choices.min_dialogues, 'dialogue')}; the most of one is"
            f" {max(short.values())}.",
            "Lower --min-dialogues.",
        )
    if not short:
        return kept, short, ()
    lost = count(sum(short.values()), "dialogue")
    few = f"fewer than {count(choices.min_dialogues, 'dialogue')}"
    return kept, short, (f"{count(len(short), 'persona')} with {few} left out ({lost}).",)


def _split(
    dataset: Dataset, given: Splits | None, imported: Imported, choices: Choices
) -> tuple[Splits, tuple[str, ...]]:
    """The split given with the data, else one made here; then whoever is to stay unseen.

    Queries whose answers are not known divide nothing: they stand where the rest of her last part does.
    """
    whole, notes = dataset, tuple[str, ...]()
    dataset = replace(whole, dialogues=tuple(row for row in whole.dialogues if not is_unanswered(row)))
    kept = {row.dialogue_id for row in dataset.dialogues}
    places = {one: place for one, place in imported.places.items() if one in kept}
    if given is None and places:
        placed = split_as_placed(dataset, places, seed=choices.seed)
        if placed is not None and choices.split in ("auto", placed.splits.scheme):
            given, notes = placed.splits, placed.notes
        elif set(places.values()) != {"train"}:
            notes = ("The split that stands in the data was not used.",)
    splits = (
        restrict(given, whole) if given else make_splits(dataset, scheme=choices.split, seed=choices.seed)
    )
    short = too_short_for_time(dataset)
    if given is None and choices.split == "auto" and short and len(short) < len(dataset.personas):
        few = f"fewer than {MIN_DIALOGUES} dialogues"
        notes += (
            f"{count(len(short), 'persona')} of {len(dataset.personas)} with {few}, so the split"
            " is by persona;"
            f" leave those out with --min-dialogues {MIN_DIALOGUES} for a split by time.",
        )
    splits = with_unanswered(whole, splits)
    if choices.unseen is not None:
        splits = keep_unseen(whole, splits, share=choices.unseen, seed=choices.seed)
        notes += (f"{count(len(splits.unseen), 'persona')} kept out of all training (unseen).",)
    return splits, notes


def _said_of_replies(choices: Choices, domain: Domain, dataset: Dataset) -> tuple[str, ...]:
    """What is said where the domain scores such replies badly: labels as texts, what is no rating as one."""
    replies = [one.text for row in dataset.dialogues for one in row.messages if one.role == "assistant"]
    off = [text for text in replies if not LOWEST <= (rating_of(text) or 0.0) <= HIGHEST]
    if domain.name == RATINGS.name and off:
        return (
            f"{len(off)} of {count(len(replies), 'reply', 'replies')} are no rating from 1 to 5, first"
            f" {shorten(off[0])}: bring them to that scale, or judge with --domain {LABELS.name}.",
        )
    kinds = sorted(set(replies))
    is_few = len(kinds) <= min(_MOST_LABELS, len(replies) // 4) and max(map(len, kinds)) <= _LONGEST_LABEL
    if choices.domain or domain.name != CHAT.name or not is_few:
        return ()
    ratings = "" if off else f", --domain {RATINGS.name} by how far a rating is off"
    return (
        f"All replies are one of {len(kinds)} ({', '.join(kinds[:5])}{', ...' if len(kinds) > 5 else ''}), of"
        f" which similarity says little: --domain {LABELS.name} judges by accuracy{ratings}.",
    )


def _said_of_base(choices: Choices, domain: Domain, *, is_world: bool) -> tuple[str, ...]:
    if choices.base != EMBEDDED or domain.embedded_base_fits or is_world:
        return ()
    return (
        f"The embedded base was not made for the domain {domain.name}: its replies will be poor. Choose"
        " another one with --base.",
    )


def first_dialogues(dataset: Dataset, dialogues: int | None) -> Dataset:
    """Return the dataset with the first `dialogues` of every persona (None: all)."""
    if dialogues is None:
        return dataset
    return Dataset(dataset.personas, tuple(row for row in dataset.dialogues if row.order < dialogues))


def restrict(splits: Splits, dataset: Dataset) -> Splits:
    """Return the split of those dialogues alone that `dataset` holds."""
    kept = {row.dialogue_id for row in dataset.dialogues}
    assignment = {one: split for one, split in splits.assignment.items() if one in kept}
    unseen = splits.unseen & {persona.persona_id for persona in dataset.personas}
    return Splits(splits.scheme, assignment, splits.online & kept, unseen)


def refuse_empty_split(dataset: Dataset, splits: Splits) -> None:
    """Raise EngineError where a split would hold no example."""
    held = {splits.assignment[row.dialogue_id] for row in dataset.dialogues if example_turns(row.messages)}
    for name in NAMES:
        if name not in held:
            raise EngineError(
                f"The {name} split would hold no example (no reply after a user message).",
                "Use more personas or dialogues, or the other --split.",
            )


def card_of(ready: Ready, digest: str) -> dict[str, Any]:
    """Return what card.json says of the data; `digest` is its hash."""
    statistics = dataset_statistics(ready.dataset)
    found = split_statistics(ready.dataset, ready.splits)
    by_split = {name: held["examples"] for name, held in found.items() if "examples" in held}
    card: dict[str, Any] = {
        "source": ready.source.label,
        "importer": ready.imported.importer,
        "domain": ready.domain.name,
        "data_hash": digest,
        "counts": {
            "personas": len(ready.dataset.personas),
            "dialogues": statistics["dialogues"],
            "messages": statistics["messages"],
            "assistant_turns": statistics["assistant_turns"],
            "examples": sum(by_split.values()),
            "examples_by_split": by_split,
            "personas_with_character": statistics["personas_with_character"],
            "personas_with_routines": statistics["personas_with_routines"],
            "dialogues_with_meta": statistics["dialogues_with_meta"],
        },
        "statistics": statistics,
        "split": ready.splits.scheme,
        "order": ready.order.as_json(),
        "notes": list(ready.notes),
        "left_out": [{"file": fault.file, "line": fault.line, "what": fault.what} for fault in ready.faults],
        "turns": dict(ready.imported.counts),
        "short": ready.short,
        "asked": ready.asked,
    }
    mapped = {"mapping": dict(ready.imported.mapping), "columns": list(ready.columns)}
    card |= mapped if ready.imported.mapping else {}
    return card | ({"world": ready.source.world} if ready.source.world else {})
