"""What a frontier run will cost, before anything is sent: requests, tokens, money, and the least time.

Counts the very prompts, by characters / 4 because the model's tokenizer is not known here, with memories at
their mean length, and every reply as long as allowed: so money is rather too high than too low.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.errors import EngineError
from engine.core.keyring import key_of
from engine.core.paths import Workspace
from engine.core.permits import permit_for
from engine.core.types import Example
from engine.core.wording import duration, listed
from engine.data.dataset import choose_examples, examples, load_dataset, load_splits, subset_of
from engine.domains.registry import domain_of
from engine.lm.remote.endpoint import Endpoint
from engine.lm.remote.keys import required_key
from engine.lm.remote.prices import Prices, money, tokens_about
from engine.lm.remote.prompts import characters_of, tell
from engine.runs.runfolder import RunSpec
from engine.strategies.spec import Outlook
from engine.strategies.steps import paid

_SYSTEM_LINE = len("User: \nYou: \n")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is still to be asked. Tokens are approximate; `cost` is None where a price is not known."""

    requests: int
    already_paid: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    least_seconds: float

    def __str__(self) -> str:
        done = f" ({self.already_paid} replies are there already)" if self.already_paid else ""
        return (
            f"{self.requests} requests{done}, about {self.tokens_in} tokens in (characters / 4) and at most "
            f"{self.tokens_out} out: {self.price}. At the given pace at least {duration(self.least_seconds)}."
        )

    @property
    def price(self) -> str:
        """The money in words."""
        if self.cost is None:
            return "price unknown (give price_in and price_out, for a million tokens each)"
        return f"about {money(self.cost)} at most, by the prices given"


def estimate(ws: Workspace, spec: RunSpec) -> Estimate:
    """Return what the run has still to ask and what that costs. Sends nothing."""
    parameters = spec.parameters
    asked = examples_asked(ws, spec)
    known = paid.read(ws.run_folder(spec.run_id))
    known |= paid.elsewhere(ws, spec, {example.example_id for example in asked} - known.keys())
    missing = [example for example in asked if example.example_id not in known]
    sizes = prompt_tokens(ws, missing, profile=parameters["profile"], memories=parameters["memories"])
    tokens_in = sum(sizes)
    tokens_out = len(missing) * paid.longest_reply(parameters, spec.protocol)
    return Estimate(
        requests=len(missing),
        already_paid=len(asked) - len(missing),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=prices_of(parameters).cost(tokens_in, tokens_out),
        least_seconds=60.0 * len(missing) / parameters["requests_per_minute"],
    )


def outlook(ws: Workspace, spec: RunSpec) -> Outlook:
    """Say what a launch would cost and send where, and what stands in its way."""
    if not spec.parameters["model"]:
        return Outlook(obstacle=_nobody_named(spec))
    endpoint, expected = endpoint_of(spec), estimate(ws, spec)
    notes = f"Cost: {expected}", f"Sends {_sent(spec.parameters)} to {endpoint.host}."
    return Outlook(notes, obstacle_of(spec, endpoint, expected))


def _nobody_named(spec: RunSpec) -> EngineError:
    """What is missing where not even a model is named: its name, and whatever is needed to reach it."""
    endpoint = endpoint_of(spec)
    missing = ["the name of a model"]
    vendor = permit_for(endpoint.url) if endpoint.base_url is None else None
    if vendor is not None and vendor.key and key_of(vendor.key) is None:
        missing.append(f"either {vendor.key} or the address of a server of your own")
    return EngineError(
        f"It needs {', and '.join(missing)}.",
        "Such as: --set model=NAME --set base_url=http://localhost:8000/v1. Keys stay in the environment.",
    )


def obstacle_of(spec: RunSpec, endpoint: Endpoint, expected: Estimate) -> EngineError | None:
    """Return why a run may not start: no key, a budget without prices, or one that is too small."""
    budget = spec.parameters["budget"]
    try:
        required_key(endpoint)
    except EngineError as error:
        return error
    if budget is None:
        return None
    if expected.cost is None:
        return EngineError(
            "A budget cannot be kept where prices are not known.",
            "Give price_in and price_out for a million tokens each, or no budget.",
        )
    if expected.cost > budget:
        return EngineError(
            f"The estimate of {money(expected.cost)} exceeds the budget of {money(budget)}.",
            "Raise the budget, or ask less: personas, examples_per_persona, splits or max_output_tokens.",
        )
    return None


def endpoint_of(spec: RunSpec) -> Endpoint:
    """Return whom a run asks, and how."""
    parameters = spec.parameters
    return Endpoint(
        parameters["provider"],
        parameters["model"],
        parameters["base_url"],
        parameters["temperature"],
        paid.longest_reply(parameters, spec.protocol),
    )


def prices_of(parameters: Mapping[str, Any]) -> Prices:
    """Return the prices that a run was given."""
    return Prices(parameters["price_in"], parameters["price_out"])


def personas_asked(ws: Workspace, spec: RunSpec) -> frozenset[str]:
    """Return for whom a run asks: all, or a seeded subset for a pilot; with the profile, who has one."""
    dataset = load_dataset(ws)
    ids = {dialogue.persona_id for dialogue in dataset.dialogues}
    if spec.parameters["profile"]:
        described = {one.persona_id for one in dataset.personas if one.character}
        ids &= described
    return frozenset(subset_of(ids, spec.parameters["personas"], seed=spec.seed))


def examples_asked(ws: Workspace, spec: RunSpec) -> list[Example]:
    """Return all examples of a run, those of each split in order."""
    dataset, splits, personas = load_dataset(ws), load_splits(ws), personas_asked(ws, spec)
    return [
        example
        for split in spec.protocol["splits"]
        for example in choose_examples(
            examples(dataset, splits, split), spec.protocol["examples_per_persona"]
        )
        if example.persona_id in personas
    ]


def prompt_tokens(ws: Workspace, asked: Sequence[Example], *, profile: bool, memories: int) -> list[int]:
    """Return about how many tokens each example's prompt has; memories count with their mean length."""
    characters = characters_of(ws) if profile else {}
    remembered = _memory_characters(ws, memories) if memories else {}
    domain = domain_of(ws)
    return [
        tokens_about(
            tell(domain, example, characters.get(example.persona_id)).characters
            + remembered.get(example.persona_id, 0)
        )
        for example in asked
    ]


def _memory_characters(ws: Workspace, k: int) -> dict[str, int]:
    """Return persona -> the characters of k of her memories, at their mean length."""
    lengths: dict[str, list[int]] = {}
    for one in examples(load_dataset(ws), load_splits(ws), "train"):
        length = len(one.context[-1].text) + len(one.reference) + _SYSTEM_LINE
        lengths.setdefault(one.persona_id, []).append(length)
    return {persona: round(min(k, len(found)) * statistics.mean(found)) for persona, found in lengths.items()}


def _sent(parameters: Mapping[str, Any]) -> str:
    """What leaves this machine, in words."""
    sent = ["the dialogues of the examples"]
    sent += ["each persona's character text"] if parameters["profile"] else []
    sent += ["interactions from her history"] if parameters["memories"] else []
    return listed(sent)
