"""Scores variants: replies to the protocol's examples, their metrics, one table in the run's folder.

Owns the protocol of a score and the resumable answering of examples. The steps differ only in the
variants they hand in.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from engine.core import cuts
from engine.core.paths import read_rows
from engine.core.types import Dataset, Example, Splits
from engine.data.dataset import choose_examples, examples, hash_of, load_dataset, load_splits
from engine.data.splits import UNSEEN
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.lm import mixture
from engine.lm.asking import Ask, Asker
from engine.lm.effects import Recipe
from engine.lm.generate import Reply
from engine.lm.kernels import kernels_for
from engine.lm.load import Base, load_base
from engine.lm.measure import measure
from engine.lm.plan import plan_for
from engine.lm.prompts import PROMPT_VERSION
from engine.lm.recipes import Shelf
from engine.lm.scorer import Scorer
from engine.lm.scorer_choice import encoder_of
from engine.lm.window import window_of
from engine.runs import answers as answer_files
from engine.runs.context import Cancelled, RunContext
from engine.runs.parts import PartDone, rows_of_others
from engine.runs.runfolder import append_line
from engine.strategies import registry

Instead = Callable[[Recipe, str, Example], Recipe]
"""From a variant's recipe, a split and an example to the recipe that answers it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One row before its metrics. `retrieved` lists the memories shown, None when there are none."""

    variant: str
    split: str
    example: Example
    reply: Reply
    retrieved: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True, slots=True)
class ExampleSet:
    """The examples of a protocol, by split, and the dataset and splits they come from."""

    dataset: Dataset
    splits: Splits
    by_split: Mapping[str, tuple[Example, ...]]

    @property
    def all(self) -> list[tuple[str, Example]]:
        return [(split, example) for split, chosen in self.by_split.items() for example in chosen]

    def only(self, kept: Iterable[Example]) -> "ExampleSet":
        """Return these of the examples."""
        ids = {example.example_id for example in kept}
        return self._those(lambda example: example.example_id in ids)

    def where(self, applies: Callable[[str], bool]) -> "ExampleSet":
        """Return the examples of the personas for whom a variant exists."""
        return self._those(lambda example: applies(example.persona_id))

    def in_splits(self, splits: Iterable[str]) -> "ExampleSet":
        """Return the examples of these splits, in this order."""
        return replace(self, by_split={split: self.by_split[split] for split in splits})

    def _those(self, wanted: Callable[[Example], bool]) -> "ExampleSet":
        parts = {split: tuple(filter(wanted, chosen)) for split, chosen in self.by_split.items()}
        return replace(self, by_split=parts)


def example_set(context: RunContext) -> ExampleSet:
    """Return the examples that this run's protocol names."""
    protocol = context.spec.protocol
    dataset, splits = load_dataset(context.workspace), load_splits(context.workspace)
    chosen = {
        split: choose_examples(examples(dataset, splits, split), protocol["examples_per_persona"])
        for split in protocol["splits"]
    }
    return ExampleSet(dataset, splits, chosen)


def served(context: RunContext, whole: ExampleSet) -> ExampleSet:
    """Return the examples that the run's strategy can answer: of unseen personas where its trait says so."""
    if registry.get(context.spec.experiment, context.workspace).traits.serves_unseen:
        return whole
    return whole.in_splits(split for split in whole.by_split if split != UNSEEN)


def declare_protocol(context: RunContext, chosen: ExampleSet, base: Base) -> str:
    """Declare everything that makes this run's scores comparable; return the protocol's hash."""
    ids = "\n".join(example.example_id for _, example in chosen.all)
    return context.protocol(
        {
            **context.spec.protocol,
            "examples_hash": hash_of(ids)[:16],
            "prompt_version": PROMPT_VERSION,
            "scorer": encoder_of(context.workspace).identity,
            "dtype": base.dtype,
            "device": base.device,
            "kernel": kernels_for(context.workspace, base).policy,
            "batch_plan": plan_for(base.model).name,
        }
    )


def score_variant(
    context: RunContext, variant: str, recipe: Recipe, *, family: str, shelf: Shelf | None = None
) -> None:
    """Declare a variant, then answer and score the protocol's examples, for the personas it exists for."""
    context.progress("load", 0, 1)
    context.variant(variant, recipe.as_json(), family=family)
    score_variants(context, {variant: recipe}, shelf=shelf)


def score_variants(
    context: RunContext,
    recipes: Mapping[str, Recipe],
    *,
    base: Base | None = None,
    shelf: Shelf | None = None,
    instead: Instead = lambda recipe, *_: recipe,
) -> pd.DataFrame:
    """Answer and score the protocol's examples with each of some recipes, named by their variants.

    `instead` gives the recipe that answers an example of a split in the place of its variant's. Returns the
    scores, as `score_table` does.
    """
    base, shelf = base or load_base(context.spec.base), shelf or Shelf(context.workspace)
    whole = example_set(context)
    protocol, chosen = declare_protocol(context, whole, base), served(context, whole)
    scorer = Scorer(context.workspace)
    asker = asker_for(context, base, shelf, scorer)
    covered = {
        variant: chosen.where(lambda persona, recipe=recipe: asker.covers(recipe, persona))  # type: ignore[misc]
        for variant, recipe in recipes.items()
    }
    cut: Counter[str] = Counter()
    for variant, recipe in recipes.items():
        asked = [example for _, example in covered[variant].all]
        fits = asker.fitting(recipe, asked)
        cut[cuts.EXAMPLES] += len(asked) - len(fits)
        covered[variant] = covered[variant].only(fits)
    total, answers = sum(len(part.all) for part in covered.values()), list[Answer]()
    for variant, recipe in recipes.items():
        asks = _asks(asker, recipe, covered[variant], instead)
        cut[cuts.PROMPTS] += sum(ask.turns_cut > 0 for ask in asks)
        cut[cuts.MEMORIES] += sum(ask.memories_cut > 0 for ask in asks)

        def tell(done: int, before: int = len(answers)) -> None:
            context.progress("generate", before + done, total, unit="replies")

        answers += answer(context, base, variant, covered[variant], asks, progress=tell)
    count_cuts(context, base, cut)
    return write_scores(context, answers, protocol, scorer)


def _asks(asker: Asker, recipe: Recipe, chosen: ExampleSet, instead: Instead) -> list[Ask]:
    examples, groups = chosen.all, dict[Recipe, list[int]]()
    for place, (split, example) in enumerate(examples):
        groups.setdefault(instead(recipe, split, example), []).append(place)
    found: dict[int, Ask] = {}
    for answering, places in groups.items():
        asked = asker.asks(answering, [examples[place][1] for place in places])
        found |= dict(zip(places, asked, strict=True))
    return [found[place] for place in sorted(found)]


def count_cuts(context: RunContext, base: Base, cut: Mapping[str, int]) -> None:
    """Say in the log and in the summary what the base's window cut off or left out."""
    counts = {name: number for name, number in cut.items() if number}
    if counts and context.part is None:  # the process that puts the shares together counts for all
        context.summary(**counts)
        context.log(f"Too long for this base's window of {window_of(base.model)} tokens: {cuts.told(counts)}")


def asker_for(context: RunContext, base: Base, shelf: Shelf, scorer: Scorer) -> Asker:
    """Return what makes this run's prompts; finding memories is a stage, or counts as loading."""
    memories = "memories" if "memories" in context.spec.stages else "load"
    return Asker(
        context.workspace,
        base,
        shelf,
        max_new_tokens=context.spec.protocol["max_new_tokens"],
        scorer=scorer,
        on_progress=embedding_progress(context, memories, unit="memories"),
    )


def answer(
    context: RunContext,
    base: Base,
    variant: str,
    chosen: ExampleSet,
    asks: Sequence[Ask],
    *,
    progress: Callable[[int], None],
) -> list[Answer]:
    """Return the variant's replies to all examples; batches answered by an earlier attempt are kept.

    `asks` belong to the examples one by one. `progress` gets the number of replies so far. Raises Cancelled
    between batches when asked to stop: the batches done are on disk, and the rest keeps its batch
    composition, so resuming gives the same texts.
    """
    requests = [ask.rows for ask in asks]
    kernels, plan = kernels_for(context.workspace, base), plan_for(base.model)
    if plan.reason:
        context.log(f"Each step on the GPU is launched operation by operation: {plan.reason}.")
    together = mixture.batches_of(requests, rows=plan.rows, kernels=kernels)
    others = rows_of_others(context.part, together)
    kept = _kept_replies(context, variant, len(asks))
    replies: dict[int, Reply] = dict(kept)

    def keep(rows: list[int], done: list[Reply]) -> None:
        for row, reply in zip(rows, done, strict=True):
            replies[row] = reply
        keep_replies(context, variant, dict(zip(rows, done, strict=True)))
        progress(len(replies))
        if context.stop_requested():
            raise Cancelled

    progress(len(replies))
    mixture.answer(
        base.model,
        base.tokenizer,
        requests,
        plan=plan,
        kernels=kernels,
        on_batch=keep,
        skip=others.union(kept),
        max_new_tokens=context.spec.protocol["max_new_tokens"],
    )
    if context.part is not None:  # the process that does the rest puts the shares together
        return []
    return [
        Answer(variant, split, example, replies[row], _retrieved(asks[row]))
        for row, (split, example) in enumerate(chosen.all)
    ]


def keep_replies(context: RunContext, variant: str, replies: Mapping[int, Reply]) -> None:
    """Keep a variant's replies, by the row of their example, for the attempt that answers the rest."""
    line = json.dumps([[row, asdict(reply)] for row, reply in replies.items()], ensure_ascii=False)
    append_line(_kept_file(context, variant), line)


def write_scores(
    context: RunContext, answers: Sequence[Answer], protocol: str, scorer: Scorer
) -> pd.DataFrame:
    """Score all answers in the study's metrics, write both files and return the scores.

    Each distinct text is encoded once.
    """
    if context.part is not None:
        raise PartDone  # what comes now is for the process that does the rest
    table = pd.DataFrame([_row(row, protocol) for row in answers], columns=list(answer_files.ANSWER_TYPES))
    shown = metrics.of_study(context.workspace).values()
    scores = score_table(context, answers, protocol, scorer, shown)
    answer_files.write(context.folder, table, scores)
    first = metrics.primary(context.workspace)
    for variant, group in scores[scores["metric"] == first.name].groupby("variant", sort=False):
        means = group[group["part"] == ""].groupby("split")["value"].mean()
        told = ", ".join(f"{split} {value:.4f}" for split, value in means.items())
        context.log(f"{variant}: {first.label} {told or 'is of the whole set'}")
    for path in context.folder.glob("replies-*.jsonl"):
        path.unlink()
    return scores


def score_table(
    context: RunContext, answers: Sequence[Answer], protocol: str, scorer: Scorer, wanted: Iterable[Metric]
) -> pd.DataFrame:
    """Return the scores of the answers in the metrics wanted, long, with the answers' keys and personas."""
    scorer.keep_in(context.workspace)
    context.progress("score", 0, 2 * len(answers), unit="texts")
    found = measure(
        wanted,
        [row.reply.text for row in answers],
        [row.example.reference for row in answers],
        scorer=lambda: scorer,
        on_progress=embedding_progress(context, "score", unit="texts"),
    )
    whose = pd.DataFrame(
        [
            (row.variant, row.split, protocol, row.example.example_id, row.example.persona_id)
            for row in answers
        ],
        columns=[*answer_files.KEY_COLUMNS, "persona_id"],
    )
    return found.join(whose, on="row").drop(columns="row")


def embedding_progress(context: RunContext, stage: str, *, unit: str) -> Callable[[int, int], None]:
    """Return what to call after each chunk of embeddings; it raises Cancelled when asked to stop."""

    def tell(done: int, total: int) -> None:
        context.progress(stage, done, total, unit=unit)
        if context.stop_requested():
            raise Cancelled

    return tell


def _row(row: Answer, protocol: str) -> dict[str, Any]:
    example, reply = row.example, row.reply
    return {
        "variant": row.variant,
        "split": row.split,
        "protocol": protocol,
        "example_id": example.example_id,
        "persona_id": example.persona_id,
        "dialogue_id": example.dialogue_id,
        "turn": example.turn,
        "reply": reply.text,
        "reference": example.reference,
        "prompt_tokens": reply.prompt_tokens,
        "reply_tokens": reply.reply_tokens,
        "seconds": reply.seconds,
        "retrieved": None if row.retrieved is None else json.dumps(row.retrieved, ensure_ascii=False),
    }


def _retrieved(ask: Ask) -> tuple[dict[str, Any], ...] | None:
    return tuple(asdict(memory) for memory in ask.memories) or None


def _kept_replies(context: RunContext, variant: str, expected: int) -> dict[int, Reply]:
    """Return the replies that are on disk, row -> reply; a line torn by a kill is left out."""
    kept: dict[int, Reply] = {}
    for path in sorted(context.folder.glob(f"replies-{_file_name(variant)}.*jsonl")):
        for batch in read_rows(path, list[tuple[int, Reply]]):
            kept |= {row: reply for row, reply in batch if row < expected}
    return kept


def _kept_file(context: RunContext, variant: str) -> Path:
    part = context.part
    share = f".{part.number}" if part is not None and part.kind == "replies" else ""
    return context.folder / f"replies-{_file_name(variant)}{share}.jsonl"


def _file_name(variant: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-+" else "_" for letter in variant)
