"""Only the domain of smart homes and its worlds know a home's devices: nothing else has a word for one.

Looked at is every text of engine/, pages/ and app.py: code, names, comments, words on screens, styles.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.core.paths import REPOSITORY
from engine.domains.smart_home.replies.lexicon import DEVICES
from tests.device_words import WORDS

KNOW_DEVICES = ("engine/domains/smart_home/", "engine/data/worlds/")
SEARCHED = (".py", ".js", ".css", ".html", ".yaml", ".json", ".md", ".jinja")

# A device is also what a model is computed on, and what is no file; a temperature a softmax's or a sampler's.
DEVICE = re.compile(r"\bdevices?\b", re.IGNORECASE)
NO_HOMES = (
    *("engine/lm/", "engine/runs/", "engine/strategies/", "engine/core/machine.py", "engine/cli/runs.py"),
    *("engine/results/comparing/protocol_guard.py", "engine/show/doctor.py"),
    *("pages/settings/", "pages/runs/", "engine/core/forms.py"),
    *("engine/data/archive.py", "engine/data/folder.py", "engine/cli/settings.py", "engine/serve/server.py"),
)

SAID_OTHERWISE = {
    r"speakers?": (  # who speaks
        r"engine/core/questions|engine/results/votes|engine/serve/|pages/playground"
        r"|engine/data/(?:layouts/|turns|mapping|preview|assemble)|pages/data/mapping"
    ),
    r"lamps?": r"engine/data/layouts/|LaMP|lamp-\d",  # a benchmark of personalisation
    r"security": r"(?i:content-security-policy)",
    r"smart[-_ ]?homes?": r"engine/domains/(?:__init__|metrics|registry)\.py",  # these name the domains
    # Published scores are of the study about smart homes.
    r"param_\w+|numerical_\w+": r"engine/results/imported/protocol\.py",
}
"""A word that means something else, or must stand there: where it does, by path or in the line itself."""


def searched() -> list[Path]:
    paths = [REPOSITORY / "app.py", *(REPOSITORY / "engine").rglob("*"), *(REPOSITORY / "pages").rglob("*")]
    found = [path for path in paths if path.suffix in SEARCHED and path.is_file()]
    assert len(found) > 200
    return sorted(path for path in found if not str(path.relative_to(REPOSITORY)).startswith(KNOW_DEVICES))


def told(place: str, line: str) -> list[str]:
    """The device words of a line that mean a device."""
    found = [word for word in WORDS.findall(line) if not _otherwise(word, place, line)]
    if not place.startswith(NO_HOMES) and "device-width" not in line:
        found += DEVICE.findall(line)
    return found


def _otherwise(word: str, place: str, line: str) -> bool:
    return any(
        re.fullmatch(pattern, word, re.IGNORECASE) and (re.match(where, place) or re.search(where, line))
        for pattern, where in SAID_OTHERWISE.items()
    )


def test_nothing_else_has_a_word_for_a_device() -> None:
    wrong = [
        f"{place}:{number}: {', '.join(words)}: {line.strip()[:80]}"
        for path in searched()
        for place in [str(path.relative_to(REPOSITORY))]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (words := told(place, line))
    ]
    assert wrong == []


@pytest.mark.parametrize("device", sorted(DEVICES))
def test_every_device_of_the_domain_would_be_found(device: str) -> None:
    assert told("pages/data/page.py", f'st.subheader("The {device} is on")')


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("engine/strategies/plan.py", 'metrics = ("device_f1",)'),
        ("engine/results/trees/tree.py", "# how well the lights are set"),
        ("pages/compare/page.py", 'st.subheader("Devices named in replies")'),
        ("engine/lm/prompts.py", 'INSTRUCTION = "You are the assistant of a smart home."'),
        ("engine/show/charts/cost.py", 'title = "Security armed"'),
    ],
)
def test_a_new_one_would_be_found(place: str, line: str) -> None:
    assert told(place, line)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("engine/lm/load.py", "model.to(device)"),
        ("engine/lm/merge_weights.py", "softmax(scores / temperature)"),
        ("engine/serve/conversation.py", "speakers = []"),
        ("pages/study/tree_map.css", "/* light and dark are both its own */"),
    ],
)
def test_other_meanings_pass(place: str, line: str) -> None:
    assert not told(place, line)
