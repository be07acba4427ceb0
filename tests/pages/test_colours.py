"""Every text of the app stands out from what it stands on, in both themes: by the colours, not by eye."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from engine.core.paths import REPOSITORY

TEXT, MARK = 4.5, 3.0
THEME: dict[str, Any] = tomllib.loads((REPOSITORY / ".streamlit" / "config.toml").read_text())["theme"]
STYLE = (REPOSITORY / "pages" / "shared" / "head.css").read_text()
HUES = ("blue", "orange", "green", "red", "gray")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.1, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# What the drawn parts of pages write in: the theme's colours, by the names that Streamlit gives them.
DRAWN = {
    re.sub(r"-(\w)", lambda found: found[1].upper(), f"{name}-color")
    for path in (REPOSITORY / "pages").rglob("*.css")
    for name in re.findall(r"(?:^|[\s{;])(?:color|fill): var\(--st-([\w-]+)-color\)", path.read_text())
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_marks_stand_out(scheme: str) -> None:
    theme = THEME[scheme]
    grounds = [theme["backgroundColor"], theme["secondaryBackgroundColor"]]
    sidebar = theme["sidebar"]["backgroundColor"]
    texts = {name: theme[name] for name in {"codeTextColor", "grayColor", *DRAWN}}
    assert {"textColor", "linkColor"} <= DRAWN
    texts |= {f"{hue}TextColor": theme[f"{hue}TextColor"] for hue in HUES}
    faint = {
        (name, ground): round(contrast(colour, ground), 2)
        for name, colour in texts.items()
        for ground in (*grounds, sidebar)
        if contrast(colour, ground) < TEXT
    }
    badges = {
        hue: contrast(theme[f"{hue}TextColor"], theme[f"{hue}BackgroundColor"])
        for hue in HUES
        if contrast(theme[f"{hue}TextColor"], theme[f"{hue}BackgroundColor"]) < TEXT
    }
    assert not faint
    assert not badges
    assert contrast("#ffffff", theme["primaryColor"]) >= TEXT, "the words on a primary button"
    for colour in theme["chartCategoricalColors"]:
        assert contrast(colour, grounds[0]) >= MARK, colour
    for rule, *pair in re.findall(r"([\w-]+): [^;{]*light-dark\((#\w+), (#\w+)\)", STYLE):
        own, least = pair[("light", "dark").index(scheme)], MARK if rule == "border-color" else TEXT
        assert all(contrast(own, ground) >= least for ground in grounds), (rule, own)
