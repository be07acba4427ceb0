"""Replies of one variant: to one message, for `generate` and the playground, or to queries no run scored.

Scores nothing and keeps nothing.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from engine.core.base_identity import BaseIdentity, base_of
from engine.core.errors import unknown_name
from engine.core.paths import Workspace
from engine.core.questions import refuse_empty
from engine.core.types import Example, Message
from engine.data.dataset import load_dataset
from engine.domains.registry import domain_of
from engine.lm.asking import Asker
from engine.lm.effects import Recipe, read_recipe
from engine.lm.generate import Reply
from engine.lm.kernels import kernels_for
from engine.lm.load import Base, load_base
from engine.lm.mixture import answer
from engine.lm.plan import plan_for
from engine.lm.prompts import Memory
from engine.lm.recipes import Shelf, Side
from engine.lm.remote.endpoint import Said


def respond(
    ws: Workspace,
    *,
    persona_id: str,
    recipe: Mapping[str, Any],
    message: str,
    meta: Mapping[str, Any] | None = None,
    history: Sequence[Message] = (),
    max_new_tokens: int = 64,
) -> dict[str, Any]:
    """Return the reply of `recipe` to `message`, with tokens, seconds, what it does and the memories it saw.

    Raises EngineError on an unknown persona, an empty message or a recipe that cannot answer.
    """
    refuse_empty(message)
    dataset = load_dataset(ws)
    persona = next((persona for persona in dataset.personas if persona.persona_id == persona_id), None)
    if persona is None:
        raise unknown_name("persona", persona_id, [persona.persona_id for persona in dataset.personas])
    wanted = read_recipe(recipe)
    answering = Shelf(ws).sides(wanted, persona_id)
    asked = Example("", persona_id, "", 0, (*history, Message("user", message)), "", dict(meta or {}))
    reply, memories = _reply(ws, wanted, asked, answering, max_new_tokens=max_new_tokens)
    return {
        "persona_id": persona_id,
        "message": message,
        "reply": reply.text,
        "prompt_tokens": reply.prompt_tokens,
        "reply_tokens": reply.reply_tokens,
        "seconds": round(reply.seconds, 3),
        "acts": [act.words for act in domain_of(ws).acts(reply.text)],
        "recipe": _acting(wanted, answering).as_json(),
        "retrieved": [
            {"request": m.request, "reply": m.reply, "similarity": m.similarity, "example_id": m.example_id}
            for m in memories
        ],
    }


def respond_to_all(
    ws: Workspace, recipe: Mapping[str, Any], asked: Sequence[Example], *, max_new_tokens: int
) -> dict[str, str]:
    """Return example_id -> reply, as scoring would answer; nothing where the recipe does not exist for whose
    it is, or the query does not fit into the window. Raises EngineError where no model here answers."""
    base, shelf = _loaded(ws, base_of(ws))
    wanted, asker = read_recipe(recipe), Asker(ws, base, shelf, max_new_tokens=max_new_tokens)
    fits = asker.fitting(wanted, [one for one in asked if asker.covers(wanted, one.persona_id)])
    rows = [ask.rows for ask in asker.asks(wanted, fits)]
    replies = answer(
        base.model,
        base.tokenizer,
        rows,
        plan=plan_for(base.model),
        kernels=kernels_for(ws, base),
        max_new_tokens=max_new_tokens,
    )
    return {one.example_id: reply.text for one, reply in zip(fits, replies, strict=True)}


def _reply(
    ws: Workspace, recipe: Recipe, asked: Example, answering: Sequence[Side], *, max_new_tokens: int
) -> tuple[Reply | Said, Sequence[Memory]]:
    """Return the reply, of the base or of a remote model, and the memories shown for it."""
    only, shown = answering[0], answering[0].prompt
    if only.remote is not None and len(answering) == 1:
        from engine.lm.remote.reply import reply_to  # it loads the provider's client

        one, said = reply_to(ws, only.remote, asked, whose=only.persona_id, shown=shown)
        return said, one.memories
    base, shelf = _loaded(ws, base_of(ws))
    (ask,) = Asker(ws, base, shelf, max_new_tokens=max_new_tokens).asks(recipe, [asked])
    (reply,) = answer(base.model, base.tokenizer, [ask.rows], max_new_tokens=max_new_tokens)
    return reply, ask.memories


def _acting(recipe: Recipe, answering: Sequence[Side]) -> Recipe:
    """Return what answers: the effects that act where one side does, else the recipe as it is."""
    if len(answering) > 1:
        return recipe
    (only,) = answering
    return Recipe((*only.effects, only.prompt), remote=only.remote)


@lru_cache(maxsize=2)
def _loaded(ws: Workspace, which: BaseIdentity) -> tuple[Base, Shelf]:
    return load_base(which.name), Shelf(ws)
