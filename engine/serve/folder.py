"""The folder data/talk/: questions, finished answers, and who the generator is. Owns its file names."""

from dataclasses import asdict, dataclass
from pathlib import Path

from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace, read_if_whole, read_record, write_json
from engine.core.questions import Answer, Question, is_id
from engine.runs.background import Background
from engine.runs.processes import ProcessIdentity


@dataclass(frozen=True, slots=True)
class _Generator:
    process: ProcessIdentity | None = None


def _talk(ws: Workspace) -> Path:
    return ws.data / "talk"


def generator(ws: Workspace) -> Background:
    """The generator of a workspace; its state is who it is."""
    return Background(_talk(ws), "The generator", "engine.serve.server")


def ear_of(ws: Workspace) -> Path:
    """Where the generator listens."""
    return _talk(ws) / "generator.sock"


def who(ws: Workspace) -> ProcessIdentity | None:
    """Return who the generator is, or was; None when nobody knows."""
    try:
        found = generator(ws).read(_Generator)
    except EngineError:
        return None
    return found.process if found is not None else None


def is_generator(ws: Workspace, process: ProcessIdentity) -> None:
    """Write down who the generator is from now on."""
    generator(ws).write(_Generator(process))


def _question(ws: Workspace, question_id: str) -> Path:
    return _talk(ws) / "questions" / f"{question_id}.json"


def _answer(ws: Workspace, question_id: str) -> Path:
    return _talk(ws) / "answers" / f"{question_id}.json"


def write_question(ws: Workspace, question: Question) -> None:
    """Write a question, before anybody is told of it."""
    write_json(_question(ws, question.question_id), asdict(question))


def find_question(ws: Workspace, question_id: str) -> Question:
    """Return a question by its id. Raises EngineError when there is none, or its file is damaged."""
    path = _question(ws, question_id)
    if not is_id(question_id) or not path.exists():
        raise unknown_name("question", question_id, ())
    return read_record(path, Question, hint="Ask again.")


def recent_questions(ws: Workspace, most: int = 50) -> list[Question]:
    """Return the questions asked last, newest first; damaged files are left out."""
    folder = _question(ws, "any").parent
    if not folder.is_dir():
        return []
    newest = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return [one for path in newest[:most] if (one := read_if_whole(path, Question)) is not None]


def write_answer(ws: Workspace, answer: Answer) -> None:
    """Write an answer that has ended."""
    write_json(_answer(ws, answer.question_id), asdict(answer))


def kept_answer(ws: Workspace, question_id: str) -> Answer | None:
    """Return a finished answer; None when there is none, or it is of another form."""
    return read_if_whole(_answer(ws, question_id), Answer)
