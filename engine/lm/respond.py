"""One reply of one variant to one message: what `generate` on the command line and the playground ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from engine.data.dataset import load_dataset, load_splits
from engine.errors import EngineError, unknown_name
from engine.lm.generate import generate
from engine.lm.load import Base, load_base
from engine.lm.recipes import Recipe, Shelf, build_prompt, prompt_budget, read_recipe
from engine.lm.retrieve import MemoryIndex
from engine.lm.routed import followed
from engine.lm.scorer import Scorer
from engine.paths import Workspace
from engine.stats.actions import extract
from engine.types import Example, Message


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
    """Return the reply of `recipe` to `message`, with its tokens, seconds, actions and the memories it saw.

    Raises EngineError on an unknown persona, an empty message or a recipe that cannot answer.
    """
    if not message.strip():
        raise EngineError("There is no message to answer.", "Write something a user would say.")
    dataset = load_dataset(ws)
    persona = next((persona for persona in dataset.personas if persona.persona_id == persona_id), None)
    if persona is None:
        raise unknown_name("persona", persona_id, [persona.persona_id for persona in dataset.personas])
    wanted = read_recipe(followed(ws, recipe, persona_id))
    base, shelf = _loaded(ws, str(ws.read_config()["base"]))
    asked = Example("", persona_id, "", 0, (*history, Message("user", message)), "", dict(meta or {}))
    prompt = build_prompt(
        base,
        asked.context,
        meta=asked.meta,
        character=persona.character if wanted.profile else None,
        memories=_memories(ws, asked, wanted),
        budget_tokens=prompt_budget(base, max_new_tokens),
    )
    reply = generate(
        base.model,
        base.tokenizer,
        [prompt.ids],
        changes=[shelf.change(wanted, persona_id)],
        max_new_tokens=max_new_tokens,
    )[0]
    return {
        "persona_id": persona_id,
        "message": message,
        "reply": reply.text,
        "prompt_tokens": reply.prompt_tokens,
        "reply_tokens": reply.reply_tokens,
        "seconds": round(reply.seconds, 3),
        "actions": _actions(reply.text),
        "recipe": wanted.as_json(),
        "retrieved": [
            {"request": m.request, "reply": m.reply, "similarity": m.similarity, "example_id": m.example_id}
            for m in prompt.memories
        ],
    }


def _memories(ws: Workspace, asked: Example, recipe: Recipe) -> list[Any]:
    if not recipe.memories:
        return []
    index = MemoryIndex(Scorer(ws), load_dataset(ws), load_splits(ws), personas={asked.persona_id})
    return index.nearest([asked], recipe.memories)[0]


def _actions(text: str) -> dict[str, Any]:
    found = extract(text)
    settings = sorted(((s.device, s.parameter, s.value) for s in found.settings), key=str)
    return {"devices": sorted(found.devices), "settings": settings}


@lru_cache(maxsize=2)
def _loaded(ws: Workspace, name: str) -> tuple[Base, Shelf]:
    return load_base(name), Shelf(ws)
