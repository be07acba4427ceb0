"""What a row of a comparison is beside those that compete: the words of its `role`, and what they mean.

A row without a role is a variant that competes with the reference. Judges nothing: engine/results/comparing/
scene.py says which variant has which role.
"""

from typing import Final

from engine.core.types import Row

REFERENCE: Final = "reference"
BOUND: Final = "bound"  # an oracle's: nothing is expected above it
YARDSTICK: Final = "yardstick"  # another oracle's, who knows the population only
REPEAT: Final = "repeat"  # from another seed
ELSEWHERE: Final = "other protocol"
PLACEBO: Final = "placebo"
MATCHED: Final = "step-matched"
GROUND: Final = "ground"  # what others are built on and compared with
IN_SAMPLE: Final = "chosen here"  # its own choice was made on these dialogues
CONTROLS: Final = frozenset({PLACEBO, MATCHED})
ORACLES: Final = frozenset({BOUND, YARDSTICK})
NEVER_CHOSEN: Final = CONTROLS | ORACLES | {REPEAT, IN_SAMPLE}
_BELOW: Final = {GROUND: 1, REPEAT: 1, MATCHED: 2, PLACEBO: 2, YARDSTICK: 3, BOUND: 4}


def competes(row: Row) -> bool:
    """Say whether a row is a variant that competes with the reference."""
    return not row["role"]


def is_reference(row: Row) -> bool:
    """Say whether a row is what the others are compared with."""
    return bool(row["role"] == REFERENCE)


def takes_part(row: Row) -> bool:
    """Say whether a row is the reference or competes with it."""
    return competes(row) or is_reference(row)


def place(row: Row) -> int:
    """Return how far below those that compete a row stands in tables."""
    return _BELOW.get(row["role"], 0)


def is_repeat(row: Row) -> bool:
    """Say whether a row only repeats another, or a control of it, from another seed."""
    return row["role"] == REPEAT or (row["role"] in CONTROLS and row.get("repeat_of") is not None)


def is_bound(row: Row) -> bool:
    """Say whether a row is an oracle's, bound or yardstick: never a contender, never a reference to beat."""
    return row["role"] in ORACLES
