"""What do the words mean, which keys do what, and where is the button of each command?"""

import streamlit as st

from engine.show.glossary import WORDS, as_lines
from pages.shared import frame
from pages.words import commands

# Where a key works, the key, and what it does.
_KEYS = (
    ("Everywhere", "Tab, Shift+Tab", "to the next or the last control; a frame shows where you are"),
    ("Everywhere", "Enter or Space", "presses a button, opens what is folded"),
    ("Everywhere", "Esc", "closes a menu, a choice or a dialog"),
    ("Choices", "arrows, then Enter", "through the options; letters search in a long list"),
    ("Tables", "Tab, then arrows", "into a table and from cell to cell"),
    ("Tables", "Enter", "opens the row that the frame is in, where a row opens something"),
    ("Tables", "Space", "shows a cell whole"),
    ("Tables", "Ctrl+F", "searches in the table"),
    ("Charts", "Tab", "to “Numbers” below each: what it shows, as a table"),
    ("Playground", "Ctrl+Enter", "asks"),
    ("Playground", "1, 2, 3, 4", "votes: left, tie, both bad, right"),
    ("Playground", "5", "draws another blind pair"),
    ("Playground", "Esc", "stops the replies"),
    ("Pages", "R", "draws the page anew"),
)  # fmt: skip


def show() -> None:
    frame.heading("Keys and words", "What do the words mean, which keys do what, where is each command?")
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Words", anchor=False)
        st.markdown(as_lines(WORDS))
    with right:
        st.subheader("Keys", anchor=False)
        lines = "\n".join(f"| {where} | {key} | {does} |" for where, key, does in _KEYS)
        st.markdown(f"| Where | Key | What it does |\n|---|---|---|\n{lines}")
    commands.show()


if __name__ == "__main__":
    frame.run(show)
