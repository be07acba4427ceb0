"""The OpenAI-compatible address, asked by the real client: a real process over a real small study."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from engine.core.paths import Workspace, write_json
from engine.data.dataset import load_dataset
from engine.lm.respond import respond
from engine.lm.scorer_choice import SETTING
from engine.results import store
from engine.serve import published
from engine.serve.openai_server import listen
from engine.strategies.plan import plan
from tests.tiny_base import prepare_study
from tests.workspaces import eventually, leave

SAID = ("It is dark in here.", "Good night.", "Turn the music down a little, please.")
NEW = 20


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A small study with adapters of everybody's own that say different things, and memories over unified."""
    ws = prepare_study(tmp_path_factory.mktemp("served") / "study", tiny_base)
    common = {"examples_per_persona": 1, "epochs": 1}
    leave(ws, plan(ws, "per-persona", {**common, "learning_rate": 0.05}))
    leave(ws, plan(ws, "retrieval", {"examples_per_persona": 1, "k": [1]}))
    return ws


@pytest.fixture(scope="module")
def told(ws: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `serve` says when it is ready."""
    names = [one.variant for one in store.variants(ws) if one.variant.startswith("unified+")]
    served = ["per-persona", *names, "base"]
    command = [sys.executable, "-m", "engine", "serve", *served, "--port", "0", "--json"]
    log = tmp_path_factory.mktemp("log") / "stderr"
    server = subprocess.Popen(
        [*command, "--workspace", str(ws.root)],
        stdout=subprocess.PIPE,
        stderr=log.open("wb"),
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        line = server.stdout.readline()
        assert line, f"it ended: {server.wait()}, {log.read_text()}"
        text += line
    told = json.loads(text)
    yield told
    with socket.create_connection(("localhost", httpx2.URL(told["address"]).port)) as silent:
        head = f"Host: here\r\nAuthorization: Bearer {told['token']}\r\nContent-Length: 9\r\n\r\n"
        silent.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}".encode())
        assert httpx2.get(told["address"].replace("v1", "health")).json()  # it has heard her by now
        server.terminate()
        assert server.wait(timeout=400) == 0  # who says no more keeps no server from its end
        assert silent.recv(1000).startswith(b"HTTP/1.1 503 ")
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def client(told: dict[str, Any]) -> OpenAI:
    return OpenAI(base_url=told["address"], api_key=told["token"], max_retries=0)


def personas(ws: Workspace) -> list[str]:
    return [one.persona_id for one in load_dataset(ws).personas]


def expected(ws: Workspace, variant: str, persona: str, said: str) -> str:
    recipe = next(one.recipe for one in store.variants(ws) if one.variant == variant)
    answered = respond(ws, persona_id=persona, recipe=recipe, message=said, max_new_tokens=NEW)
    return str(answered["reply"])


def ask(client: OpenAI, model: str, said: str, **more: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": said}], max_tokens=NEW, **more
    )


def test_it_lists_what_is_served_and_who_answers_strangers(client: OpenAI) -> None:
    listed = [one.id for one in client.models.list()]
    assert listed[0] == "per-persona"
    assert "unified" in listed
    for name in ("per-persona", "per-persona:somebody"):
        assert client.models.retrieve(name).id == name


def test_many_at_once_get_what_each_gets_alone(ws: Workspace, client: OpenAI) -> None:
    asked = [(persona, said) for persona in personas(ws)[:4] for said in SAID]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda one: ask(client, "per-persona", one[1], user=one[0]), asked))
    texts = [reply.choices[0].message.content for reply in replies]
    assert texts == [expected(ws, "per-persona", persona, said) for persona, said in asked]
    assert len(set(texts)) > len(SAID)  # the adapters of different personas answered
    assert all(reply.usage.completion_tokens <= NEW for reply in replies)


def test_a_stream_grows_to_the_whole_reply(ws: Workspace, client: OpenAI) -> None:
    persona = personas(ws)[0]
    whole = ask(client, f"per-persona:{persona}", SAID[0])
    pieces = list(
        ask(client, f"per-persona:{persona}", SAID[0], stream=True, stream_options={"include_usage": True})
    )
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == whole.choices[0].message.content
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] is not None
    assert pieces[-1].usage == whole.usage
    assert all(piece.usage is None and "usage" in piece.model_fields_set for piece in pieces[:-1])


def test_who_is_not_known_is_answered_by_the_variant_for_strangers(ws: Workspace, client: OpenAI) -> None:
    reply = ask(client, "per-persona", SAID[0], user="a stranger")
    assert reply.model_extra["persona_lab"]["variant"] == "unified"
    assert reply.model_extra["persona_lab"]["cold_start"] is True
    assert reply.choices[0].message.content == expected(ws, "unified", personas(ws)[0], SAID[0])
    known = ask(client, "per-persona", SAID[0], user=personas(ws)[0])
    assert known.model_extra["persona_lab"]["cold_start"] is False


def test_what_is_the_same_for_everybody_answers_whoever_asks(ws: Workspace, client: OpenAI) -> None:
    for more in ({}, {"user": "a stranger"}):
        reply = ask(client, "base", SAID[0], **more)
        assert reply.model_extra["persona_lab"]["variant"] == "base"
        assert reply.model_extra["persona_lab"]["cold_start"] is False
        assert reply.choices[0].message.content == expected(ws, "base", personas(ws)[0], SAID[0])
    memories = next(one.variant for one in store.variants(ws) if one.variant.startswith("unified+"))
    reply = ask(client, memories, SAID[0], user="a stranger")  # of whom there are none
    assert reply.model_extra["persona_lab"]["cold_start"] is True


def test_turns_that_had_to_go_are_told(client: OpenAI) -> None:
    past = [{"role": "user", "content": "word " * 100}, {"role": "assistant", "content": "Yes."}] * 20
    chat: Any = [*past, {"role": "user", "content": SAID[0]}]
    whole = client.chat.completions.create(model="base", messages=chat, max_tokens=NEW)
    *_, last = client.chat.completions.create(model="base", messages=chat, max_tokens=NEW, stream=True)
    for said in (whole, last):
        assert 0 < (said.model_extra or {})["persona_lab"]["turns_cut"] < len(chat)


def test_memories_are_shown_here_too(ws: Workspace, client: OpenAI) -> None:
    name = next(one.variant for one in store.variants(ws) if one.variant.startswith("unified+"))
    reply = ask(client, name, SAID[0], user=personas(ws)[1])
    assert reply.model_extra["persona_lab"]["memories"] == 1
    assert reply.choices[0].message.content == expected(ws, name, personas(ws)[1], SAID[0])


def test_a_request_may_bring_its_own_weighted_recipe(ws: Workspace, client: OpenAI) -> None:
    run = next(one.run_id for one in store.variants(ws) if one.variant == "per-persona")
    first, second = personas(ws)[:2]
    effects = [
        {"kind": "weights", "run": run, "name": first, "weight": 0.25},
        {"kind": "weights", "run": run, "name": second, "weight": 0.75},
    ]
    recipe = {"effects": effects}
    reply = ask(client, "per-persona", SAID[2], user=first, extra_body={"recipe": recipe})
    answered = respond(ws, persona_id=first, recipe=recipe, message=SAID[2], max_new_tokens=NEW)
    assert reply.choices[0].message.content == answered["reply"]


def test_a_recipe_of_more_models_than_a_batch_has_rows_is_refused(ws: Workspace, client: OpenAI) -> None:
    run = next(one.run_id for one in store.variants(ws) if one.variant == "unified")
    parts: list[dict[str, Any]] = [
        {"effects": [{"kind": "weights", "run": run, "name": "unified", "weight": one / 128}]}
        for one in range(1, 129)
    ]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [{"effects": [{"kind": "logits", "parts": list(pair), "weight": 0.5}]} for pair in pairs]
    with pytest.raises(openai.BadRequestError, match="128 models at once"):
        ask(client, "base", SAID[0], extra_body={"recipe": parts[0]})


def test_a_text_that_ends_a_reply_ends_it(ws: Workspace, client: OpenAI) -> None:
    whole = ask(client, "unified", SAID[1]).choices[0].message.content
    word = whole[len(whole) // 2 :][:3]
    for stream in (False, True):
        made = ask(client, "unified", SAID[1], stop=[word], stream=stream)
        text = (
            "".join(piece.choices[0].delta.content or "" for piece in made)
            if stream
            else made.choices[0].message.content
        )
        assert text == whole[: whole.index(word)]


def recipe(*effects: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A request's body with a recipe of its own."""
    return {"extra_body": {"recipe": {"effects": list(effects), **more}}}


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"temperature": 3}, "temperature"),
        ({"temperature": 1, "seed": 2**80}, "seed"),
        ({"n": 2}, "One reply"),
        ({"logprobs": True}, "logprobs is not done here"),
        ({"response_format": {"type": "json_object"}}, "response_format is not done here"),
        ({"tools": [{"type": "function", "function": {"name": "off"}}]}, "tools is not done here"),
        ({"frequency_penalty": 0.5}, "frequency_penalty is not done here"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hm."}]}, "user's"),
        ({"messages": [{"role": "tool", "content": "Hm.", "tool_call_id": "1"}]}, "role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "content.0.type: Input"),
        ({"messages": [{"role": "user", "content": "word " * 9_000}]}, "longer than the"),
        ({"messages": [{"role": "user", "content": "word " * 9_000}], "stream": True}, "longer than the"),
        ({"model": "unified:somebody", "user": "another"}, "names another"),
        (recipe({"kind": "weights", "run": "unified-00000000", "name": "x", "weight": "much"}), "a number"),
        (
            recipe({"kind": "weights", "run": "unified-00000000", "name": "x", "weight": 1e300}),
            "1e+06 or less",
        ),
        (recipe({"kind": "own", "run": "unified-00000000", "weight": 2}), "weight is not known here"),
        (recipe({"kind": "prompt", "memories": -1}), "0 or more"),
        ({"extra_body": {"recipe": {"effects": [5]}}}, "effects[0] must be an object"),
        ({"extra_body": {"recipe": {"mixture": {}}}}, "mixture.parts is missing"),
        ({"extra_body": {"recipe": {"effects": [{"kind": "weights", "run": "../x", "name": "y"}]}}}, ""),
        ({"extra_body": {"recipe": {"effects": [{"kind": "nonsense"}]}}}, "nonsense"),
        (recipe({"kind": "weights", "run": "unified-00000000", "name": "../../../base"}), "lead out"),
        (recipe({"kind": "weights", "run": "unified-00000000", "name": "/etc"}), "lead out"),
        (recipe({"kind": "weights", "run": "/etc", "name": "ssl"}), "lead out"),
        (recipe({"kind": "own", "run": "../../elsewhere"}), ""),
        (
            recipe(remote={"provider": "anthropic", "model": "x", "max_output_tokens": 8}),
            "remote model",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(client: OpenAI, more: dict[str, Any], fault: str) -> None:
    asked: dict[str, Any] = {"model": "unified", "messages": [{"role": "user", "content": "Good night."}]}
    with pytest.raises(openai.BadRequestError) as refused:  # of a stream too, before it begins
        client.chat.completions.create(**{**asked, **more})
    assert fault in str(refused.value)
    assert refused.value.type == "invalid_request_error"
    empty = dict.fromkeys(("stream", "stop", "meta", "recipe", "user", "seed", "logit_bias"))
    neutral: dict[str, Any] = {"logprobs": False, "frequency_penalty": 0, "tools": [], "extra_body": empty}
    assert client.chat.completions.create(**{**asked, **neutral}).choices  # and the server goes on


@pytest.mark.parametrize("broken", ["dialogues", "config"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_broken_here_is_no_fault_of_who_asks(
    ws: Workspace, client: OpenAI, broken: str, stream: bool
) -> None:
    file = ws.config if broken == "config" else ws.dataset / "dialogues.jsonl"
    before = file.read_bytes()
    file.write_bytes(before[: len(before) // 2])
    try:
        with pytest.raises(openai.InternalServerError, match=file.name) as failed:
            client.chat.completions.create(
                model="unified",
                messages=[{"role": "user", "content": SAID[0]}],
                max_tokens=5 if stream else 6,  # which nobody has asked for
                stream=stream,
            )
    finally:
        file.write_bytes(before)
    assert failed.value.type == "server_error"
    assert ask(client, "unified", SAID[0]).choices


def test_a_scorer_that_is_missing_here_is_no_fault_of_who_brings_a_recipe(
    ws: Workspace, client: OpenAI, tmp_path: Path
) -> None:
    before = ws.config.read_bytes()
    recipe = next(one.recipe for one in store.variants(ws) if one.variant.startswith("unified+"))
    write_json(ws.config, {**ws.read_config(), SETTING: str(tmp_path / "gone")})
    try:
        with pytest.raises(openai.InternalServerError, match="gone") as failed:
            client.chat.completions.create(
                model="unified",
                messages=[{"role": "user", "content": SAID[0]}],
                max_tokens=7,  # which nobody has asked for
                user=personas(ws)[0],
                extra_body={"recipe": recipe},
            )
    finally:
        ws.config.write_bytes(before)
    assert failed.value.type == "server_error"


def test_a_reply_that_leaves_a_prompt_no_room_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="leaves no room") as refused:
        client.chat.completions.create(
            model="unified", messages=[{"role": "user", "content": SAID[0]}], max_tokens=2048
        )
    assert refused.value.code == "context_length_exceeded"


def test_a_model_that_is_not_offered_is_not_found(client: OpenAI) -> None:
    for asked in (lambda: ask(client, "gpt-4", SAID[0]), lambda: client.models.retrieve("gpt-4")):
        with pytest.raises(openai.NotFoundError, match="base|unified") as refused:
            asked()
        assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "embeddings"), ("GET", "chat/completions"), ("DELETE", "models/unified"), ("GET", "../x")],
)
def test_what_is_not_answered_here_is_said_in_the_apis_own_form(
    told: dict[str, Any], method: str, path: str
) -> None:
    headers = {"authorization": f"Bearer {told['token']}"}
    answer = httpx2.request(method, f"{told['address']}/{path}", headers=headers)
    assert answer.status_code in (404, 405)
    assert ("allow" in answer.headers) == (answer.status_code == 405)
    assert "/v1/chat/completions" in answer.json()["error"]["message"]


def test_drawn_words_are_a_seeds_whoever_else_is_answered(client: OpenAI) -> None:
    def drawn(seed: int) -> str:
        reply = ask(client, "unified", SAID[0], temperature=1.5, seed=seed)
        return str(reply.choices[0].message.content)

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(drawn, (1, 2, 3, 1, 2, 3)))
    assert together[:3] == together[3:] == [drawn(1), drawn(2), drawn(3)]
    assert len(set(together)) > 1


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic wrong"])
def test_without_the_token_nothing_is_told(told: dict[str, Any], given: str) -> None:
    headers = {"authorization": given} if given else {}
    for method, path in (("GET", "models"), ("GET", "models/unified"), ("POST", "chat/completions")):
        answer = httpx2.request(method, f"{told['address']}/{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "unified" not in answer.text


def test_a_request_that_is_too_long_is_refused(told: dict[str, Any], client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        ask(client, "unified", "x" * (2 << 20))
    assert refused.value.status_code == 413


def test_a_caller_who_goes_away_takes_nobodys_place(ws: Workspace, client: OpenAI) -> None:
    with ask(client, "unified", SAID[0], stream=True) as left:
        next(iter(left))
    assert ask(client, "unified", SAID[0]).choices[0].message.content == expected(
        ws, "unified", personas(ws)[0], SAID[0]
    )


def test_a_caller_who_leaves_before_the_request_is_whole_is_no_fault(
    told: dict[str, Any], client: OpenAI
) -> None:
    """That its log holds no traceback is looked at when the server has ended."""
    at = httpx2.URL(told["address"])
    with socket.create_connection(("127.0.0.1", at.port or 0)) as line:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: bearer {told['token']}\r\n"
        line.sendall(f"{head}content-length: 1000\r\n\r\n{{".encode())
    assert ask(client, "base", SAID[0]).choices


@pytest.fixture
def nobody_serves_after(ws: Workspace) -> Iterator[None]:
    yield
    published.stop(ws)


@pytest.mark.usefixtures("nobody_serves_after")
def test_it_serves_in_the_background_until_it_is_stopped(ws: Workspace) -> None:
    token = published.new_token()
    published.start(ws, ["unified"], token_hash=published.hash_of_token(token), host="127.0.0.1", port=0)
    eventually(lambda: (found := published.serving(ws)) is not None and found.address, timeout_seconds=400)
    found = published.serving(ws)
    assert found is not None
    reply = ask(OpenAI(base_url=found.address, api_key=token), "unified", SAID[0])
    assert reply.choices[0].message.content
    assert token not in "".join(
        path.read_text(errors="replace") for path in (ws.data / "serve").rglob("*") if path.is_file()
    )
    published.stop(ws)
    eventually(lambda: published.serving(ws) is None, timeout_seconds=400)


def test_no_reply_waits_for_the_last_one_to_be_acknowledged() -> None:
    """Nagle's algorithm holds the end of a reply back for 40 ms: more than a short reply takes."""

    async def delays() -> int:
        seen = asyncio.Queue[int]()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            taken = writer.get_extra_info("socket")
            await seen.put(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        ear = listen("127.0.0.1", 0)
        async with await asyncio.start_server(answer, sock=ear):
            await asyncio.open_connection(*ear.getsockname())
            return await seen.get()

    assert asyncio.run(delays()) != 0
