"""What did not fit into a base's window, counted and worded: the names that runs count it under.

Whoever shows a score made with cut prompts shows these words too. The rule itself: engine/lm/window.py.
"""

from collections.abc import Mapping
from typing import Any

from engine.core.wording import count

PROMPTS, MEMORIES, EXAMPLES = "prompts_cut", "memories_cut", "examples_left_out"
DIALOGUES, UNREAD, PERSONAS = "dialogues_cut", "dialogues_left_out", "personas_not_covered"
_WORDS = {
    PROMPTS: ("prompt", "without the oldest turns"),
    MEMORIES: ("prompt", "with fewer memories"),
    EXAMPLES: ("example", "left out"),
    DIALOGUES: ("dialogue", "trained by the newest turns only"),
    UNREAD: ("dialogue", "not trained on"),
    PERSONAS: ("persona", "not covered"),
}


def told(counts: Mapping[str, Any]) -> str:
    """Word what was cut: "3 prompts without the oldest turns, 1 example left out"; "" for nothing."""
    return ", ".join(
        f"{count(counts[name], what)} {how}" for name, (what, how) in _WORDS.items() if counts.get(name)
    )
