"""The domain of history and queries (the LaMP family): a person's items are pairs of input and output, and
her queries are inputs whose output is predicted. Owns which tasks are texts, labels or ratings, and so what
is scored.

Nothing of an item's metadata reaches a prompt: what a query tells stands in its input.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from engine.core.types import Dataset, Dialogue
from engine.domains.domain import Domain

TASK: Final = "task"
"""The key of a dialogue's metadata that names the task it belongs to."""
QUERY: Final = "query-"
"""What the id of a query begins with, before the one that its file gives it."""
LABELLED: Final = frozenset({"lamp-1", "lamp-2", "personamem"})
RATED: Final = frozenset({"lamp-3"})


def is_unanswered(dialogue: Dialogue) -> bool:
    """Whether a dialogue is a query whose answer is not known: it can be predicted, and never scored."""
    return TASK in dialogue.meta and all(message.role != "assistant" for message in dialogue.messages)


def _belongs(kind: Callable[[str], bool]) -> Callable[[Dataset], bool]:
    def recognises(dataset: Dataset) -> bool:
        tasks = {str(row.meta[TASK]) for row in dataset.dialogues if TASK in row.meta}
        return bool(tasks) and all(map(kind, tasks))

    return recognises


TASKS: Final = Domain(
    name="tasks",
    title="Tasks: texts",
    about="People with a history of what they wrote, and queries to be answered as they would write.",
    instruction="You write as this person writes.",
    metrics=("rouge_l", "rouge_1", "meteor", "bleu", "chrf", "embedding_similarity", "length_ratio"),
    assistant="Answer",
    recognises=_belongs(lambda task: task not in LABELLED | RATED),
)
LABELS: Final = replace(
    TASKS,
    name="tasks-labels",
    title="Tasks: labels",
    about="People with a history of what they chose, and queries to be answered with a label.",
    instruction="You answer as this person would, with the label alone.",
    metrics=("label_accuracy", "label_macro_f1", "length_ratio"),
    is_closed=True,
    recognises=_belongs(LABELLED.__contains__),
)
RATINGS: Final = replace(
    TASKS,
    name="tasks-ratings",
    title="Tasks: ratings",
    about="People with a history of what they rated from 1 to 5, and queries to be answered with a rating.",
    instruction="You rate as this person would, with the number alone.",
    metrics=("rating_mae", "rating_rmse", "label_accuracy", "length_ratio"),
    is_closed=True,
    recognises=_belongs(RATED.__contains__),
)
