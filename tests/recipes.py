"""The recipes of CONTRIBUTING.md, as the tests that walk them read them."""

from __future__ import annotations

import re

from engine.core.paths import REPOSITORY


def recipe(what: str) -> str:
    """The file under "Add a strategy", "Add a metric" or "Add a domain"."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(rf"^## Add a {what}\n.*?^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, f"CONTRIBUTING.md has no recipe for a {what}"
    return found[1]
