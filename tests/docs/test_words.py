"""The docs know all that there is, and what they tell one to type can be typed."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from engine.core.machine import Machine
from engine.core.paths import REPOSITORY
from engine.domains.registry import BUILT_IN
from engine.strategies.registry import EXPERIMENTS
from tests.cli.conftest import commands, misread
from tools.reference import PAGE, reference

PAGES = sorted(path.parent.name for path in (REPOSITORY / "pages").glob("*/page.py"))
_COMMAND = re.compile(r"(?:^|[`\s/])python -m engine ((?:[^`\n]|\\\n)*)", re.MULTILINE)


def guides() -> list[Path]:
    """Everything a reader may be told by, but the log and the decisions, which tell of their own day."""
    docs = [path for path in (REPOSITORY / "docs").rglob("*.md") if path.parent.name != "decisions"]
    return [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(docs)]


TEXT = "\n".join(path.read_text(encoding="utf-8") for path in guides() if path.name != "LOG.md")


def typed() -> list[tuple[str, str]]:
    """Every command line in the docs: (file, the words after `python -m engine`)."""
    found = []
    for path in guides():
        for match in _COMMAND.finditer(path.read_text(encoding="utf-8")):
            words = match[1].split("  #")[0].strip().rstrip(".,;:)")
            if words and not words.startswith(("...", "COMMAND", "<")):
                found.append((path.name, words))
    return found


def test_the_reference_says_what_the_registries_say() -> None:
    said = PAGE.read_text(encoding="utf-8")
    assert said == reference() + "\n", "write it anew: .venv/bin/python -m tools reference --write"


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_has_a_word(path: tuple[str, ...]) -> None:
    assert re.search(rf"(?:engine |`){' '.join(path)}\b", TEXT), f"no word in docs/ or README on {path}"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_a_word(name: str) -> None:
    told = TEXT.replace(PAGE.read_text(encoding="utf-8"), "")  # a list of parameters is no word on it
    assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", told), f"no word in docs/ on {name}"


@pytest.mark.parametrize("name", [field.name for field in fields(Machine)])
def test_every_setting_of_the_machine_has_a_word(name: str) -> None:
    assert name.replace("_", "-") in TEXT or name in TEXT, f"no word in docs/ on the setting {name}"


def test_every_variable_of_the_environment_has_a_word() -> None:
    named = set()
    for folder in ("engine", "pages"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            named |= set(re.findall(r"PERSONA_LAB_[A-Z_]+", path.read_text(encoding="utf-8")))
    assert len(named) > 3
    assert {name for name in named if name not in TEXT} == set()


@pytest.mark.parametrize("name", [domain.name for domain in BUILT_IN])
def test_every_domain_has_a_word_in_the_readme(name: str) -> None:
    assert f"`{name}`" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_a_word(page: str) -> None:
    assert re.search(rf"\b{page}\b", TEXT, re.IGNORECASE)


@pytest.mark.parametrize(("file", "words"), typed(), ids=lambda value: str(value)[:60])
def test_what_the_docs_tell_one_to_type_can_be_typed(file: str, words: str) -> None:
    """Parses as the command line would, without doing it; files it names need not be there."""
    said = misread(shlex.split(words.replace("\\\n", " "), comments=True))
    assert not said or "does not exist" in said, f"{file}: {words}: {said}"
