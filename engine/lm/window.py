"""What a model can read at once, and what goes when a text is longer: one rule wherever texts are made.

Memories go first, the least similar before the others; then the oldest turns, up to one that begins with the
user; never the instruction, the profile or the query. What is still too long is left out whole: an example
without a reply, a dialogue that trains nothing. Whoever cuts counts it. The same holds for training (the
newest turns are trained), scoring and the playground.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from transformers import PreTrainedModel

from engine.core.errors import EngineError
from engine.core.types import Message
from engine.lm.lengths import POSITIONS, no_room

MEMORIES_TOKENS = 1536
"""Memories are shown as long as a prompt has no more tokens than this, however wide the window."""
_UNLIMITED = 4096


def positions_of(model: PreTrainedModel) -> int | None:
    """Return how many positions the model has; None where its architecture sets no limit."""
    config = model.config.get_text_config()  # of a model that sees, too, what it reads stands apart
    found = (getattr(config, name, None) for name in POSITIONS)
    return next((int(one) for one in found if isinstance(one, int) and one > 0), None)


def window_of(model: PreTrainedModel) -> int:
    """Return how many tokens the model reads at once; where nothing limits them 4,096."""
    return positions_of(model) or _UNLIMITED


def prompt_room(model: PreTrainedModel, max_new_tokens: int) -> int:
    """Return how many tokens a prompt may have beside its reply. Raises EngineError where either has none."""
    if max_new_tokens < 1:
        raise EngineError(f"A reply has a token or more, not {max_new_tokens}.")
    room = window_of(model) - max_new_tokens
    if room < 1:
        raise no_room(max_new_tokens, window_of(model))
    return room


def newest(
    messages: Sequence[Message], tokens: Callable[[Sequence[Message]], int], room: int
) -> Sequence[Message] | None:
    """Return the messages without as many of the oldest turns as it takes to fit; None when nothing fits.

    `tokens` gives the length of a text with these messages. What is kept is all of them, or begins with a
    turn of the user; the last such turn is the least.
    """
    if tokens(messages) <= room:
        return messages
    starts = [place for place, one in enumerate(messages) if one.role == "user" and place]
    kept = bisect_left(starts, True, key=lambda place: tokens(messages[place:]) <= room)
    return messages[starts[kept] :] if kept < len(starts) else None
