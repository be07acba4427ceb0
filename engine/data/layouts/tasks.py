"""The tasks of the LaMP family: what an item of a person's history asks, and what it was answered with.

Owns the templates that make a pair of a history item, and how a task is told where its name is not. Reads no
file. Tasks: Salemi et al., LaMP, arXiv 2304.11406; Kumar et al., LongLaMP, arXiv 2407.11016.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.errors import unknown_name
from engine.domains.tasks import RATED


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `asks` is the words before a history item's `given` fields, `answer` the field it is answered
    with.

    `sign` is how the input of its queries begins, or what it holds.
    """

    name: str
    about: str
    asks: str
    given: tuple[str, ...]
    answer: str
    sign: str

    def pair(self, item: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return what an item asks and its answer; None where a field is missing."""
        fields = {name: words_of(item.get(name)) for name in self.given}
        answer = self.answered(item.get(self.answer))
        return (self.asks.format(**fields), answer) if answer and all(fields.values()) else None

    def answered(self, value: Any) -> str:
        """Return an answer as text: a rating of "4.0" is 4."""
        text = words_of(value)
        return _POINT_NOUGHT.sub("", text) if self.name in RATED else text


def words_of(value: Any) -> str:
    """Return what a field holds as text, a whole number without a point; "" for what is neither."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return value.strip() if isinstance(value, str) else ""


TASKS: Final = (
    Task(
        "lamp-1",
        "citations",
        "Write a title for the following abstract: {abstract}",
        ("abstract",),
        "title",
        r"which reference is related|For an author who has written the paper",
    ),
    Task(
        "lamp-2",
        "movie tags",
        "Which tag does this movie relate to? Just answer with the tag name without"
        " further explanation. description: {description}",
        ("description",),
        "tag",
        r"Which tag does this movie relate to",
    ),
    Task(
        "lamp-3",
        "product ratings",
        "What is the score of the following review on a scale of 1 to 5?"
        " just answer with 1, 2, 3, 4, or 5 without further explanation. review: {text}",
        ("text",),
        "score",
        r"What is the score of the following review",
    ),
    Task(
        "lamp-4",
        "headlines",
        "Generate a headline for the following article: {text}",
        ("text",),
        "title",
        r"Generate a headline for",
    ),
    Task(
        "lamp-5",
        "paper titles",
        "Generate a title for the following abstract of a paper: {abstract}",
        ("abstract",),
        "title",
        r"Generate a title for",
    ),
    Task(
        "lamp-6",
        "e-mail subjects",
        "Generate a subject for the following email: {text}",
        ("text",),
        "title",
        r"Generate a subject for",
    ),
    Task("lamp-7", "tweets", "Write a tweet.", (), "text", r"Paraphrase the following"),
    Task(
        "longlamp-abstract",
        "abstracts",
        'Generate an abstract for the title "{title}"',
        ("title",),
        "abstract",
        r"Generate an abstract for",
    ),
    Task(
        "longlamp-topic",
        "posts",
        'Generate the content for a reddit post "{summary}".',
        ("summary",),
        "content",
        r"Generate the content for a reddit post",
    ),
    Task(
        "longlamp-review",
        "product reviews",
        "Generate the review text written by a reviewer who has a given an overall rating of"
        ' "{overall}" for a product with description "{description}". The summary of the review text is'
        ' "{summary}".',
        ("overall", "description", "summary"),
        "reviewText",
        r"Generate the review text",
    ),
)
_POINT_NOUGHT = re.compile(r"(?<=\d)\.0+$")
BY_NAME: Final = {task.name: task for task in TASKS}
_WRITTEN = re.compile(r"lamp[_\- ]?([1-7])(?!\d)", re.IGNORECASE)


def task_named(name: str) -> Task:
    """Return the task a user names: "lamp-4", "LaMP_4", "longlamp-review". Raises EngineError for none."""
    plain = name.strip().lower().replace("_", "-")
    found = BY_NAME.get(plain)
    if found is None:
        raise unknown_name("task", name, BY_NAME)
    return found


def task_told(text: str) -> Task | None:
    """Return the task that a path or a name holds ("LaMP_4/dev_questions.json"), None for none."""
    found = [] if "longlamp" in text.lower() else _WRITTEN.findall(text)
    return BY_NAME[f"lamp-{found[-1]}"] if found else None


def task_asked(question: str) -> Task | None:
    """Return the task whose queries are worded so, None for none."""
    return next((task for task in TASKS if re.search(task.sign, question[:400], re.IGNORECASE)), None)
