"""More training dialogues from those that are there, by rules that keep what a dialogue asks and sets.

Sees training dialogues only: whoever calls it hands them over, so val and test cannot get in. Replies stay
word for word, but for the time of day they name. What models rewrite comes in as a table of alternatives
(engine/lm/rewriting.py); the same guards judge it.
"""

from engine.domains.smart_home.augment.growing import Growing, grow, training_sources
from engine.domains.smart_home.augment.methods import MODEL_METHODS, RULES, make_methods
from engine.domains.smart_home.augment.preview import Pair, Preview, preview
from engine.domains.smart_home.augment.records import Augmented, Change, Grown, changes, read_augmented

__all__ = [
    "MODEL_METHODS",
    "RULES",
    "Augmented",
    "Change",
    "Growing",
    "Grown",
    "Pair",
    "Preview",
    "changes",
    "grow",
    "make_methods",
    "preview",
    "read_augmented",
    "training_sources",
]
