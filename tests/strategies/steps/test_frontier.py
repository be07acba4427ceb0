"""A remote model as a variant, over real servers: what it says, what it costs, and nothing paid for twice.

`transformers serve` with the embedded base behind it must say what the engine says with the same base. What a
provider does badly (refusing, dawdling, charging more than expected) comes from tests/lm/remote/endpoints.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace, embedded_base
from engine.data.dataset import load_dataset
from engine.lm.asking import Asker
from engine.lm.effects import Recipe, mixed, read_recipe
from engine.lm.load import load_base
from engine.lm.recipes import Shelf
from engine.lm.respond import respond
from engine.results.store.intake import read_finished
from engine.runs import jobs, manifest
from engine.runs.records import scan
from engine.runs.runfolder import RunSpec, Status, read_log, read_status
from engine.strategies.plan import Plan, plan
from engine.strategies.runnable import execute
from engine.strategies.steps import paid
from tests import in_process
from tests.lm.remote import endpoints
from tests.ports import free_port
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study
from tests.workspaces import eventually

KEY = "sk-a-key-that-must-not-be-seen"
SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 16}
ROWS = 3 * 2 * 2  # personas, splits, examples
FAST = {"requests_per_minute": 100_000, "retries": 0}
WAIT = 300.0


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def ws(tiny_base: Path, tmp_path: Path) -> Iterator[Workspace]:
    ws = prepare_study(tmp_path / "study", tiny_base, personas=3, dialogues=6)
    yield ws
    for record in scan(ws):
        if record.state in ("queued", "running"):
            jobs.cancel(ws, record.run_id, grace_seconds=0.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[endpoints.Endpoint]:
    with endpoints.serving() as running:
        monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", f"{running.url}=OPENAI_API_KEY")
        yield running


def asked_of(server: endpoints.Endpoint, **parameters: Any) -> dict[str, Any]:
    return {**SETTINGS, **FAST, "model": "vendor/a-model", "base_url": server.openai, **parameters}


def attempt(ws: Workspace, experiment: str, parameters: dict[str, Any]) -> RunSpec:
    return in_process.attempt(ws, experiment, parameters, beside=False)


def do(ws: Workspace, experiment: str, parameters: dict[str, Any]) -> RunSpec:
    return in_process.do(ws, experiment, parameters, beside=False)


def table(ws: Workspace, spec: RunSpec) -> pd.DataFrame:
    return scores_of(ws, spec.run_id).set_index(["split", "example_id"])


def done(ws: Workspace, spec: RunSpec) -> dict[str, Any]:
    return manifest.read(ws.run_folder(spec.run_id))


def holders_of_the_key(root: Path) -> list[str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return [str(path) for path in files if KEY.encode() in path.read_bytes()]


# --- a real model behind a real server


@pytest.fixture
def served(base_served: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the served base, which the owner allows."""
    monkeypatch.setenv("PERSONA_LAB_ENDPOINTS", base_served)
    return base_served


@pytest.fixture(scope="module")
def base_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `transformers serve` with the embedded base, offline, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "tests.lm.remote.serve_base", "serve", str(embedded_base())]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = tmp_path_factory.mktemp("served") / "log.txt"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=REPOSITORY)
    try:
        until = time.monotonic() + WAIT
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return prepare_study(tmp_path_factory.mktemp("served-study"), embedded_base(), personas=3, dialogues=6)


@pytest.mark.parametrize(
    ("local", "shown", "name"),
    [
        (("base", {}), {}, "frontier-base"),
        (("profile-prompt", {}), {"profile": True}, "frontier-base+profile"),
        (("retrieval", {"over": "base", "k": [2]}), {"memories": 2}, "frontier-base+retrieval-2"),
    ],
)
def test_a_served_base_says_what_the_engine_says(
    study: Workspace, served: str, local: tuple[str, dict[str, Any]], shown: dict[str, Any], name: str
) -> None:
    experiment, parameters = local
    ours = table(study, do(study, experiment, {**SETTINGS, **parameters}))
    asked = {**SETTINGS, **FAST, "model": str(embedded_base()), "base_url": served, **shown}
    spec = do(study, "frontier", asked)
    theirs = table(study, spec).loc[ours.index]
    assert set(theirs["variant"]) == {name}
    assert list(theirs["reply"]) == list(ours["reply"])
    assert list(theirs["prompt_tokens"]) == list(ours["prompt_tokens"])
    assert list(theirs["retrieved"]) == list(ours["retrieved"])
    assert list(theirs["param_f1"].dropna()) == list(ours["param_f1"].dropna())
    (protocol,) = done(study, spec)["protocols"].values()
    assert protocol["decoding"] == "temperature 0, by the provider"
    assert protocol["device"] == "remote"
    assert read_finished(study, spec.run_id).variants[0].name == name


def test_generate_asks_a_remote_variant(study: Workspace, served: str) -> None:
    asked = {**SETTINGS, **FAST, "model": str(embedded_base()), "base_url": served}
    recipe = done(study, do(study, "frontier", asked))["variants"][0]["recipe"]
    persona = load_dataset(study).personas[0].persona_id
    told = [
        respond(study, persona_id=persona, recipe=one, message="Warm up the room.", max_new_tokens=16)
        for one in (
            recipe,
            {"adapters": []},
            read_recipe(recipe).with_prompt(memories=1).as_json(),
            Recipe().with_prompt(memories=1).as_json(),
        )
    ]
    replies = [one["reply"] for one in told]
    assert replies[0] == replies[1]
    assert replies[2] == replies[3]
    assert told[2]["retrieved"] == told[3]["retrieved"]
    assert told[0]["recipe"] == recipe


# --- what a launch is told, and what is refused


def test_the_estimate_and_what_leaves_the_machine(ws: Workspace, server: endpoints.Endpoint) -> None:
    planned = plan(ws, "frontier", asked_of(server, profile=True, price_in=2.0, price_out=8.0))
    cost, sends = planned.notes
    assert cost.startswith(f"Cost: {ROWS} requests, about ")
    assert "at most, by the prices given" in cost
    assert f"{ROWS * SETTINGS['max_new_tokens']} out" in cost
    assert "character text" in sends
    assert "history" not in sends
    assert planned.obstacle is None
    assert "price unknown" in plan(ws, "frontier", asked_of(server)).notes[0]
    assert server.requests == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": ""}, "needs the name of a model"),
        ({"base_url": None}, "OPENAI_API_KEY is not set"),
        ({"base_url": None, "provider": "anthropic"}, "ANTHROPIC_API_KEY is not set"),
        ({"base_url": "https://evil.example/v1"}, "evil.example is an address that the owner"),
        ({"base_url": "https://api.openai.com.evil.example/v1"}, "the owner of this machine has not allowed"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "127.0.0.1:9 is an address of this machine or its network"),
        ({"base_url": "http://2130706433/v1"}, "the owner of this machine has not allowed"),
        ({"budget": 1.0}, "prices are not known"),
        ({"budget": 0.0001, "price_in": 5.0, "price_out": 5.0}, "exceeds the budget"),
    ],
)
def test_what_cannot_be_launched_is_refused_before(
    ws: Workspace,
    server: endpoints.Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    told: str,
) -> None:
    if "base_url" in given and given["base_url"] is None:
        monkeypatch.setenv("OPENAI_API_KEY", "")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    monkeypatch.setenv("HOME", str(ws.root))
    planned = plan(ws, "frontier", asked_of(server, **given))
    with pytest.raises(EngineError, match=told):
        jobs.submit(ws, planned)
    assert scan(ws) == []


def test_nothing_mixes_merges_or_plays_a_remote_model(ws: Workspace, server: endpoints.Endpoint) -> None:
    written = done(ws, do(ws, "frontier", asked_of(server)))["variants"][0]["recipe"]
    recipe = read_recipe(written)
    assert recipe.as_json() == written
    shelf = Shelf(ws)
    asker = Asker(ws, load_base(str(ws.read_config()["base"])), shelf, max_new_tokens=4)
    persona = load_dataset(ws).personas[0].persona_id
    for refused in (recipe, mixed(recipe, Recipe(), 0.5)):
        with pytest.raises(EngineError, match="is a remote model"):
            respond_locally(asker, refused, persona)
    for experiment, role in (("retrieval", "over"), ("mixture", "first"), ("placebo", "of")):
        with pytest.raises(EngineError, match=role):
            plan(ws, experiment, {role: "frontier"})


def respond_locally(asker: Asker, recipe: Recipe, persona: str) -> None:
    from engine.core.types import Example, Message

    asker.asks(recipe, [Example("", persona, "", 0, (Message("user", "Hello."),), "", {})])


# --- money, faults and going on


@pytest.mark.parametrize("provider", ["openai-compatible", "anthropic"])
def test_tokens_and_money_are_told(ws: Workspace, server: endpoints.Endpoint, provider: str) -> None:
    url = server.openai if provider == "openai-compatible" else server.url
    spec = do(
        ws,
        "frontier",
        asked_of(server, provider=provider, base_url=url, price_in=1.0, price_out=2.0, at_once=3),
    )
    rows, summary = table(ws, spec), done(ws, spec)["summary"]
    tokens_in, tokens_out = int(rows["prompt_tokens"].sum()), int(rows["reply_tokens"].sum())
    assert (summary["tokens_in"], summary["tokens_out"]) == (tokens_in, tokens_out)
    assert summary["cost"] == pytest.approx((tokens_in + 2 * tokens_out) / 1e6)
    assert len(server.requests) == len(rows) == ROWS
    assert server.most_at_once <= 3
    assert any(
        f"{tokens_in} tokens in, {tokens_out} out" in line for line in read_log(ws.run_folder(spec.run_id))
    )
    assert holders_of_the_key(ws.root) == []


def test_a_refused_key_fails_the_run_and_is_written_nowhere(
    ws: Workspace, server: endpoints.Endpoint
) -> None:
    server.always = (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
    spec = attempt(ws, "frontier", asked_of(server))
    ended = read_status(ws.run_folder(spec.run_id))
    assert ended.state == "failed"
    assert "refuses the key (401): Incorrect API key provided: [hidden]" in (ended.error or "")
    assert "OPENAI_API_KEY" in (ended.hint or "")
    assert len(server.requests) == 1
    assert holders_of_the_key(ws.root) == []


def test_a_spec_whose_address_nobody_has_allowed_is_refused_by_its_worker_too(
    ws: Workspace, server: endpoints.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERSONA_LAB_ENDPOINTS")
    spec = attempt(ws, "frontier", asked_of(server))
    ended = read_status(ws.run_folder(spec.run_id))
    assert ended.state == "failed"
    assert "has not allowed: nothing is sent there" in (ended.error or "")
    assert "keys allow 127.0.0.1:" in (ended.hint or "")
    assert server.requests == []


def test_after_a_failure_only_the_rest_is_asked(ws: Workspace, server: endpoints.Endpoint) -> None:
    good = [(200, endpoints.answer_of("first half"))] * 5
    server.failing = [*good, (500, {"error": {"message": "gone"}})]
    spec = attempt(ws, "frontier", asked_of(server, at_once=1))
    folder = ws.run_folder(spec.run_id)
    assert read_status(folder).state == "failed"
    assert len(paid.read(folder)) == 5
    with (folder / paid.REPLIES).open("a") as file:
        file.write('{"example": "torn')
    assert "(5 replies are there already)" in plan(ws, "frontier", asked_of(server, at_once=1)).notes[0]
    assert execute(ws, spec.run_id, Status(state="running", attempt=2)) == 0
    assert len(server.requests) == 6 + ROWS - 5
    assert sum(reply == "first half" for reply in table(ws, spec)["reply"]) == 5


def test_a_budget_stops_the_run_and_a_higher_one_goes_on(ws: Workspace, server: endpoints.Endpoint) -> None:
    prices = {"price_in": 0.0, "price_out": 1000.0}  # 0.001 a token out, so at most 0.016 a reply as expected
    server.thinking_tokens = 60
    budget = ROWS * 0.016
    spec = attempt(ws, "frontier", asked_of(server, **prices, budget=budget, at_once=2))
    ended, folder = read_status(ws.run_folder(spec.run_id)), ws.run_folder(spec.run_id)
    assert ended.state == "failed"
    assert "has no room for another request" in (ended.error or "")
    first = len(paid.read(folder))
    assert 0 < first < ROWS
    more = do(ws, "frontier", asked_of(server, **prices, budget=5.0, at_once=1))
    assert more.run_id != spec.run_id
    assert len(server.requests) == ROWS
    summary = done(ws, more)["summary"]
    assert summary["taken_over"] == first
    assert summary["replies"] == ROWS
    assert 0 < summary["cost"] < 0.001 * 80 * (ROWS - first)


def test_a_pilot_asks_for_some_and_all_takes_over_its_replies(
    ws: Workspace, server: endpoints.Endpoint
) -> None:
    pilot = do(ws, "frontier", asked_of(server, personas=1))
    assert table(ws, pilot)["persona_id"].nunique() == 1
    whole = do(ws, "frontier", asked_of(server))
    assert len(server.requests) == ROWS
    assert done(ws, pilot)["protocols"] == done(ws, whole)["protocols"]
    again = plan(ws, "frontier", asked_of(server), seed=5)
    assert "there already" not in again.notes[0], "another seed asks anew"


def submit(ws: Workspace, planned: Plan) -> str:
    (submitted,) = jobs.submit(ws, Plan(planned.experiment, (planned.target,)))
    return submitted.record.run_id


def test_a_real_worker_cancelled_and_resumed_pays_for_nothing_twice(
    ws: Workspace, server: endpoints.Endpoint
) -> None:
    server.slow_seconds = 0.3
    run_id = submit(ws, plan(ws, "frontier", asked_of(server, at_once=1)))
    folder = ws.run_folder(run_id)
    eventually(lambda: len(paid.read(folder)) >= 2, timeout_seconds=WAIT)
    assert jobs.cancel(ws, run_id).state == "cancelled"
    kept = paid.read(folder)
    assert 2 <= len(kept) < ROWS
    assert len(kept) == len(server.requests), "what was under way was thrown away"
    jobs.resume(ws, run_id)
    (record,) = jobs.wait(ws, [run_id], timeout_seconds=WAIT, poll_seconds=0.1)
    assert record.state == "succeeded", record.error
    assert len(server.requests) == ROWS
    assert json.loads((folder / "summary.json").read_text())["replies"] == ROWS
    assert holders_of_the_key(ws.root) == []
