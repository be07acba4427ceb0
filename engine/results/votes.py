"""Blind votes: which of two hidden variants answered better. Owns data/votes.jsonl, which only ever grows.

No database holds them, so none can lose them. Taking one back is another line. A conversation has one vote:
after it the names are shown.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from engine.core.errors import EngineError
from engine.core.machine import changes
from engine.core.paths import Workspace
from engine.core.questions import Answer, Question
from engine.core.stamps import stamp
from engine.runs.ledger import Ledger
from engine.runs.runfolder import now

Choice = Literal["left", "right", "tie", "both bad"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Ballot:
    """One side of a vote: who it was, what it said last, and its scores where a reference is known."""

    variant_id: str
    variant: str
    reply: str
    scores: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote. `question_id` is the last question before it, `conversation_id` the first one.

    `voter` is the name that she gave, "" for none.
    """

    vote_id: str
    at: str
    question_id: str
    conversation_id: str
    persona_id: str
    example_id: str | None
    message: str
    choice: Choice
    left: Ballot
    right: Ballot
    voter: str = ""

    @property
    def winner(self) -> str | None:
        """The variant that was chosen; None where neither was."""
        return {"left": self.left.variant, "right": self.right.variant}.get(self.choice)

    @property
    def loser(self) -> str | None:
        """The variant that another was chosen over."""
        return {"left": self.right.variant, "right": self.left.variant}.get(self.choice)


@dataclass(frozen=True, slots=True)
class _Undone:
    """The line that takes a vote back."""

    undone: str
    at: str


_VOTES = Ledger("votes", "votes", Vote | _Undone)
path = _VOTES.path


@changes("take a vote")
def cast(
    ws: Workspace,
    question: Question,
    answer: Answer,
    choice: Choice,
    *,
    conversation_id: str,
    voter: str = "",
) -> Vote:
    """Write a vote on a blind question's two replies, of who calls herself `voter`, and return it.

    Raises EngineError when the question is not blind, has not ended, or has its vote already; and when two
    equal replies are told apart.
    """
    _check(question, answer, choice)
    ballots = [
        Ballot(speaker.variant_id, speaker.variant, reply.text, dict(reply.scores))
        for speaker, reply in zip(question.speakers, answer.replies, strict=True)
    ]
    vote = Vote(
        vote_id=secrets.token_hex(6),
        at=now(),
        question_id=question.question_id,
        conversation_id=conversation_id,
        persona_id=question.persona_id,
        example_id=question.example_id,
        message=question.message,
        choice=choice,
        left=ballots[0],
        right=ballots[1],
        voter=" ".join(voter.split())[:_LONGEST_NAME],
    )
    with _VOTES.lock(ws):
        if vote_of(ws, conversation_id) is not None:
            raise EngineError("This conversation has its vote already.", "Take it back to vote anew.")
        _VOTES.append(ws, vote)
    return vote


@changes("take a vote back")
def undo(ws: Workspace, *, voter: str | None = None) -> Vote | None:
    """Take back the last vote that stands (of `voter`, where one is named); return it, None without one."""
    with _VOTES.lock(ws):
        standing = [vote for vote in read(ws) if voter in (None, vote.voter)]
        if not standing:
            return None
        _VOTES.append(ws, _Undone(standing[-1].vote_id, now()))
    return standing[-1]


def read(ws: Workspace) -> list[Vote]:
    """Return the votes that stand, first to last; a line torn by a kill or of another form is left out."""
    found: dict[str, Vote] = {}
    for line in _VOTES.read(ws):
        if isinstance(line, _Undone):
            found.pop(line.undone, None)
        else:
            found[line.vote_id] = line
    return list(found.values())


def vote_of(ws: Workspace, conversation_id: str) -> Vote | None:
    """Return the vote of a conversation, None when it has none."""
    return next((vote for vote in read(ws) if vote.conversation_id == conversation_id), None)


def signature(ws: Workspace) -> str:
    """Return what changes whenever a vote is cast or taken back; "" when there never was one."""
    return str(stamp(path(ws)) or "")


def can_differ(answer: Answer) -> bool:
    """Say whether there is anything to choose: two replies that are not the same."""
    return len({reply.text for reply in answer.replies}) > 1


def _check(question: Question, answer: Answer, choice: Choice) -> None:
    if not question.blind or len(question.speakers) != 2:
        raise EngineError("Only a blind question with two variants takes a vote.", "Turn on blind mode.")
    if answer.state != "done":
        raise EngineError("The replies are not finished.", "Wait for them, then vote.")
    if choice not in CHOICES:
        raise EngineError(f"There is no choice {choice!r}.", f"Choose one of: {', '.join(CHOICES)}.")
    if any(reply.error for reply in answer.replies):
        raise EngineError("One side could not answer.", "Begin a new conversation.")
    if choice in ("left", "right") and not can_differ(answer):
        raise EngineError("Both replies are the same.", "Vote a tie, or that both are bad.")
