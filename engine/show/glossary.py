"""The words of the app and of its field, each defined once: for help beside the pages, and for the reference.

Owns what each means and on which pages it is met. Two words never mean one thing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A word, what it means in a sentence or two, and the pages (by their titles) where it is met."""

    name: str
    meaning: str
    pages: tuple[str, ...]


WORDS = (
    Word(
        "persona",
        "One user: an id, a character text, routines, and dialogues.",
        ("Study", "Persona", "Data"),
    ),
    Word(
        "dialogue",
        "One conversation of a persona with the assistant, and the moment it happened in.",
        ("Data",),
    ),
    Word(
        "example",
        "One reply of the assistant to predict, with all that was said before it.",
        ("Persona", "Data"),
    ),
    Word(
        "train, validation (val), test",
        "The parts a persona's dialogues are divided into, by time: one to learn from, one to choose by, "
        "one that is looked at only to judge what was chosen.",
        ("Study", "Compare", "Data"),
    ),
    Word(
        "unseen personas",
        "People that nothing is trained on. They show what helps somebody who has just arrived.",
        ("Data",),
    ),
    Word(
        "base",
        "The language model that everything stands on. It is never changed.",
        ("Playground", "Settings"),
    ),
    Word(
        "adapter",
        "A small set of trained weights over the base. LoRA, a low-rank change of its layers, and a "
        "prefix, trained positions before the prompt, are the usual kinds.",
        ("Experiments", "Runs", "Persona"),
    ),
    Word("unified", "One adapter for everybody: what a personal one has to beat.", ("Study", "Compare")),
    Word(
        "hybrid",
        "The unified adapter, and on it a small one of each persona's own.",
        ("Study", "Experiments"),
    ),
    Word(
        "variant",
        "One way of answering for every persona. Whatever is scored, compared or chatted with is a variant.",
        ("Compare", "Playground"),
    ),
    Word(
        "recipe",
        "How a variant answers for one persona: its adapters, its prompt, what it remembers.",
        ("Playground",),
    ),
    Word(
        "experiment",
        "A declared way to make variants, with its parameters and what it needs.",
        ("Experiments",),
    ),
    Word("run", "One execution of an experiment, with its own settings, log and scores.", ("Runs",)),
    Word("sweep", "The same experiment with several values of one parameter.", ("Experiments",)),
    Word(
        "pilot",
        "An experiment with a few personas first; it forecasts what the whole would show.",
        ("Experiments",),
    ),
    Word(
        "protocol",
        "All that makes two scores comparable: data, split, examples, prompt, decoding, metrics, base. "
        "Scores under different protocols are never set against each other.",
        ("Compare", "Runs", "Report"),
    ),
    Word(
        "points",
        "Scores are shares from 0 to 1 and shown times 100: a difference of +2.3 points is 0.023.",
        ("Study", "Compare", "Persona"),
    ),
    Word(
        "reference",
        "The variant that the others are compared with, by default unified.",
        ("Compare", "Persona"),
    ),
    Word(
        "95 % interval",
        "Where the true difference may lie: drawn anew from all personas, 95 of 100 such intervals hold "
        "it. One without 0 speaks for a difference.",
        ("Study", "Compare", "Report"),
    ),
    Word(
        "Holm",
        "Who compares many variants finds something by chance. Holm's correction raises each p value so "
        "that the whole table errs at most so often; what is clear alone may not be clear among many.",
        ("Compare", "Report"),
    ),
    Word(
        "placebo",
        "The same variant with another persona's adapter or memories. Only what beats its placebo is "
        "personal; the rest is more training.",
        ("Study", "Compare", "Report"),
    ),
    Word(
        "noise floor",
        "How far two runs of the same recipe differ that only begin from another seed. Smaller "
        "differences mean nothing.",
        ("Compare", "Report"),
    ),
    Word(
        "seed",
        "The number that random choices begin from: same seed, same result.",
        ("Runs", "Playground"),
    ),
    Word(
        "ceiling",
        "What an assistant would score that knows the persona, and one that knows only everybody. It is "
        "known for synthetic worlds: a bound, not a result.",
        ("Compare", "Persona"),
    ),
    Word(
        "minimum detectable effect",
        "The smallest difference that so many personas would show in 80 of 100 studies.",
        ("Compare",),
    ),
    Word(
        "win, tie, loss",
        "How many personas a variant serves better, equally well, or worse.",
        ("Compare",),
    ),
    Word(
        "catastrophic loss",
        "A persona who loses more than 10 points against the reference.",
        ("Compare", "Report"),
    ),
    Word(
        "gate",
        "A rule on a comparison that decides how the study goes on. It reads validation, never test.",
        ("Study",),
    ),
    Word(
        "routing",
        "For each persona the variant that won on her validation examples.",
        ("Study", "Persona"),
    ),
    Word(
        "merge",
        "Several trained adapters added up with weights, instead of one trained anew.",
        ("Persona",),
    ),
    Word("cluster", "A group of personas who resemble each other.", ("Persona", "Data")),
    Word(
        "silhouette",
        "How well clusters stand apart, from −1 to 1. Near 0 there are no clusters to speak of.",
        ("Data",),
    ),
    Word(
        "retrieval, memories",
        "Past exchanges of the persona that are shown in the prompt.",
        ("Playground", "Persona"),
    ),
    Word(
        "temperature",
        "How freely words are drawn; at 0 the likeliest ones are taken, as in every score.",
        ("Playground",),
    ),
    Word(
        "top-p",
        "Words are drawn from the likeliest ones that make up this share of the probability.",
        ("Playground",),
    ),
    Word("blind", "Names, order and scores are hidden until the vote.", ("Playground", "Votes")),
    Word(
        "rating",
        "Bradley-Terry: from who won against whom, one number a variant; 400 points more mean ten to one.",
        ("Votes",),
    ),
)


def met_on(page: str) -> tuple[Word, ...]:
    """Return the words that are met on a page, in the order in which they build on each other."""
    return tuple(word for word in WORDS if page in word.pages)


def as_lines(words: tuple[Word, ...]) -> str:
    """Return words with their meanings as a list in Markdown."""
    return "\n".join(f"- **{word.name}**: {word.meaning}" for word in words)
