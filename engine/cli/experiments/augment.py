"""The commands about augmentation: augment preview. Thin: options in, a few pairs out."""

from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, out
from engine.core.errors import unknown_name
from engine.data.augment.growing import Growing
from engine.data.augment.methods import ALL_RULES
from engine.data.augment.preview import Preview, preview
from engine.data.augment.records import Attempt
from engine.domains.registry import domain_of


@click.group("augment")
def augment() -> None:
    """More training dialogues from those that are there."""


@command(
    "preview",
    examples=(
        "augment preview --persona p001",
        "augment preview --persona p001 --methods paraphrase,synonyms --count 5 --no-scorer",
    ),
)
@click.option("--persona", "persona_id", required=True, help="Whose train dialogues.")
@click.option("--count", type=click.IntRange(1, 1000), default=4, show_default=True, help="How many to make.")
@click.option(
    "--methods",
    default=ALL_RULES,
    show_default=True,
    help="Rules, separated by commas; rules stands for all.",
)
@click.option("--threshold", type=click.FloatRange(-1, 1), help="Least likeness of a changed message.")
@click.option("--no-scorer", is_flag=True, help="Do not judge likeness: no model is loaded.")
def preview_command(
    call: Call, *, persona_id: str, count: int, methods: str, threshold: float | None, no_scorer: bool
) -> int:
    """Show what augmentation by rules makes of a persona's dialogues, and what it refuses. Runs nothing."""
    names = [name.strip() for name in methods.split(",") if name.strip()]
    rules = domain_of(call.ws).augmenting.rules
    for name in names:
        if name not in (ALL_RULES, *rules):
            raise unknown_name("rule", name, rules)
    growing = Growing(seed=int(call.ws.read_config()["seed"]))
    if threshold is not None:
        growing = Growing(seed=growing.seed, threshold=threshold)
    nearness = None
    if not no_scorer:
        from engine.lm.scorer import Scorer  # loads the model code, so it comes after every other check

        nearness = Scorer(call.ws).nearness
    found = preview(call.ws, persona_id, count, methods=names, growing=growing, nearness=nearness)
    return call.answer(_record(found), lambda: _show(found))


def _record(found: Preview) -> dict[str, Any]:
    return {
        "persona_id": found.persona_id,
        "sources": found.sources,
        "pairs": [_one(pair) for pair in found.pairs],
        "rejected": found.rejected,
        "refused": [_one(one) | {"reason": one.reason} for one in found.refused],
    }


def _one(pair: Attempt) -> dict[str, Any]:
    named = {"source_id": pair.source.dialogue_id, "method": pair.method, "nearness": pair.nearness}
    return {**named, "changes": [asdict(change) for change in pair.changes]}


def _show(found: Preview) -> None:
    out().print(Text(f"{found.persona_id}: {len(found.pairs)} made of {found.sources} train dialogues"))
    for pair in found.pairs:
        _show_one(pair, pair.method)
    reasons = ", ".join(f"{why} {number}" for why, number in found.rejected.items())
    out().print(Text(f"\nRejected: {reasons or 'none'}", style="bold"))
    for one in found.refused[:3]:
        _show_one(one, f"{one.method}, {one.reason}")


def _show_one(pair: Attempt, named: str) -> None:
    near = f", likeness {pair.nearness:.2f}" if pair.nearness is not None else ""
    out().print(Text(f"\n{pair.source.dialogue_id} ({named}{near})", style="bold"))
    for change in pair.changes:
        out().print(Text(f"  {change.where}"))
        out().print(Text(f"    - {change.before or '(unknown)'}", style="red"))
        out().print(Text(f"    + {change.after or '(unknown)'}", style="green"))


augment.add_command(preview_command)
