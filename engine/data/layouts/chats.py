"""The layouts of chats that are lists of turns: OpenAI's messages, ShareGPT's conversations, and Alpaca's
rows.

Owns how each is told from the others. None of them names a user: which column does, the mapping says.
"""

from engine.data.layouts.layout import Sample
from engine.data.mapping import turns_in


def is_sharegpt(sample: Sample) -> bool:
    """Say whether rows hold conversations of {"from", "value"}."""
    return any({"from", "value"} <= keys for keys in _turn_keys(sample, "conversations"))


def is_openai(sample: Sample) -> bool:
    """Say whether rows hold messages of {"role", "content"}."""
    keys = _turn_keys(sample, "messages")
    empty = bool(sample.rows) and all(row.get("messages") == [] for row in sample.rows)
    return empty or any("role" in found and found & {"content", "text"} for found in keys)


def is_alpaca(sample: Sample) -> bool:
    """Say whether rows hold an instruction and its output."""
    return {"instruction", "output"} <= sample.keys


def _turn_keys(sample: Sample, column: str) -> list[set[str]]:
    turns = [turns_in(row.get(column)) or [] for row in sample.rows]
    return [set(turn) for held in turns for turn in held if isinstance(turn, dict)]
