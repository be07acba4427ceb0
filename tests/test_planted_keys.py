"""Keys planted in the environment: which process gets which, and that nothing a run leaves holds one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core import keyring, secrecy
from engine.core.paths import Workspace
from engine.core.questions import Question, Speaker, new_id
from engine.data.dataset import load_dataset
from engine.results.store import refresh
from engine.results.study import autopilot
from engine.runs import jobs, standby
from engine.runs.launchers import local
from engine.runs.launchers.ray_tasks import keep_needed_keys
from engine.runs.processes import end_group
from engine.runs.records import find, scan
from engine.runs.runfolder import read_status, write_spec
from engine.serve import client
from engine.strategies.plan import Plan, plan
from tests.lm.remote import endpoints
from tests.serve.made import PLAIN
from tests.tiny_base import prepare_study
from tests.workspaces import eventually

PLANTED = {
    "OPENAI_API_KEY": "sk-planted-openai-4711",
    "ANTHROPIC_API_KEY": "sk-planted-anthropic-4711",
    "HF_TOKEN": "hf-planted-hub-4711",
    "AWS_SECRET_ACCESS_KEY": "planted-aws-4711",
    "AWS_ACCESS_KEY_ID": "planted-aws-id-4711",
    "PGPASSWORD": "planted-postgres-4711",
    "RAY_AUTH_TOKEN": "planted-ray-4711",
}
MARK = "planted-"
SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 16, "requests_per_minute": 100_000, "retries": 0}


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def study(tiny_base: Path, tmp_path: Path) -> Iterator[Workspace]:
    ws = prepare_study(tmp_path / "study", tiny_base, personas=3, dialogues=6)
    yield ws
    end_group(client.alive(ws), grace_seconds=5.0)
    for record in scan(ws):
        if record.state in ("queued", "running"):
            jobs.cancel(ws, record.run_id, grace_seconds=0.0)
    who = standby.who(ws)
    if who is not None:
        os.kill(who.pid, signal.SIGKILL)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[endpoints.Endpoint]:
    with endpoints.serving() as running:
        monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", f"{running.url}=OPENAI_API_KEY")
        yield running


def shown(pid: int) -> str:
    """What the list of processes shows of one: its command line and its environment."""
    proc = Path(f"/proc/{pid}")
    return "".join((proc / name).read_bytes().decode(errors="replace") for name in ("cmdline", "environ"))


def processes_of(ws: Workspace) -> dict[int, str]:
    """Every process, this one apart, that names the workspace."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                if str(ws.root) in words:
                    found[int(entry.name)] = shown(int(entry.name))
        except (OSError, ProcessLookupError):
            continue
    return found


def holders(root: Path) -> list[str]:
    """Every file below a folder in which a planted value stands, as a name or as content."""
    files = [path for path in root.rglob("*") if path.is_file()]
    values = [value.encode() for value in PLANTED.values()]
    assert files
    return [str(path) for path in files if any(value in path.read_bytes() for value in values)]


def submit(ws: Workspace, planned: Plan) -> str:
    return jobs.submit(ws, Plan(planned.experiment, (planned.target,)))[-1].record.run_id


def test_a_remote_run_gets_its_endpoints_key_and_no_list_of_processes_shows_one(
    study: Workspace, server: endpoints.Endpoint
) -> None:
    server.slow_seconds = 0.3
    given = {**SETTINGS, "model": "a-model", "base_url": server.openai, "at_once": 1}
    run_id = submit(study, plan(study, "frontier", given))
    eventually(lambda: len(server.requests) >= 2, timeout_seconds=400)
    status = read_status(study.run_folder(run_id))
    assert status.worker is not None
    assert status.supervisor is not None
    seen = processes_of(study)
    assert {status.worker.pid, status.supervisor.pid} <= seen.keys()
    assert [pid for pid, text in seen.items() if MARK in text] == []
    (record,) = jobs.wait(study, [run_id], timeout_seconds=400, poll_seconds=0.1)
    assert record.state == "succeeded", record.error
    assert {one["authorization"] for one in server.headers} == {f"Bearer {PLANTED['OPENAI_API_KEY']}"}
    assert not [one for one in server.headers if "x-api-key" in one]
    refresh(study)
    assert holders(study.root) == []


def test_a_remote_run_behind_another_gets_its_key_from_the_others_supervisor(
    study: Workspace, server: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(standby.SECONDS, "60")
    first = submit(study, plan(study, "base", {"examples_per_persona": 2, "max_new_tokens": 4}))
    given = {**SETTINGS, "model": "a-model", "base_url": server.openai}
    second = submit(study, plan(study, "frontier", given))
    assert find(study, second).state == "queued"
    eventually(lambda: find(study, second).state == "succeeded")
    assert find(study, first).state == "succeeded"
    who = eventually(lambda: standby.who(study))  # an heir that its supervisor has left
    assert MARK not in shown(who.pid)
    assert holders(study.root) == []


def test_an_heir_is_taken_where_the_keys_are_the_same_and_not_where_another_was_added(
    monkeypatch: pytest.MonkeyPatch, study: Workspace
) -> None:
    here = standby.origin()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-other")
    assert standby.origin() == here, "what no run needs is handed to none"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-other-1234")
    assert standby.origin() != here


ECHO = """
import json, os, sys
from engine.core import keyring, secrecy
keyring.receive()
before = sorted(name for name in os.environ if secrecy.is_secret(name))
keyring.use()
print(json.dumps([before, sorted(n for n in os.environ if secrecy.is_secret(n)), sorted(keyring.held())]))
"""


def test_a_process_is_handed_the_keys_that_are_named_and_inherits_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "echo_keys.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = local.detached(["echo_keys"], output=tmp_path / "told.txt", keys=["HF_TOKEN", "PGPASSWORD"])
    assert process.wait(timeout=400) == 0
    assert (tmp_path / "told.txt").read_text() == '[[], ["HF_TOKEN"], ["HF_TOKEN"]]\n'


def test_a_process_that_ends_before_it_takes_its_keys_is_no_trouble(tmp_path: Path) -> None:
    process = local.detached(["this_module_is_none"], output=tmp_path / "told.txt", keys=list(PLANTED))
    assert process.wait(timeout=400) == 1


def test_generator_and_autopilot_show_none(study: Workspace) -> None:
    persona = load_dataset(study).personas[0].persona_id
    speakers = (Speaker("v", "id", PLAIN),)
    client.ask(study, Question(new_id(), persona, "It is dark.", speakers, max_new_tokens=4))
    autopilot.start(study, "quick-wins")
    try:
        for module in ("engine.serve.server", "engine.results.study.walking"):
            seen = eventually(
                lambda module=module: [text for text in processes_of(study).values() if module in text],
                timeout_seconds=400,
            )
            assert not [text for text in seen if MARK in text], module
    finally:
        autopilot.stop(study)


def test_a_task_of_a_cluster_keeps_what_it_needs(
    study: Workspace, server: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**SETTINGS, "model": "a-model", "base_url": server.openai}
    spec = replace(plan(study, "frontier", given).target.spec, parameters={}, base="owner/hub-model")
    run_id = spec.run_id
    write_spec(study.run_folder(run_id), spec)
    monkeypatch.setattr(keyring, "_received", None)
    monkeypatch.setattr(secrecy, "_known", set())
    with monkeypatch.context() as patch:
        for name in [name for name in os.environ if secrecy.is_secret(name) and name not in PLANTED]:
            patch.delenv(name)
        keep_needed_keys(str(study.root), run_id)
        left = {name for name in os.environ if secrecy.is_secret(name)}
        for name, value in PLANTED.items():
            patch.setenv(name, value)
    assert left == {"HF_TOKEN", "RAY_AUTH_TOKEN"}
    assert keyring.held() == {name: PLANTED[name] for name in left}


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("OPENAI_API_KEY", True),
        ("aws_access_key_id", True),
        ("PGPASSWORD", True),
        ("ANTHROPIC_CUSTOM_HEADERS", True),
        ("GITHUB_PAT", True),
        ("TOKENIZERS_PARALLELISM", False),
        ("PATH", False),
        ("PERSONA_LAB_ENDPOINTS", False),
        ("KEYBOARD_LAYOUT", False),
    ],
)
def test_what_is_a_secret(name: str, is_one: bool) -> None:
    assert secrecy.is_secret(name) is is_one
