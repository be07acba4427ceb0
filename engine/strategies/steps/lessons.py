"""Who shares an adapter, and which dialogues each adapter is trained and judged on.

Owns the choice of personas (a pilot's seeded subset), of their dialogues (all of train, its most recent part,
with or without the online slice), and how a run's parameters become the trainer's settings. Trains nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core import cuts
from engine.core.errors import EngineError
from engine.core.kept import held, leave, make_room
from engine.core.paths import folder_name
from engine.core.types import Dataset, Dialogue, Message, Split, Splits
from engine.data.dataset import load_dataset, load_splits, subset_of
from engine.domains.domain import Domain
from engine.domains.registry import domain_of
from engine.lm.encode import Encoded, encode_dialogue, encode_prompt
from engine.lm.load import Base
from engine.lm.prefix import PrefixForm
from engine.lm.prompts import chat, system_text
from engine.lm.shape import LoraShape
from engine.lm.train import Hooks, Lesson, Trained, TrainSettings
from engine.lm.window import newest, window_of
from engine.runs.context import RunContext
from engine.runs.runfolder import fingerprint, read_spec
from engine.strategies.clusterings import read_clusters
from engine.strategies.steps.augment import augmented_for
from engine.strategies.steps.recalling import recalled, rows_of, shown
from engine.strategies.steps.scoring import count_cuts

_WANTED_STEPS, _MOST_AT_ONCE, _USUAL_EPOCHS = 600, 8, 3
_SETTINGS = tuple(TrainSettings.__dataclass_fields__)
Rows = Mapping[str, Mapping[str, Sequence[Encoded]]]
"""Persona -> "train" and "val" -> encoded dialogues. Other people's validation dialogues are under ""."""
_Fitting = tuple[list[Encoded], bool]
_SETS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Group:
    """The personas that share an adapter, and the folder name of that adapter."""

    name: str
    personas: tuple[str, ...]


def persona_groups(context: RunContext) -> list[Group]:
    """Return who shares an adapter: everybody, each cluster, or each persona alone.

    `personas` in the parameters takes a seeded subset of those who have dialogues to train on; a larger one
    holds the smaller.
    """
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    chosen = set(train_ids(dataset, splits, context.spec.parameters))
    ids = sorted({row.persona_id for row in dataset.dialogues if row.dialogue_id in chosen})
    ids = sorted(subset_of(ids, context.spec.parameters.get("personas"), seed=context.spec.seed))
    by = context.spec.parameters["by"]
    if by == "all":
        return [Group(context.spec.experiment, tuple(ids))]
    if by == "persona":
        return [Group(folder_name(persona), (persona,)) for persona in ids]
    return _cluster_groups(context, ids)


def _cluster_groups(context: RunContext, ids: Sequence[str]) -> list[Group]:
    clusters = read_clusters(context.workspace, context.spec.upstream["clusters"])
    members: dict[int, list[str]] = {}
    for persona, cluster in clusters.of(ids, only=context.spec.parameters.get("cluster")).items():
        members.setdefault(cluster, []).append(persona)
    return [Group(f"cluster-{cluster}", tuple(members[cluster])) for cluster in sorted(members)]


def covered(context: RunContext, groups: Sequence[Group], rows: Rows) -> list[Group]:
    """Return the groups that have something to train on; the personas of the others are counted.

    Raises EngineError where that is nobody.
    """
    kept = [group for group in groups if any(rows.get(one, {}).get("train") for one in group.personas)]
    if not kept:
        raise EngineError(
            "There is no train dialogue with a reply that fits the model's window.",
            "Import data with assistant turns, or choose a base with a longer context.",
        )
    lost = [persona for group in groups if group not in kept for persona in group.personas]
    if lost and context.part is None:
        context.summary(**{cuts.PERSONAS: len(lost)})
        context.log(f"Not covered, for want of a train dialogue that fits the window: {', '.join(lost)}")
    return kept


def lesson(group: Group, rows: Rows) -> Lesson:
    """Return what the adapter of a group that is `covered` is trained and judged on."""
    members = [rows[persona] for persona in group.personas if persona in rows]
    train = [row for member in members for row in member["train"]]
    judges = [row for member in members for row in member["val"]] or list(rows.get("", {}).get("val", ()))
    return Lesson(group.name, train, judges)


def training_dialogues(
    context: RunContext, base: Base, personas: set[str], *, taken: int = 0
) -> dict[str, dict[str, list[Encoded]]]:
    """Return the encoded train and val dialogues of each persona, as many as the parameters ask for.

    Where memories are to stand in the prompt, each reply is a row of its own behind them. With the by-persona
    split the validation dialogues are other people's: they are under the name "". A
    dialogue that is longer than the model's window, less the positions `taken` by a prefix, is cut to its
    newest turns; cut ones are counted, and those whose last turn alone is too long.
    """
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    chosen = set(train_ids(dataset, splits, context.spec.parameters))
    made = augmented_for(context, chosen)
    chosen.update(dialogue.dialogue_id for dialogue in made)
    wanted: list[tuple[Dialogue, Split]] = []
    for dialogue in (*dataset.dialogues, *made):
        split = "train" if dialogue.dialogue_id in chosen else splits.assignment.get(dialogue.dialogue_id)
        is_theirs = dialogue.persona_id in personas or (split == "val" and splits.scheme == "by-persona")
        if is_theirs and (split == "val" or dialogue.dialogue_id in chosen):
            wanted.append((dialogue, split or "train"))
    told, domain = shown(context), domain_of(context.workspace)
    memories = recalled(context, told, wanted) if told.memories else {}
    room = window_of(base.model) - taken
    encoded = {} if told.memories else _encoded(context, base, domain, [one for one, _ in wanted], room)
    rows: dict[str, dict[str, list[Encoded]]] = {}
    cut = Counter[str]()
    for dialogue, split in wanted:
        if told.memories:
            longest = context.spec.protocol["max_new_tokens"]
            made_of, was_cut = rows_of(base, domain, dialogue, memories, max_new_tokens=longest)
        else:
            made_of, was_cut = encoded[dialogue.dialogue_id]
        if was_cut:
            cut[cuts.DIALOGUES if made_of else cuts.UNREAD] += 1
        owner = "" if split == "val" and splits.scheme == "by-persona" else dialogue.persona_id
        for row in made_of:
            if any(row.is_reply):
                rows.setdefault(owner, {"train": [], "val": []})[split].append(row)
    count_cuts(context, base, cut)
    return rows


def dialogues_of(
    context: RunContext, base: Base, personas: Collection[str], split: Split, *, taken: int = 0
) -> dict[tuple[str, str], list[Encoded]]:
    """Return (persona_id, dialogue_id) -> the encoded dialogue, of these personas in a split; cut as for
    training."""
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    room, domain = window_of(base.model) - taken, domain_of(context.workspace)
    found = {}
    for dialogue in dataset.dialogues:
        if splits.assignment.get(dialogue.dialogue_id) == split and dialogue.persona_id in personas:
            rows, _ = _within(base, domain, dialogue, room)
            found[dialogue.persona_id, dialogue.dialogue_id] = [row for row in rows if any(row.is_reply)]
    return {key: rows for key, rows in found.items() if rows}


def train_ids(dataset: Dataset, splits: Splits, parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids of the train dialogues that the parameters ask for.

    `history` counts within what remains of train, and takes its end: the dialogues nearest in time to those
    that judge, which are what a real assistant would still have.
    """
    own: dict[str, list[str]] = {}
    only_online = parameters.get("train_on") == "online"
    for row in dataset.dialogues:
        is_online = row.dialogue_id in splits.online
        wanted = is_online if only_online else (parameters.get("use_online", True) or not is_online)
        if wanted and splits.assignment.get(row.dialogue_id) == "train":
            own.setdefault(row.persona_id, []).append(row.dialogue_id)
    history = parameters.get("history")
    for ids in own.values():
        yield from ids if history is None else ids[-history:]


def _encoded(
    context: RunContext, base: Base, domain: Domain, dialogues: Sequence[Dialogue], room: int
) -> dict[str, _Fitting]:
    """Return what dialogues are trained on, by their ids; most runs of a study train on the same ones."""

    def made() -> dict[str, _Fitting]:
        return {one.dialogue_id: _within(base, domain, one, room) for one in dialogues}

    if not context.spec.base_fingerprint:
        return made()
    texts = {one.dialogue_id: chat(system_text(domain, meta=one.meta), one.messages) for one in dialogues}
    made_from = (context.spec.base_fingerprint, str(room), fingerprint(texts, 64))
    name = f"encoded-{fingerprint(made_from, 8)}"
    there = held(context.workspace, name, made_from, dict[str, _Fitting])
    if there is None:
        make_room(context.workspace, "encoded", most=_SETS_KEPT)
        there = leave(context.workspace, name, made_from, dict[str, _Fitting], made())
    return there


def _within(base: Base, domain: Domain, dialogue: Dialogue, room: int) -> _Fitting:
    """Return what a dialogue is trained on in so many tokens, and whether it was too long as a whole.

    Too long, it is its newest turns, or nothing.
    """

    def rows_of(said: Sequence[Message]) -> list[Encoded]:
        return _encode(base, domain, replace(dialogue, messages=tuple(said)))

    whole = _encode(base, domain, dialogue)
    if _longest(whole) <= room:
        return whole, False
    kept = newest(dialogue.messages, lambda said: _longest(rows_of(said)), room)
    return (rows_of(kept) if kept else []), True


def _longest(rows: Sequence[Encoded]) -> int:
    return max(map(len, rows), default=0)


def _encode(base: Base, domain: Domain, dialogue: Dialogue) -> list[Encoded]:
    return encode_dialogue(base.tokenizer, chat(system_text(domain, meta=dialogue.meta), dialogue.messages))


def train_settings(context: RunContext, *, dialogues: int) -> TrainSettings:
    """Return the spec's parameters as the trainer's settings; an open batch size is chosen by the data's.

    `dialogues` is the number that one adapter is trained on. Small data is trained in small batches, for at
    least some hundred steps; large data up to 8 at once.
    """
    given = {name: value for name, value in context.spec.parameters.items() if name in _SETTINGS}
    epochs = min(given["epochs"], _USUAL_EPOCHS)  # the rest may never come: training stops by itself
    fitting = min(_MOST_AT_ONCE, max(1, dialogues * epochs // _WANTED_STEPS))
    given["batch_size"] = given["batch_size"] or fitting
    return TrainSettings(**given, seed=context.spec.seed)


def hooks_of(context: RunContext, *, part: int = 0, of: int = 1) -> Hooks:
    """Return how a trainer tells the run what it does; `part` is which of so many trainings of it."""
    return Hooks(
        progress=lambda steps, total: context.progress(
            "train", part * total + steps, of * total, unit="steps"
        ),
        loss=lambda split, step, epoch, nats, rate: context.event(
            "loss", split=split, step=step, epoch=epoch, loss_nats=nats, learning_rate=rate, training=part
        ),
        stop=context.stop_requested,
        say=context.log,
    )


def record_of(one: Trained, parameters: int, *, seconds: float, judged: bool = True) -> dict[str, Any]:
    """Return what a trained adapter leaves in training.json of the training itself."""
    return {
        "name": one.name,
        "parameters": parameters,
        "seconds": seconds,
        "steps": one.steps,
        "best_epoch": one.best_epoch + 1,
        "best_loss": one.best_loss if judged else None,
        "val_losses": list(one.val_losses),
    }


def shape_of(context: RunContext) -> LoraShape:
    """Return the shape that the run's parameters name; where they name none, that of what it starts from."""
    own, upstream = context.spec.parameters, context.spec.upstream
    if "start" in upstream and "rank" not in own:
        own = read_spec(context.workspace.run_folder(upstream["start"])).parameters
    return LoraShape.of(own)


def prefix_form(context: RunContext, base: Base) -> PrefixForm:
    """Return the form of a prefix of the run's length, which begins as the instruction's keys and values."""
    opening = chat(system_text(domain_of(context.workspace)), [])
    length = int(context.spec.parameters["length"])
    return PrefixForm(base.model, length, encode_prompt(base.tokenizer, opening))
