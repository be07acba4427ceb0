"""More training dialogues from those that are there, by ways that keep what a dialogue asks and does.

Which ways there are, and what they must keep, is the domain's. Sees training dialogues only: whoever calls it
hands them over, so val and test cannot get in. Replies stay word for word, but for what a way itself changes
in both. What models rewrite comes in as a table of alternatives (engine/lm/rewriting.py); the same guards
judge it.
"""

from engine.data.augment.growing import Growing, grow, training_sources
from engine.data.augment.methods import MODEL_METHODS, make_methods, method_words
from engine.data.augment.preview import Preview, preview
from engine.data.augment.records import Attempt, Augmented, Change, Grown, changes, read_augmented

__all__ = [
    "MODEL_METHODS",
    "Attempt",
    "Augmented",
    "Change",
    "Growing",
    "Grown",
    "Preview",
    "changes",
    "grow",
    "make_methods",
    "method_words",
    "preview",
    "read_augmented",
    "training_sources",
]
