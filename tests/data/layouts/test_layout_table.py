"""The table of docs/your-data.md: made by the command that stands over it."""

from __future__ import annotations

from tools.layout_table import PAGE, table


def test_the_page_holds_what_a_look_at_each_layout_says() -> None:
    made = table()
    assert made in PAGE.read_text(encoding="utf-8")
    assert "| refused |" in made.splitlines()[14]
    assert sum("| refused |" in line for line in made.splitlines()) == 1
