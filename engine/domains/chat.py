"""The domain of any dialogues: nothing is known of what they are about, so only what is said counts."""

from engine.domains.domain import Domain

CHAT = Domain(
    name="chat",
    title="Chat",
    about="Any dialogues between people and an assistant.",
    instruction="You are a helpful assistant.",
    metrics=("embedding_similarity", "length_ratio"),
    shown=("date", "time", "day_of_week", "time_of_day", "place", "language"),
)
