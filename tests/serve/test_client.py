"""The generator as a real process: streaming, several askers, cancelling, dying, idling. A tiny real base."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main
from engine.core.consent import agree
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.questions import Answer, Question, Speaker, new_id
from engine.core.types import Message
from engine.data.dataset import examples, load_dataset, load_splits
from engine.lm.respond import respond
from engine.runs.processes import end_group, running
from engine.serve import client, folder, line
from engine.strategies.plan import plan
from tests.serve.made import PLAIN
from tests.tiny_base import prepare_study
from tests.workspaces import eventually, leave

LONG = 400
PROFILE: dict[str, Any] = {**PLAIN, "profile": True}
BROKEN: dict[str, Any] = {
    "adapters": [{"run": "gone-00000000", "name": "x"}],
    "profile": False,
    "memories": 0,
}


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A small study in a folder whose path is longer than a socket's address may be."""
    os.environ["OMP_NUM_THREADS"] = "1"
    deep = tmp_path_factory.mktemp("talk") / ("deep" * 30)
    ws = prepare_study(deep, tiny_base)
    yield ws
    end_group(client.alive(ws), grace_seconds=5.0)


def asked(ws: Workspace, *recipes: dict[str, Any], message: str = "It is dark.", **more: Any) -> Question:
    persona = load_dataset(ws).personas[0].persona_id
    speakers = tuple(Speaker(f"v{place}", f"id{place}", recipe) for place, recipe in enumerate(recipes))
    return Question(new_id(), persona, message, speakers, **{"max_new_tokens": 12, **more})


def ended(ws: Workspace, question_id: str) -> Answer:
    *_, last = client.follow(ws, question_id)
    return last


def speaking(ws: Workspace, question_id: str) -> Answer:
    """The answer once something is said."""
    for answer in client.follow(ws, question_id):
        if any(reply.text for reply in answer.replies):
            return answer
    raise AssertionError("it ended without a word")


def test_two_variants_answer_at_once_with_actions_scores_and_lineage(ws: Workspace) -> None:
    persona = load_dataset(ws).personas[0].persona_id
    example = next(
        one for one in examples(load_dataset(ws), load_splits(ws), "test") if one.persona_id == persona
    )
    retrieval = {**PLAIN, "memories": 2}
    history, message = example.context[:-1], example.context[-1].text
    question = asked(ws, PLAIN, retrieval, message=message, meta=example.meta, reference=example.reference)
    question = replace(
        question, speakers=tuple(replace(one, history=tuple(history)) for one in question.speakers)
    )
    states = [answer.state for answer in client.follow(ws, client.ask(ws, question))]
    assert states[-1] == "done"
    assert set(states) <= {"waiting", "loading", "answering", "scoring", "done"}
    answer = client.look(ws, question.question_id)
    for reply, recipe in zip(answer.replies, (PLAIN, retrieval), strict=True):
        told = respond(
            ws, persona_id=persona, recipe=recipe, message=message, meta=example.meta,
            history=history, max_new_tokens=12,
        )  # fmt: skip
        assert reply.text == told["reply"]
        assert reply.prompt_tokens == told["prompt_tokens"]
        assert reply.finished
        assert -1 <= (reply.scores["embedding_similarity"] or 0) <= 1
        assert reply.lineage is not None
        assert [one["id"] for one in reply.lineage["memories"]] == [
            m["example_id"] for m in told["retrieved"]
        ]
        assert message in reply.lineage["prompts"][0]
    assert folder.kept_answer(ws, question.question_id) == answer


def test_the_text_grows_while_others_ask_and_nothing_is_lost(ws: Workspace) -> None:
    long = client.ask(ws, asked(ws, PLAIN, PROFILE, max_new_tokens=LONG))
    first = speaking(ws, long)
    short = client.ask(ws, asked(ws, PLAIN, message="Good night.", max_new_tokens=4))
    assert ended(ws, short).state == "done"
    last = ended(ws, long)
    assert last.state == "done"
    for earlier, reply in zip(first.replies, last.replies, strict=True):
        assert reply.text.startswith(earlier.text)
        assert reply.tokens <= LONG
    assert client.look(ws, long) == last


def test_a_reply_is_cancelled_where_it_is(ws: Workspace) -> None:
    name = client.ask(ws, asked(ws, PLAIN, PROFILE, max_new_tokens=LONG))
    said = speaking(ws, name)
    client.cancel(ws, name)
    last = ended(ws, name)
    assert last.state in ("cancelled", "done")  # it may have been quicker
    assert last.replies[0].text.startswith(said.replies[0].text)
    assert folder.kept_answer(ws, name) == last
    client.cancel(ws, name)  # of no effect once it has ended
    assert client.look(ws, name) == last


def test_one_variant_that_cannot_answer_silences_no_other(ws: Workspace) -> None:
    answer = ended(ws, client.ask(ws, asked(ws, PLAIN, BROKEN)))
    assert answer.state == "done"
    assert answer.replies[0].text
    assert answer.replies[1].error
    assert answer.replies[1].finished


def test_what_cannot_be_answered_fails_with_the_reason(ws: Workspace) -> None:
    answer = ended(ws, client.ask(ws, replace(asked(ws, PLAIN), persona_id="nobody")))
    assert answer.state == "failed"
    assert "no persona named 'nobody'" in (answer.error or "")
    with pytest.raises(EngineError, match="no question"):
        client.look(ws, new_id())


def test_a_killed_generator_is_started_again_and_says_so(ws: Workspace) -> None:
    name = client.ask(ws, asked(ws, PLAIN, max_new_tokens=LONG))
    speaking(ws, name)
    who = client.alive(ws)
    assert who is not None
    os.kill(who.pid, signal.SIGKILL)
    eventually(lambda: not running(who))
    last = ended(ws, name)
    assert last.state == "done"
    if last.restarted:  # unless it had just finished
        assert folder.find_question(ws, name).attempts == 2
    again = client.alive(ws)
    assert again is None or again != who


def test_a_question_that_kills_its_generators_fails(ws: Workspace) -> None:
    end_group(client.alive(ws), grace_seconds=5.0)
    question = asked(ws, PLAIN)
    token = agree(ws, "question", question.question_id)
    question = replace(question, attempts=client.MOST_ATTEMPTS, consent=token)
    folder.write_question(ws, question)
    answer = client.look(ws, question.question_id)
    assert answer.state == "failed"
    assert "3 times" in (answer.error or "")
    assert client.look(ws, question.question_id) == answer


def test_an_idle_generator_ends_itself_and_leaves_nothing(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_group(client.alive(ws), grace_seconds=5.0)
    monkeypatch.setattr(client, "IDLE_SECONDS", 0.5)
    name = client.ask(ws, asked(ws, PLAIN, max_new_tokens=4))
    assert ended(ws, name).state == "done"
    eventually(lambda: client.alive(ws) is None)
    eventually(lambda: not folder.ear_of(ws).exists())
    assert client.look(ws, name).state == "done"  # kept without a process
    assert client.alive(ws) is None


def test_two_who_ask_at_once_share_one_process(ws: Workspace) -> None:
    end_group(client.alive(ws), grace_seconds=5.0)
    names = [client.ask(ws, asked(ws, PLAIN, max_new_tokens=4)) for _ in range(2)]
    who = client.alive(ws)
    assert [ended(ws, name).state for name in names] == ["done", "done"]
    assert client.alive(ws) == who


def test_a_torn_line_is_refused_and_a_stranger_hears_nothing(ws: Workspace, tmp_path: Path) -> None:
    ended(ws, client.ask(ws, asked(ws, PLAIN, max_new_tokens=2)))
    with pytest.raises(ConnectionError):
        line.unpacked(b'{"torn": ')
    with pytest.raises(OSError, match=r"."):
        line.request(tmp_path / "nobody.sock", {"do": "hello"}, timeout_seconds=1.0)
    told = line.request(folder.ear_of(ws), {"do": "look", "question": "x"}, timeout_seconds=10.0)
    assert "no question" in told["error"]


def test_a_follow_up_hears_the_thread(ws: Workspace) -> None:
    thread = (Message("user", "It is dark."), Message("assistant", "Shall I dim the lights?"))
    question = asked(ws, PLAIN, message="No, brighter.", max_new_tokens=3)
    question = replace(question, speakers=(replace(question.speakers[0], history=thread),))
    answer = ended(ws, client.ask(ws, question))
    assert "Shall I dim the lights?" in (answer.replies[0].lineage or {})["prompts"][0]


def test_the_command_line_streams_the_reply(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    leave(ws, plan(ws, "base", {"examples_per_persona": 1, "max_new_tokens": 2}))
    persona = load_dataset(ws).personas[0].persona_id
    words = ["generate", "-w", str(ws.root), "--variant", "base", "--stream"]
    assert main([*words, "--persona", persona, "It is dark."]) == 0
    shown = capsys.readouterr().out
    told = respond(ws, persona_id=persona, recipe=PLAIN, message="It is dark.")["reply"]
    assert shown.rstrip("\n") == told
    assert main([*words, "--persona", persona, "--json", "It is dark."]) == 0
    assert json.loads(capsys.readouterr().out)["replies"][0]["text"] == told
    assert main([*words, "--persona", "nobody", "It is dark."]) == 1
    assert "no persona named 'nobody'" in capsys.readouterr().err
