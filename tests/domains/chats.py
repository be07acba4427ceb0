"""A small chat data set, as its owner would bring it: one dialogue a line, about nothing a home could do."""

from __future__ import annotations

import json
from pathlib import Path

TOPICS = ("the trip to Lisbon", "my thesis", "a birthday cake", "the tax form", "a novel", "running shoes")
MANNERS = {
    "ana": "Sure! Let us look at {topic} together, step by step.",
    "ben": "{topic}: keep it short. Two options, one choice.",
    "cleo": "Of course, dear Cleo. About {topic}, I would begin with what you like.",
    "dan": "Good question. Regarding {topic}, the evidence says start small.",
}


def write_chats(path: Path, *, dialogues: int = 6) -> Path:
    """Write the dialogues of four users as JSON lines, ratings in the metadata; return the file."""
    lines = []
    for user, manner in MANNERS.items():
        for number in range(dialogues):
            topic = TOPICS[number % len(TOPICS)]
            lines.append(
                {
                    "persona_id": user,
                    "session_id": number,
                    "character": f"{user.capitalize()} writes to an assistant every day.",
                    "meta": {"rating": number % 5, "time_of_day": "morning", "language": "English"},
                    "messages": [
                        {"role": "user", "content": f"Can you help me with {topic}?"},
                        {"role": "assistant", "content": manner.format(topic=topic)},
                        {"role": "user", "content": "And what comes after that?"},
                        {"role": "assistant", "content": manner.format(topic=f"what follows {topic}")},
                    ],
                }
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
