"""How long dialogues are in a base's own tokens, beside what it reads at once. Loads no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.errors import EngineError
from engine.core.paths import read_json
from engine.core.types import Dialogue

POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length")


class TooLong(EngineError):
    """What does not fit into the model's window even alone: a query, or the reply that is asked for."""


def no_room(max_new_tokens: int, window: int, prefix: int = 0) -> TooLong:
    """Return the refusal of replies that leave a prompt no token, beside a prefix of so many positions."""
    behind = f" behind a prefix of {prefix}" if prefix else ""
    shorter = "a shorter prefix (length) or shorter replies" if prefix else "shorter replies"
    return TooLong(
        f"A reply of {max_new_tokens} tokens{behind} leaves no room for a prompt in this base's window of "
        f"{window}.",
        f"Ask for {shorter} (max_new_tokens), or choose a base with a longer context.",
    )


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of dialogues: the middle one, nine in ten, the longest, and how many exceed the window."""

    window: int | None
    median: int
    ninth: int
    longest: int
    too_long: int
    dialogues: int


def lengths_in(folder: Path, dialogues: Sequence[Dialogue]) -> Lengths:
    """Return the lengths of dialogues by the tokenizer of a base's folder, without template and instruction.

    Raises EngineError where it has no tokenizer.json.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        reader = Tokenizer.from_file(str(file))
    except Exception as error:
        raise EngineError(f"{file} cannot be read: {error}", "Choose another base.") from error
    reader.no_truncation()
    reader.no_padding()
    texts = ["\n".join(message.text for message in row.messages) for row in dialogues]
    sizes = np.array([len(found.ids) for found in reader.encode_batch(texts)] or [0])
    config = read_json(folder / "config.json")
    config |= config.get("text_config") or {}
    window = next((int(config[name]) for name in POSITIONS if isinstance(config.get(name), int)), None)
    return Lengths(
        window,
        int(np.median(sizes)),
        int(np.quantile(sizes, 0.9)),
        int(sizes.max()),
        0 if window is None else int((sizes > window).sum()),
        len(texts),
    )
