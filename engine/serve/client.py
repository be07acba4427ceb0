"""Asking the generator: what the app and the command line use. Loads no model.

Owns the generator's life from outside: it is started by the first question, found again by every later one
(its identity and its socket lie below data/talk/), and started anew when it has died over a question. A
question is written before it is sent and a finished answer is read from its file, so neither needs the
process.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from engine.core.consent import agree, agreed
from engine.core.errors import EngineError
from engine.core.forms import record
from engine.core.machine import changes, read_only
from engine.core.paths import Workspace
from engine.core.questions import Answer, Question, Reply, failed
from engine.core.roles import refuse_unless
from engine.lm.remote.keys import names_for_base
from engine.runs.processes import ProcessIdentity, running
from engine.serve import line
from engine.serve.folder import (
    ear_of,
    find_question,
    generator,
    is_generator,
    kept_answer,
    who,
    write_answer,
    write_question,
)

IDLE_SECONDS = 600.0
MOST_ATTEMPTS = 3
_ANSWER_SECONDS = 10.0
_START_POLL_SECONDS = 0.1


@changes("ask a question")
def ask(ws: Workspace, question: Question) -> str:
    """Give a question to the generator, starting it when there is none; return the question's id at once.

    Waits for nothing: a generator that is only starting finds the question when it is looked for. Raises
    EngineError when no process can be started.
    """
    ws.read_config()
    write_question(ws, replace(question, consent=agree(ws, "question", question.question_id)))
    _wake(ws)
    _tell(ws, {"do": "ask", "question": question.question_id})
    return question.question_id


def look(ws: Workspace, question_id: str, *, seen: int = -1, wait_seconds: float = 0.0) -> Answer:
    """Return how far a question is; waits up to `wait_seconds` for something newer than version `seen`.

    A question whose generator has died is given to a new one, and its answer says so; one that has killed
    its generators MOST_ATTEMPTS times has failed. Raises EngineError on an unknown question.
    """
    kept = kept_answer(ws, question_id)
    if kept is not None:
        return kept
    question = find_question(ws, question_id)
    wish = {"do": "look", "question": question_id, "seen": seen, "wait_seconds": wait_seconds}
    told = _tell(ws, wish, patience=wait_seconds)
    if told is not None:
        return record(Answer, json.dumps(told["answer"]))
    if alive(ws) is not None:  # it is starting, and does not listen yet
        time.sleep(min(wait_seconds, _START_POLL_SECONDS))
        replies = tuple(Reply() for _ in question.speakers)
        return Answer(question_id, "loading", replies=replies, restarted=question.attempts > 1)
    kept = kept_answer(ws, question_id)  # it may have ended between the two looks
    return kept if kept is not None else _again(ws, question)


def follow(ws: Workspace, question_id: str, *, wait_seconds: float = 1.0) -> Iterator[Answer]:
    """Yield the answer whenever it has changed, until it has ended."""
    seen = -1
    while True:
        answer = look(ws, question_id, seen=seen, wait_seconds=wait_seconds)
        if answer.version != seen or answer.ended:
            seen = answer.version
            yield answer
        if answer.ended:
            return


@changes("end a question")
def cancel(ws: Workspace, question_id: str) -> None:
    """End a question where it is; what it has said so far is kept. Does nothing when it has ended."""
    refuse_unless("run", "stop an answer")
    told = _tell(ws, {"do": "cancel", "question": question_id})
    if (told is None or not told.get("known")) and kept_answer(ws, question_id) is None:
        write_answer(ws, Answer(find_question(ws, question_id).question_id, "cancelled"))


def alive(ws: Workspace) -> ProcessIdentity | None:
    """Return the generator's process, None when none runs."""
    found = who(ws)
    return found if running(found) else None


def _again(ws: Workspace, question: Question) -> Answer:
    """Give a question to a new generator, and say so; give up when it keeps dying over it.

    One that was asked elsewhere, or is only looked at, stays without an answer: a look starts nothing.
    """
    begun = Answer(question.question_id, replies=tuple(Reply() for _ in question.speakers), restarted=True)
    if read_only(ws) or not agreed(ws, question.consent, "question", question.question_id):
        return failed(begun, "This question was not answered where it was asked.", "Ask it again here.")
    if question.attempts >= MOST_ATTEMPTS:
        ended = failed(
            begun,
            f"The generator has ended {MOST_ATTEMPTS} times over this question.",
            f"Its last words are in {generator(ws).output}. Not enough memory is the usual reason.",
        )
        write_answer(ws, ended)
        return ended
    write_question(ws, replace(question, attempts=question.attempts + 1))
    _wake(ws)
    return begun


def _tell(ws: Workspace, wish: Mapping[str, Any], *, patience: float = 0.0) -> dict[str, Any] | None:
    """Send one wish to the generator; None when there is nobody to hear it."""
    path = ear_of(ws)
    if not path.exists():
        return None
    try:
        told = line.request(path, wish, timeout_seconds=_ANSWER_SECONDS + patience)
    except OSError:
        return None
    if "error" in told:
        raise EngineError(str(told["error"]), str(told.get("hint") or ""))
    return told


def _wake(ws: Workspace) -> None:
    """Start the generator unless it runs. Does not wait for it."""
    if alive(ws) is not None:
        return
    with generator(ws).lock():
        if alive(ws) is None:
            ear_of(ws).unlink(missing_ok=True)
            keys = names_for_base(str(ws.read_config()["base"]))
            begun = generator(ws).start(str(ws.root), str(IDLE_SECONDS), keys=keys)
            if begun is not None:
                is_generator(ws, begun)
