"""One question being answered: its prompts, its stream, and what is told of it after each token.

Owns the order of things: prompts, tokens, then the scores where there is a reference. Knows nothing
of sockets, queues and files.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from engine.core.base_identity import BaseIdentity, base_of
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.core.questions import Answer, Progress, Question, Reply, Speaker
from engine.core.types import Example, Message
from engine.data.dataset import load_dataset
from engine.domains import metrics
from engine.lm.asking import Ask, Asker
from engine.lm.effects import read_recipe
from engine.lm.load import Base, load_base
from engine.lm.measure import of_reply
from engine.lm.recipes import Shelf
from engine.lm.sampling import Sampling
from engine.lm.scorer import Scorer
from engine.lm.streaming import Stream, spread
from engine.serve.lineage import lineage

_TELL_SECONDS = 0.03


class Stage:
    """A loaded base with the adapters and the scorer of a workspace."""

    def __init__(self, ws: Workspace, base: Base) -> None:
        self.ws, self.base, self.shelf = ws, base, Shelf(ws)
        self.loaded_scorer: Scorer | None = None

    @property
    def scorer(self) -> Scorer:
        """The scorer, loaded when it is first asked for: no first token waits for it without a reason."""
        self.loaded_scorer = self.loaded_scorer or Scorer(self.ws)
        return self.loaded_scorer


class Host:
    """The base model that answers, loaded once, and again when the workspace has another."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._stage: Stage | None = None
        self._loaded: BaseIdentity | None = None

    def begin(self, question: Question, answer: Answer, tell: Callable[[Answer], None]) -> "Answering":
        """Begin to answer; `tell` gets the answer when the model has to be loaded first.

        Raises EngineError when the base cannot be loaded or the persona is unknown.
        """
        wanted = base_of(self._ws)
        if self._stage is None or self._loaded != wanted:
            tell(replace(answer, state="loading", ahead=0))
            base = load_base(wanted.name)
            spread(base)
            self._stage, self._loaded = Stage(self._ws, base), wanted
        return Answering(self._stage, question, answer)


class Answering:
    """One question under way; `step` goes a little further and returns how far it is."""

    def __init__(self, stage: Stage, question: Question, answer: Answer) -> None:
        self.question = question
        self._stage, self._answer = stage, replace(answer, state="answering", ahead=0)
        self._began = time.perf_counter()
        self._replies = list(answer.replies)
        known = [persona.persona_id for persona in load_dataset(stage.ws).personas]
        if question.persona_id not in known:
            raise unknown_name("persona", question.persona_id, known)
        most = question.max_new_tokens
        asker = Asker(stage.ws, stage.base, stage.shelf, max_new_tokens=most, scorer=stage.loaded_scorer)
        asks: dict[int, Ask] = {}
        for place, speaker in enumerate(question.speakers):
            try:
                asks[place] = self._ask(asker, place, speaker)
                self._replies[place] = self._introduced(speaker, asks[place])
            except EngineError as error:  # one variant that cannot answer silences no other
                asks.pop(place, None)
                self._replies[place] = Reply(finished=True, error=error.message, hint=error.hint or None)
        self._places = list(asks)
        requests = [ask.rows for ask in asks.values()]
        drawn = Sampling(question.temperature, question.top_p, question.seed)
        sampling = drawn if question.temperature > 0 else None
        self._stream = (
            Stream(stage.base, requests, max_new_tokens=most, sampling=sampling) if requests else None
        )

    def step(self) -> Answer:
        """Say a few tokens (those of one short moment), or score what is said; return how far it is."""
        if self._stream is None:
            return self._told("failed")
        if self._stream.over():
            return self._scored()
        until = time.perf_counter() + _TELL_SECONDS
        while not self._stream.over() and time.perf_counter() < until:
            self._stream.step()
            self._note(self._stream)
        if not self._stream.over():
            return self._told("answering")
        return self._told("done" if self.question.reference is None else "scoring")

    def cancelled(self) -> Answer:
        """End it where it is; return what has been said."""
        self._replies = [replace(reply, finished=True) for reply in self._replies]
        return self._told("cancelled")

    def _ask(self, asker: Asker, place: int, speaker: Speaker) -> Ask:
        question = self.question
        context = (*speaker.history, Message("user", question.message))
        asked = Example(f"{place}", question.persona_id, "", 0, context, "", dict(question.meta))
        (ask,) = asker.asks(read_recipe(speaker.recipe), [asked])
        return ask

    def _introduced(self, speaker: Speaker, ask: Ask) -> Reply:
        recipe = read_recipe(speaker.recipe)
        prompts = [str(self._stage.base.tokenizer.decode(list(row.ids))) for row in ask.rows]
        told = lineage(self._stage.ws, self._stage.shelf, recipe, persona_id=self.question.persona_id)
        memories = [
            {"request": one.request, "reply": one.reply, "similarity": one.similarity, "id": one.example_id}
            for one in ask.memories
        ]
        told |= {
            "memories": memories,
            "memories_cut": ask.memories_cut,
            "turns_cut": ask.turns_cut,
            "prompts": list(dict.fromkeys(prompts)),
        }
        return Reply(prompt_tokens=sum(len(row.ids) for row in ask.rows), lineage=told)

    def _note(self, stream: Stream) -> None:
        """Write down what every voice has said by now."""
        now = time.perf_counter() - self._began
        for voice, place in enumerate(self._places):
            reply = self._replies[place]
            if reply.finished:
                continue
            text, tokens = stream.text(voice), stream.tokens(voice)
            first = reply.first_token_seconds if reply.first_token_seconds is not None else now
            reply = replace(reply, text=text, tokens=tokens, first_token_seconds=first, seconds=now)
            if stream.ended(voice):
                reply = replace(reply, finished=True)
            self._replies[place] = reply

    def _scored(self) -> Answer:
        reference = self.question.reference or ""
        shown = metrics.of_study(self._stage.ws).values()
        for place in self._places:
            text = self._replies[place].text
            scores = of_reply(shown, text, reference, scorer=self._stage.scorer)
            self._replies[place] = replace(self._replies[place], scores=scores)
        return self._told("done")

    def _told(self, state: Progress) -> Answer:
        self._answer = replace(self._answer, state=state, replies=tuple(self._replies))
        return self._answer
