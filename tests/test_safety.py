"""What app and engine refuse: the network, shells, pickles, markup, keys in files, changes by onlookers."""

from __future__ import annotations

import ast
import os
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core import roles
from engine.core.errors import EngineError
from engine.core.limits import Limits
from engine.core.machine import READ_ONLY, change_machine, read_only
from engine.core.paths import REPOSITORY, Workspace, write_json
from engine.core.secrecy import HIDDEN, without_secrets
from engine.data import prepare, prepare_upload
from engine.results.comparing import looks
from engine.results.imported import importing
from engine.results.study import autopilot
from engine.results.trees import tree_library
from engine.runs import jobs
from engine.runs.records import find, scan
from engine.serve import client
from engine.show.report import making
from engine.strategies import registry
from engine.strategies.plan import plan
from pages.shared.sign_in import role_of
from tests.workspaces import eventually, finish

SOURCES = [
    *(REPOSITORY / "engine").rglob("*.py"),
    *(REPOSITORY / "pages").glob("*.py"),
    REPOSITORY / "app.py",
]
CONFIG = tomllib.loads((REPOSITORY / ".streamlit" / "config.toml").read_text())


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, with the dotted name of what is called."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def told(node: ast.Call, name: str) -> str | None:
    return next((ast.unparse(word.value) for word in node.keywords if word.arg == name), None)


def test_the_app_listens_on_this_machine_alone_and_takes_no_more_than_the_engine_does() -> None:
    assert CONFIG["server"]["address"] == "localhost"
    assert CONFIG["server"]["maxUploadSize"] * 1_000_000 == Limits().upload_bytes
    assert CONFIG["server"].get("enableXsrfProtection", True)
    assert CONFIG["browser"]["gatherUsageStats"] is False


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_nothing_goes_through_a_shell_a_pickle_or_raw_markup(path: Path) -> None:
    refused = {
        "eval",
        "exec",
        "os.system",
        "os.popen",
        "pickle.load",
        "pickle.loads",
        "torch.load",
    }
    if path == REPOSITORY / "engine" / "core" / "extensions.py":
        refused.remove("exec")  # a file of the user's own, once she has approved it as it is
    for name, node in calls(path):
        where = f"{path.name}:{node.lineno}: {name}"
        assert name not in refused, where
        if name == "st.html":
            assert all(isinstance(one, ast.Constant) for one in node.args), where
        assert told(node, "shell") in (None, "False"), where
        assert told(node, "unsafe_allow_html") in (None, "False"), where
        assert told(node, "allow_pickle") in (None, "False"), where
        assert told(node, "trust_remote_code") in (None, "False"), where
        if name.startswith("subprocess.") and node.args:
            assert not isinstance(node.args[0], ast.Constant | ast.JoinedStr), where
        if name.endswith("Model.from_pretrained") or "AutoModel" in name:
            assert told(node, "use_safetensors") in (None, "True"), where


def test_an_upload_that_is_too_large_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class Large(bytes):
        def __len__(self) -> int:
            return Limits().upload_bytes + 1

    ws = Workspace(tmp_path / "ws")
    with pytest.raises(EngineError, match="too large"):
        prepare_upload(ws, {"dialogues.jsonl": Large()})
    assert not ws.config.exists()


def test_no_parameter_asks_for_a_key() -> None:
    for entry in registry.EXPERIMENTS.values():
        names = entry.parameters.model_fields
        assert not [name for name in names if name.endswith(("key", "secret", "password", "credentials"))]


def test_keys_of_the_environment_are_in_no_spec_log_or_store(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-very-secret-4711"
    monkeypatch.setenv("OPENAI_API_KEY", secret + "-openai")
    monkeypatch.setenv("HF_TOKEN", secret)
    done = finish(ws, "count")
    change_machine(ws, training_slots=2)  # this process is the finished run's worker, and holds a slot
    of_the_hub = f"owner/hub-model@{'0' * 40}"  # which needs the hub's token
    write_json(ws.config, {**ws.read_config(), "base": of_the_hub})
    failing = jobs.submit(ws, plan(ws, "count", {"ending": "tells a secret"}))[0].record.run_id
    (record,) = jobs.wait(ws, [failing], timeout_seconds=400, poll_seconds=0.1)
    assert record.state == "failed"
    assert record.error == f"ValueError: the server refused {HIDDEN}"
    logged = (ws.run_folder(failing) / "log.txt").read_text()
    assert logged.count(HIDDEN) >= 2
    assert "Traceback" in logged
    from engine.results import store

    assert store.refresh(ws).taken_in == (done,)
    files = [path for path in ws.root.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [str(path) for path in files if secret.encode() in path.read_bytes()] == []


def test_what_is_hidden_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().endswith(("_KEY", "_TOKEN"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SOME_API_KEY", "abcdefgh")
    monkeypatch.setenv("LONGER_API_KEY", "abcdefghij")
    monkeypatch.setenv("SHORT_KEY", "abc")
    assert without_secrets("abcdefghij, abcdefgh, abc") == f"{HIDDEN}, {HIDDEN}, abc"


def refusal(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except EngineError as error:
        return error.message
    return "it was not refused"


@pytest.fixture(params=["by the environment", "by the workspace"])
def closed(
    request: pytest.FixtureRequest, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """A workspace with one ended and one queued run, closed to changes."""
    finish(ws, "count")
    change_machine(ws, training_slots=0)
    jobs.submit(ws, plan(ws, "count", {"ticks": 5}))
    change_machine(ws, training_slots=1)
    if request.param == "by the environment":
        monkeypatch.setenv(READ_ONLY, "1")
    else:
        change_machine(ws, read_only=True)
    yield ws
    monkeypatch.delenv(READ_ONLY, raising=False)
    change_machine(ws, read_only=False)


def attempts(ws: Workspace) -> dict[str, Callable[[], Any]]:
    queued = next(record.run_id for record in scan(ws) if record.state == "queued")
    return {
        "launch": lambda: jobs.submit(ws, plan(ws, "gain")),
        "cancel": lambda: jobs.cancel(ws, queued),
        "resume": lambda: jobs.resume(ws, queued),
        "start over": lambda: jobs.start_over(ws, queued),
        "move": lambda: jobs.move(ws, queued),
        "import": lambda: prepare(ws, dataset="world:default", force=True),
        "upload": lambda: prepare_upload(ws, {"a.jsonl": b"{}"}),
        "study": lambda: importing.import_upload(ws, {"a.json": b"{}"}),
        "save a tree": lambda: tree_library.save(ws, "mine", "name: mine"),
        "copy a tree": lambda: tree_library.copy(ws, "quick-wins", "mine"),
        "remove a tree": lambda: tree_library.remove(ws, "mine"),
        "autopilot": lambda: autopilot.start(ws, "quick-wins"),
        "stop": lambda: autopilot.stop(ws),
    }


def test_a_read_only_workspace_can_be_looked_at_and_not_changed(closed: Workspace) -> None:
    before = {path: path.read_bytes() for path in closed.data.rglob("*") if path.is_file()}
    assert read_only(closed)
    for name, attempt in attempts(closed).items():
        assert "read-only" in refusal(attempt), name
    assert looks.record(closed, looks.TestSet("one"), "p", {"a": "A"}, {"m"}) == 1
    assert [record.state for record in jobs.list_runs(closed)] == ["succeeded", "queued"]
    jobs.advance(closed)
    assert {path: path.read_bytes() for path in closed.data.rglob("*") if path.is_file()} == before


def test_a_read_only_workspace_can_be_opened_again_but_not_by_an_onlooker(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(ws, "count")
    change_machine(ws, read_only=True)
    monkeypatch.setenv(READ_ONLY, "1")
    with pytest.raises(EngineError, match="read-only view"):
        change_machine(ws, read_only=False)
    monkeypatch.setenv(READ_ONLY, "0")
    change_machine(
        ws, read_only=False, training_slots=2
    )  # one slot is this process's, which did the first run
    run_id = jobs.submit(ws, plan(ws, "gain"))[-1].record.run_id
    eventually(lambda: find(ws, run_id).state == "succeeded")


@pytest.mark.parametrize(
    ("email", "verified", "allowed", "enters"),
    [
        ("ada@lab.org", True, (), True),
        ("", True, (), True),
        ("ada@lab.org", True, "ada@lab.org", True),
        ("ada@lab.org", True, ("ada@lab.org",), True),
        ("Ada@Lab.org", True, (" ada@lab.org",), True),
        ("eve@lab.org", True, ("ada@lab.org",), False),
        ("eve@lab.org", True, ("@lab.org",), True),
        ("eve@notlab.org", True, ("@lab.org",), False),
        ("eve@lab.org.evil.com", True, ("@lab.org",), False),
        ("ada@lab.org", False, ("ada@lab.org",), False),
        ("", True, ("@",), False),
        ("lab.org", True, ("@lab.org", "lab.org"), False),
    ],
)
def test_who_may_enter(email: str, verified: bool, allowed: tuple[str, ...], enters: bool) -> None:
    assert role_of(email, verified, {}, allowed) == ("look" if enters else None)


NAMED = {"own": ["ada@lab.org"], "run": ["@lab.org", "bo@else.org"], "look": "@guests.org"}


@pytest.mark.parametrize(
    ("email", "verified", "role"),
    [
        ("Ada@lab.org", True, "own"),
        ("eve@lab.org", True, "run"),
        ("bo@else.org", True, "run"),
        ("cy@guests.org", True, "look"),
        ("cy@reviewers.org", True, "look"),
        ("ada@lab.org", False, None),
        ("ada@lab.org.evil.com", True, None),
        ("cy@else.org", True, None),
        ("", True, None),
    ],
)
def test_who_has_which_role(email: str, verified: bool, role: str | None) -> None:
    assert role_of(email, verified, NAMED, ["@reviewers.org"]) == role


def test_a_misspelt_role_lets_nobody_in() -> None:
    with pytest.raises(EngineError, match="no role named 'owner'"):
        role_of("ada@lab.org", True, {"owner": ["ada@lab.org"]})


@pytest.mark.parametrize(("mine", "may"), [(None, ""), ("look", ""), ("run", "run"), ("own", "run own")])
def test_the_engine_refuses_what_a_role_may_not(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, mine: roles.Role | None, may: str
) -> None:
    finish(ws, "count")
    change_machine(ws, training_slots=0)
    jobs.submit(ws, plan(ws, "count", {"ticks": 5}))
    doings = {**attempts(ws), "answer": lambda: client.cancel(ws, "x"), "report": lambda: making.start(ws)}
    doings["settings"] = lambda: change_machine(ws, training_slots=0)
    owners = {"import", "upload", "study", "settings"}
    with monkeypatch.context() as patch:
        patch.setattr(roles, "_who", lambda: mine)
        for name, doing in doings.items():
            least = "own" if name in owners else "run"
            if least not in may.split():  # what it does where it may is another test's matter
                assert f"that takes the role {least!r}" in refusal(doing), name
        assert roles.may("run") is ("run" in may)
        assert roles.may("own") is ("own" in may)
        assert (roles.obstacle("own") == "") is ("own" in may)
