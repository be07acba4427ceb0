"""A study whose every name and text is hostile, on every page: nothing of it becomes markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from engine.core.paths import Workspace
from pages.shared import frame
from tests.hostile_study import NAME, UNPLAIN, hostile_id, write_hostile
from tests.pages.conftest import Open

# What Streamlit shows as it stands: choices and typed text, code, tables, what is read aloud, addresses.
AS_IT_STANDS = {
    "id", "options", "placeholder", "alt", "code_text", "query_string", "form_id", "raw_values", "default",
    "value", "url", "spec", "json", "icon", "page_script_hash", "page", "user_key", "formatted_options",
    "element_id", "set_value", "raw_value", "columns", "command", "column_order", "mixed_data",
    "js_content", "css_content",
}  # fmt: skip
CODE = re.compile(r"(?ms)^(`{3,})\n.*?\n\1(?!`)")
"""A block of code within a text: what stands in it stands as it is."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        yield write_hostile(tmp_path_factory.mktemp("hostile"), patch)


def strings(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of an element that may be read as markdown, with its place."""
    for field, value in message.ListFields():
        place = f"{path}.{field.name}"
        shown = field.name not in AS_IT_STANDS or (field.name in ("value", "body") and "metric" in path)
        many = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
        for one in value if many else [value]:
            if isinstance(one, Message):
                yield from strings(one, place)
            elif isinstance(one, str) and shown:
                yield place, one


def elements(app: AppTest) -> Iterator[Message]:
    def walk(node: Any) -> Iterator[Message]:
        if getattr(node, "proto", None) is not None:
            yield node.proto
        for child in getattr(node, "children", {}).values():
            yield from walk(child)

    for part in (app.main, app.sidebar):
        yield from walk(part)


def unplain(app: AppTest) -> list[str]:
    return [
        f"{type(proto).__name__}{place}: {text[:300]!r}"
        for proto in elements(app)
        for place, text in strings(proto, type(proto).__name__.lower())
        if UNPLAIN.search(CODE.sub("", text))
    ]


PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "home": ("home", {}),
    "home, own tree": ("home", {"tree": "mine"}),
    "home, broken tree": ("home", {"tree": "broken"}),
    "experiments": ("experiments", {}),
    "experiment": ("experiments", {"experiment": "retrieval"}),
    "runs": ("runs", {}),
    "compare": ("compare", {}),
    "compare, one": ("compare", {"candidate": f"unified+{NAME}"}),
    "compare, personas": ("compare", {"view": "personas", "candidate": f"worse+{NAME}"}),
    "compare, everyone": ("compare", {"view": "everyone", "candidate": f"worse+{NAME}"}),
    "compare, cost": ("compare", {"view": "cost"}),
    "compare, certainty": ("compare", {"view": "certainty", "candidate": f"unified+{NAME}"}),
    "persona": ("persona", {"persona": hostile_id(1), "variant": f"unified+{NAME}"}),
    "playground": ("playground", {"persona": hostile_id(1)}),
    "data": ("data", {}),
    "dialogues": ("data", {"view": "dialogues", "persona": hostile_id(1)}),
    "augmentation": ("data", {"view": "augmentation", "persona": hostile_id(1)}),
    "clusters": ("data", {"view": "clusters"}),
    "study": ("data", {"view": "study"}),
    "report": ("report", {}),
    "settings": ("settings", {}),
    "votes": ("votes", {}),
}


@pytest.mark.parametrize("page", list(PAGES))
def test_no_page_takes_a_text_for_markup(open_page: Open, hostile: Workspace, page: str) -> None:
    name, query = PAGES[page]
    app = open_page(hostile, name, **query)
    assert unplain(app) == []
    assert page == "home, broken tree" or not app.error, [one.value for one in app.error]


def test_a_failed_and_a_foreign_run_say_their_words_plainly(open_page: Open, hostile: Workspace) -> None:
    for folder in sorted(hostile.runs.iterdir()):
        app = open_page(hostile, "runs", run=folder.name)
        assert unplain(app) == [], folder.name


@pytest.mark.parametrize("name", ["`", "```", "a\n```\n**b**"])
def test_a_command_that_a_button_tells_stays_within_its_code(name: str) -> None:
    told = frame.as_command(f"python -m engine run {name}", "Runs it.") or ""
    assert CODE.sub("", told) == "Runs it.\n\nAs a command:\n"
