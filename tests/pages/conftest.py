"""Workspaces for the pages, and the app as a test sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from engine.core.paths import REPOSITORY, Workspace
from pages.shared import frame
from tests.sample_study import finish, prepare_world

Open = Callable[..., AppTest]


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with every first step done. Tests only look at it."""
    ws = prepare_world(tmp_path_factory.mktemp("full"), personas=6, dialogues=8)
    finish(ws, "unified", "retrieval", "profile-prompt", "ceiling", per_persona=4)
    return ws


@pytest.fixture
def prepared(tmp_path: Path) -> Workspace:
    """A workspace with data and no run."""
    return prepare_world(tmp_path / "prepared", personas=5, dialogues=6)


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    """A folder that is no workspace yet."""
    return Workspace(tmp_path / "empty")


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Return a function that opens one page of the app over a workspace, with query parameters."""
    script = REPOSITORY / "pages" / "shared" / "script.py"

    def opened(ws: Workspace, page: str = "home", **query: str) -> AppTest:
        monkeypatch.setenv("PERSONA_LAB_WORKSPACE", str(ws.root))
        app = AppTest.from_file(str(script), default_timeout=240)
        app.run()
        for name, value in query.items():
            app.query_params[name] = value
        if page != "home":
            app.switch_page(frame.script_of(page)).run()
        elif query:
            app.run()
        assert not app.exception, [entry.value for entry in app.exception]
        return app

    return opened


ON = " \\\n  "  # a long command goes on


def commands(app: AppTest) -> dict[str, str]:
    """The command that each button (or link, where it is done) tells, by key; several stand a line each."""
    told = re.compile(r"As a command:\n```\n(.+)\n```", re.DOTALL)
    buttons = {str(one.key or one.label): one.help for one in app.button}
    links = {one.proto.label: one.proto.help for one in app.get("page_link")}
    found = {name: told.search(help or "") for name, help in {**buttons, **links}.items()}
    return {name: one[1].replace(ON, " ") for name, one in found.items() if one is not None}


def unfold(app: AppTest, key: str) -> None:
    """Open a part that is computed once it is open."""
    app.session_state[key] = True
    app.run()


def shown_words(table: Any) -> pd.DataFrame:
    """What a reader sees in a table whose numbers are worded."""
    return convert_arrow_bytes_to_pandas_df(table.proto.arrow_data.styler.display_values)


def texts(app: AppTest) -> str:
    """Everything a reader sees as text, in one string, without the escapes of markup."""
    parts = [
        entry.value
        for kind in ("title", "subheader", "markdown", "caption", "info", "warning", "error", "code")
        for entry in getattr(app, kind)
    ]
    parts += [f"{entry.label} {entry.value}" for entry in app.metric]
    return "\n".join(str(part) for part in parts).replace(ON, " ").replace("\\", "")
