"""The generator: `python -m engine.serve.server ROOT IDLE_SECONDS`, started by the first question.

Owns one base model for all who ask. Listens before it loads, so that a question is heard at once; answers
up to _TOGETHER questions at a time, a token each in turn; keeps answers in memory while they grow and in
files once they have ended; ends itself when nobody has asked for a while. Takes a GPU that nobody holds,
under a lease, and leaves it as soon as a run waits for it and nothing is being answered; without one it works
on the processor.
"""

import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core import keyring
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.questions import Answer, Question, Reply, failed
from engine.runs import leases
from engine.runs.processes import identity
from engine.serve import line
from engine.serve.folder import ear_of, find_question, generator, kept_answer, who, write_answer

if TYPE_CHECKING:
    from engine.serve.answering import Answering, Host

_TOGETHER = 4
_KEPT_ANSWERS = 200
_NAP_SECONDS = 0.5
_HOLDER = "the playground"


class Desk:
    """Questions waiting and answers growing, shared between the line's threads and the one that works."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._changed = threading.Condition()
        self._waiting: list[Question] = []
        self._answers: dict[str, Answer] = {}
        self._unwanted: set[str] = set()
        self.last_heard = time.monotonic()

    def hear(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Answer one wish of a client."""
        self.last_heard = time.monotonic()
        what, name = wish.get("do"), str(wish.get("question", ""))
        if what == "ask":
            return self._ask(name)
        if what == "look":
            return self._look(name, int(wish.get("seen", -1)), float(wish.get("wait_seconds", 0.0)))
        if what == "cancel":
            return self._cancel(name)
        return {"hello": os.getpid()}

    def put(self, answer: Answer) -> None:
        """Show how far an answer is; one that has ended is written to its file first."""
        name = answer.question_id
        answer = replace(answer, version=self._answers[name].version + 1)
        if answer.ended:
            write_answer(self._ws, answer)
        with self._changed:
            self._answers[name] = answer
            self._unwanted -= {name} if answer.ended else set()
            self._forget()
            self._changed.notify_all()

    def next(self) -> Question | None:
        """Return the question whose turn it is; those behind move up."""
        with self._changed:
            if not self._waiting:
                return None
            question = self._waiting.pop(0)
            for ahead, other in enumerate(self._waiting):
                waiting = self._answers[other.question_id]
                self._answers[other.question_id] = replace(
                    waiting, ahead=ahead + 1, version=waiting.version + 1
                )
            self._changed.notify_all()
            return question

    def wait(self, seconds: float) -> None:
        """Wait until something changes, at most so long."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(seconds)

    def unwanted(self, question_id: str) -> bool:
        """Say whether somebody has cancelled this question."""
        return question_id in self._unwanted

    def answer(self, question_id: str) -> Answer:
        return self._answers[question_id]

    def _ask(self, name: str) -> dict[str, Any]:
        """Put a written question into the queue, unless it is known or answered."""
        if name in self._answers:
            return {"known": True}
        question = find_question(self._ws, name)
        with self._changed:
            if name not in self._answers and kept_answer(self._ws, name) is None:
                replies = tuple(Reply() for _ in question.speakers)
                self._answers[name] = Answer(
                    name, ahead=len(self._waiting), replies=replies, restarted=question.attempts > 1
                )
                self._waiting.append(question)
                self._changed.notify_all()
        return {"known": True}

    def _look(self, name: str, seen: int, wait_seconds: float) -> dict[str, Any]:
        """Return an answer newer than `seen`, or what there is in time; takes up what was only written."""
        self._ask(name)
        with self._changed:
            self._changed.wait_for(
                lambda: name not in self._answers or self._answers[name].version > seen, wait_seconds
            )
            found = self._answers.get(name) or kept_answer(self._ws, name)
        if found is None:
            raise EngineError(f"The answer to {name} is gone.", "Ask again.")
        return {"answer": asdict(found)}

    def _cancel(self, name: str) -> dict[str, Any]:
        with self._changed:
            known = name in self._answers
            if known and not self._answers[name].ended:
                self._unwanted.add(name)
                self._changed.notify_all()
        return {"known": known}

    def _forget(self) -> None:
        """Drop the oldest answers that have ended: their files have them."""
        ended = [name for name, answer in self._answers.items() if answer.ended]
        for name in ended[: max(0, len(self._answers) - _KEPT_ANSWERS)]:
            del self._answers[name]


def serve(ws: Workspace, idle_seconds: float) -> None:
    """Listen, load, answer, and return when nobody has asked for `idle_seconds`."""
    ear = line.listen(ear_of(ws))
    desk = Desk(ws)
    threading.Thread(target=_listen, args=(ear, desk), daemon=True).start()
    with leases.free_card(_HOLDER) as leaves:
        work(ws, desk, idle_seconds, leaves=leaves)
    with generator(ws).lock():
        if who(ws) == identity():
            (generator(ws).folder / "state.json").unlink(missing_ok=True)
            ear_of(ws).unlink(missing_ok=True)
        ear.close()


def work(
    ws: Workspace, desk: Desk, idle_seconds: float, *, leaves: Callable[[], bool] = lambda: False
) -> None:
    """Answer questions, several in turns, until nobody has asked for `idle_seconds`, or it `leaves`."""
    host: Host | None = None
    going: list[Answering] = []
    while True:
        while len(going) < _TOGETHER and (question := desk.next()) is not None:
            if host is None:
                desk.put(replace(desk.answer(question.question_id), state="loading", ahead=0))
                host = _load(ws)
            begun = _begin(host, desk, question)
            going += [begun] if begun is not None else []
        going = [one for one in going if _step(desk, one)]
        if going:
            continue
        idle = time.monotonic() - desk.last_heard
        if idle > idle_seconds or leaves():
            return
        desk.wait(min(_NAP_SECONDS, idle_seconds))


def _load(ws: Workspace) -> "Host":
    from engine.serve.answering import Host  # loads the model code, after the line is open

    return Host(ws)


def _begin(host: "Host", desk: Desk, question: Question) -> "Answering | None":
    """Begin a question; None when it has ended at once."""
    name = question.question_id
    if desk.unwanted(name):
        desk.put(replace(desk.answer(name), state="cancelled"))
        return None
    try:
        return host.begin(question, desk.answer(name), desk.put)
    except Exception as error:  # noqa: BLE001 - the boundary: one question's fault ends no other
        desk.put(_told(desk.answer(name), error))
        return None


def _step(desk: Desk, one: "Answering") -> bool:
    """Go a little further with a question; False when it has ended."""
    name = one.question.question_id
    try:
        answer = one.cancelled() if desk.unwanted(name) else one.step()
    except Exception as error:  # noqa: BLE001 - the boundary: one question's fault ends no other
        answer = _told(desk.answer(name), error)
    desk.put(answer)
    return not answer.ended


def _told(answer: Answer, error: Exception) -> Answer:
    if isinstance(error, EngineError):
        return failed(answer, error.message, error.hint)
    traceback.print_exc()
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return failed(answer, words, "The traceback is in data/talk/output.txt.")


def _listen(ear: socket.socket, desk: Desk) -> None:
    while True:
        try:
            caller, _ = ear.accept()
        except OSError:
            return  # closed: the generator ends
        threading.Thread(target=_answer_caller, args=(caller, desk), daemon=True).start()


def _answer_caller(caller: socket.socket, desk: Desk) -> None:
    """Hear one wish and answer it; a caller who hangs up is let go."""
    with caller, caller.makefile("rb") as wishes, suppress(OSError):
        caller.settimeout(30.0)
        try:
            told = desk.hear(line.unpacked(wishes.readline(line.MOST_BYTES)))
        except EngineError as error:
            told = {"error": error.message, "hint": error.hint}
        caller.sendall(line.packed(told))


if __name__ == "__main__":
    keyring.receive()
    keyring.use()
    serve(Workspace(Path(sys.argv[1])), float(sys.argv[2]))
