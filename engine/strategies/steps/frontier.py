"""Scores a remote model: asks an endpoint for the reply to every example, under the common prompt skeleton.

Keeps each reply as it comes (paid.py), so that no failure, stop or kill costs it again. Trains
nothing and needs no base model. The key is in this process's environment only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.core.errors import EngineError
from engine.core.types import Example
from engine.data.dataset import hash_of
from engine.lm.effects import Prompt, Recipe
from engine.lm.generate import Reply
from engine.lm.prompts import PROMPT_VERSION
from engine.lm.remote.asking import Pace, ask_all, finished
from engine.lm.remote.clients import opened
from engine.lm.remote.endpoint import Endpoint, Said
from engine.lm.remote.keys import required_key
from engine.lm.remote.prices import Prices, money, tokens_about
from engine.lm.remote.prompts import Told, told
from engine.lm.scorer import Scorer
from engine.lm.scorer_choice import encoder_of
from engine.runs.context import Cancelled, RunContext
from engine.runs.parts import PartDone
from engine.strategies.steps import paid
from engine.strategies.steps.estimate import endpoint_of, estimate, obstacle_of, personas_asked, prices_of
from engine.strategies.steps.scoring import Answer, ExampleSet, embedding_progress, example_set, write_scores


def run(context: RunContext) -> None:
    """Ask for what is not paid for yet, then score all replies.

    Raises EngineError before the first request where there is no key, or the estimate exceeds the budget.
    """
    if context.part is not None:
        raise PartDone  # one process alone can keep the pace
    context.progress("load", 0, 1)
    endpoint = endpoint_of(context.spec)
    key = required_key(endpoint)
    variant = name_of(endpoint, context.spec.parameters)
    context.variant(variant, recipe_of(context).as_json(), family="frontier")
    whole, personas = example_set(context), personas_asked(context.workspace, context.spec)
    chosen, scorer = whole.where(lambda persona: persona in personas), Scorer(context.workspace)
    protocol = _declare_protocol(context, whole, endpoint)
    _refuse_too_dear(context, endpoint)
    said, prompts = _known(context, chosen), _prompts(context, chosen, scorer)
    _ask(context, endpoint, key, prompts, said)
    answers = [_answer(variant, *one, prompts=prompts, said=said) for one in chosen.all]
    write_scores(context, answers, protocol, scorer)


def name_of(endpoint: Endpoint, parameters: Mapping[str, Any]) -> str:
    """Return "frontier-MODEL", with what it is shown of the persona."""
    shown = "+profile" if parameters["profile"] else ""
    shown += f"+retrieval-{parameters['memories']}" if parameters["memories"] else ""
    return f"frontier-{endpoint.short_name}{shown}"


def recipe_of(context: RunContext) -> Recipe:
    """Return the variant's recipe: the endpoint in the place of adapters."""
    parameters = context.spec.parameters
    return Recipe(remote=endpoint_of(context.spec)).with_prompt(
        profile=parameters["profile"], memories=parameters["memories"]
    )


def _declare_protocol(context: RunContext, whole: ExampleSet, endpoint: Endpoint) -> str:
    """Declare what makes the scores comparable: with those of other remote models, not of a local base."""
    heat = endpoint.temperature
    ids = "\n".join(example.example_id for _, example in whole.all)
    return context.protocol(
        {
            **context.spec.protocol,
            "max_new_tokens": endpoint.max_output_tokens,
            "decoding": "as the provider does" if heat is None else f"temperature {heat:g}, by the provider",
            "examples_hash": hash_of(ids)[:16],
            "prompt_version": PROMPT_VERSION,
            "scorer": encoder_of(context.workspace).identity,
            "device": "remote",
        }
    )


def _known(context: RunContext, chosen: ExampleSet) -> dict[str, Said]:
    """The replies that are there: this run's own, and those that another run has paid for."""
    known = paid.read(context.folder)
    names = {example.example_id for _, example in chosen.all}
    taken = paid.elsewhere(context.workspace, context.spec, names - known.keys())
    for name, said in taken.items():
        paid.keep(context.folder, name, said)
    if taken:
        donors = ", ".join(sorted({said.taken_from for said in taken.values()}))
        context.log(f"{len(taken)} of {len(names)} replies are taken over from {donors}")
    return {name: said for name, said in (known | taken).items() if name in names}


def _prompts(context: RunContext, chosen: ExampleSet, scorer: Scorer) -> dict[str, Told]:
    """What the model is told for each example, by its id; finding memories counts as loading."""
    parameters, asked = context.spec.parameters, [example for _, example in chosen.all]
    made = told(
        context.workspace,
        asked,
        shown=Prompt(parameters["profile"], parameters["memories"]),
        scorer=scorer,
        on_progress=embedding_progress(context, "load", unit="memories"),
    )
    return {example.example_id: one for example, one in zip(asked, made, strict=True)}


def _refuse_too_dear(context: RunContext, endpoint: Endpoint) -> None:
    """Log the estimate; raise EngineError where it exceeds the budget."""
    expected = estimate(context.workspace, context.spec)
    context.log(f"{endpoint.url}, {endpoint.model}: {expected}")
    obstacle = obstacle_of(context.spec, endpoint, expected)
    if obstacle is not None:
        raise obstacle


@dataclass(slots=True)
class _Purse:
    """What a run has spent and what requests under way may cost. `budget` None is no limit."""

    prices: Prices
    budget: float | None
    longest_reply: int
    spent: float = 0.0
    held: dict[str, float] = field(default_factory=dict)

    def may_ask(self, name: str, prompt_tokens: int) -> bool:
        """Say whether one more request fits into the budget at its dearest; set that aside if so."""
        cost = self.prices.cost(prompt_tokens, self.longest_reply)
        if self.budget is not None and cost is not None:
            if self.spent + sum(self.held.values()) + cost > self.budget:
                return False
            self.held[name] = cost
        return True

    def pay(self, name: str, said: Said) -> None:
        """Count what a reply has really cost."""
        self.held.pop(name, None)
        if not said.taken_from:
            self.spent += self.prices.cost(said.prompt_tokens, said.reply_tokens) or 0.0


def _ask(
    context: RunContext, endpoint: Endpoint, key: str, prompts: Mapping[str, Told], known: dict[str, Said]
) -> None:
    """Ask what is not in `known` and put it there. Raises Cancelled, EngineError, and when money runs out."""
    parameters = context.spec.parameters
    purse = _Purse(prices_of(parameters), parameters["budget"], endpoint.max_output_tokens)
    for name, said in known.items():
        purse.pay(name, said)

    def keep(name: str, said: Said) -> None:
        paid.keep(context.folder, name, said)
        known[name] = said
        purse.pay(name, said)
        context.progress("ask", len(known), len(prompts), unit="replies")
        context.event("spent", replies=len(known), **_bill(known.values(), purse.prices))

    async def ask_missing() -> None:
        async with opened(
            endpoint, key, timeout_seconds=parameters["timeout_seconds"], retries=parameters["retries"]
        ) as ask:
            await ask_all(
                ask,
                {name: one.messages for name, one in prompts.items() if name not in known},
                pace=Pace(parameters["requests_per_minute"]),
                at_once=parameters["at_once"],
                may_ask=lambda name: purse.may_ask(name, tokens_about(prompts[name].characters)),
                on_reply=keep,
                stop=context.stop_requested,
            )

    context.progress("ask", len(known), len(prompts), unit="replies")
    try:
        finished(ask_missing())
    finally:
        _tell_bill(context, known, purse.prices)
    if len(known) < len(prompts):
        if context.stop_requested():
            raise Cancelled
        raise EngineError(
            f"The budget of {money(purse.budget)} has no room for another request: {money(purse.spent)} are "
            f"spent, {len(known)} of {len(prompts)} replies are there.",
            "Launch it again with a higher budget: the replies that are paid for are taken over.",
        )


def _tell_bill(context: RunContext, known: Mapping[str, Said], prices: Prices) -> None:
    """Write tokens and money into the log and the summary."""
    bill = _bill(known.values(), prices)
    own = [said for said in known.values() if not said.taken_from]
    cut = sum(said.ended_by == "length" for said in known.values())
    context.log(
        f"{len(known)} replies ({len(known) - len(own)} taken over): {bill['tokens_in']} tokens in, "
        f"{bill['tokens_out']} out, {money(bill['cost'])}; {cut} were cut at the longest length"
    )
    context.summary(replies=len(known), taken_over=len(known) - len(own), cut_replies=cut, **bill)


def _bill(replies: Iterable[Said], prices: Prices) -> dict[str, Any]:
    """Tokens and money of the replies that this run itself has paid for."""
    own = [said for said in replies if not said.taken_from]
    tokens_in, tokens_out = sum(one.prompt_tokens for one in own), sum(one.reply_tokens for one in own)
    return {"tokens_in": tokens_in, "tokens_out": tokens_out, "cost": prices.cost(tokens_in, tokens_out)}


def _answer(
    variant: str, split: str, example: Example, *, prompts: Mapping[str, Told], said: Mapping[str, Said]
) -> Answer:
    one, shown = said[example.example_id], prompts[example.example_id].memories
    reply = Reply(one.text, one.prompt_tokens, one.reply_tokens, one.seconds)
    return Answer(variant, split, example, reply, tuple(asdict(memory) for memory in shown) or None)
