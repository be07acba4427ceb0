"""Other words and circumstances for dialogues about a home that keep what is asked and set."""
