"""How far the results can be trusted: what was planned, over what a gain stands, and where. Writes no
file."""

from collections.abc import Iterator

from engine.core.wording import count, p_value
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results.comparing import frozen, leakage, looks, row_role
from engine.results.comparing import unseen as unseen_table
from engine.results.comparing.freezing import Planned, outcomes
from engine.results.comparing.frozen import Frozen
from engine.results.comparing.pairings import compare_within
from engine.show.report.blocks import Block, Bullets, Section, Table, Text
from engine.show.report.gathering import Compared, Gathered
from engine.show.report.results import leaderboard_of
from engine.show.row_words import gain_words

_OVER = ("over {reference}", "over step-matched unified", "over its placebo")


def plan_section(gathered: Gathered) -> Section | None:
    """What was planned before test was looked at, as it came out, and what came later; None off test."""
    main = gathered.main
    if main is None or main.split != "test" or main.imported:
        return None
    at = looks.at(main.found)
    plans = frozen.plans(gathered.ws, at)
    blocks: list[Block] = []
    if not plans:
        blocks.append(
            Text(
                "Nothing was frozen before test was looked at: of the verdicts on test only the one on what"
                " val chose stood beforehand. To write a plan down: python -m engine freeze"
            )
        )
    for plan in plans:
        blocks += _planned(plan, outcomes(gathered.ws, plan))
    later = frozen.later(looks.seen(gathered.ws, at), plans)
    if plans and later:
        named = sorted({f"{one.variant} in {METRICS[one.metric].named}" for one in later if one.metric})
        blocks.append(Text("Came later, in no plan, so to be confirmed on new data:"))
        blocks.append(Bullets(tuple(named)))
    return Section("Plan", tuple(blocks))


def _planned(plan: Frozen, found: list[Planned]) -> Iterator[Block]:
    seen = f"after {count(plan.looks, 'other look')} at test" if plan.looks else "before any look at test"
    yield Text(
        f"Frozen on {plan.at[:10]} as {plan.hash}, {seen}: {count(len(plan.variants), 'variant')} against"
        f" {plan.reference}; {METRICS[plan.primary].named} decides."
        f" {plan.tests['test'].capitalize()}; p below {plan.tests['alpha']:g} after Holm's correction over"
        " the plan."
    )
    if not plan.is_whole:
        yield Text("This plan was changed after it was frozen: its hash does not fit what it says.", "note")
    numbers = ("difference", "p (plan)")
    rows = tuple(_outcome(one, plan) for one in found)
    columns = ("variant", "metric", "role", "difference", "95 % interval", "p (plan)", "verdict")
    yield Table("What was planned, as it came out.", columns, rows, frozenset(numbers))


def _outcome(one: Planned, plan: Frozen) -> tuple[str, ...]:
    role = "primary" if one.metric == plan.primary else "further"
    first = (one.variant, METRICS[one.metric].label, role)
    if one.row is None or one.row["delta"] is None:
        return (*first, "not scored", "", "", "")
    metric, low, high = METRICS[one.metric], one.row["ci_low"], one.row["ci_high"]
    spread = "" if low is None or high is None else metric.spread(low, high)
    return (*first, metric.change(one.row["delta"]), spread, p_value(one.p), one.verdict)


def controls_section(compared: Compared) -> Section | None:
    """Three gains side by side: over the reference, over as many steps for everybody, over the placebo."""
    rows = [row for row in compared.rows if row.get("above_placebo") or row.get("above_matched")]
    if not rows:
        return None
    columns = tuple(one.format(reference=compared.reference) for one in _OVER)
    table = Table(
        f"{_gains(compared.metric)} on {compared.split}, with 95 % intervals.",
        ("variant", *columns),
        tuple(
            (
                row["variant"],
                *(
                    gain_words(one, compared.metric)
                    for one in (row, row.get("above_matched"), row.get("above_placebo"))
                ),
            )
            for row in rows
        ),
    )
    why = (
        "The gain over a unified trained for as many steps is what training alone does not explain. The"
        " placebo is the same recipe with another persona's adapter or memories: the gain over it counts the"
        " harm of the wrong persona too, so it is not how much is personal."
    )
    return Section("Over what the gain stands", (Text(why), table))


def _gains(metric: Metric) -> str:
    """What a table of differences holds: "Gains, in points"."""
    held = "Differences (lower is better)" if metric.sign < 0 else "Gains"
    return f"{held}, {metric.scale_words}"


def memory_section(gathered: Gathered, compared: Compared) -> Section | None:
    """Gains on replies that can be repeated from memory and elsewhere, and by turn; None without
    dialogues."""
    if compared.imported or not compared.contenders:
        return None
    names, metric = [row["variant"] for row in compared.contenders], compared.metric
    found = leakage.audit(gathered.ws, compared.found, names)
    if found is None or not found.parts:
        return None
    rows = tuple(
        (name, *(cell for part in parts for cell in _part(part, metric)))
        for name, parts in found.parts.items()
    )
    columns = ("variant", "word for word", "examples", "elsewhere", "examples ")
    first = next(iter(found.turns))
    turns = tuple((part.name, *_part(part, metric)) for part in found.turns[first])
    return Section(
        "Where the gain stands",
        (
            Text(
                f"{found.words} A variant that remembers can repeat those; what it gains elsewhere is more."
            ),
            Table(
                f"{_gains(metric)}, to what each is compared with, with 95 % intervals.",
                columns,
                rows,
                frozenset({"examples", "examples "}),
            ),
            Table(
                f"{_gains(metric)}, of {first} by the reply's place in its dialogue.",
                ("turn", "gain", "examples"),
                turns,
                frozenset({"examples"}),
            ),
        ),
    )


def _part(part: leakage.Gain, metric: Metric) -> tuple[str, str]:
    if part.delta is None:
        return "none", str(part.n_examples)
    spread = "" if part.ci_low is None else f" ({metric.spread(part.ci_low, part.ci_high)})"
    return f"{metric.change(part.delta)}{spread}", str(part.n_examples)


def strangers_section(gathered: Gathered, compared: Compared) -> Section | None:
    """Whom the results speak of, with the table of those kept out of training; where some have nothing to
    train on, a table of each group."""
    table = compared.found["unseen"]
    if table is not None:
        return Section(
            "Of whom this speaks",
            (Text(unseen_table.words(gathered.ws, compared.found)), leaderboard_of(table)),
        )
    if compared.imported or not compared.contenders:
        return None
    seen, unseen = leakage.strangers(gathered.ws, compared.split)
    if not unseen:
        told = (
            f"{unseen_table.SEEN_ONLY} Each has dialogues to train on: nothing here says how a new one fares."
        )
        return Section("Of whom this speaks", (Text(told),))
    if not seen:
        return Section("Of whom this speaks", (Text(unseen_table.UNSEEN_ONLY),))
    blocks: list[Block] = [
        Text(
            f"{count(len(seen), 'persona')} have dialogues to train on, {len(unseen)} are unseen. A reading"
            " of each group; the verdict is over all."
        )
    ]
    for name, group in (("Seen personas", seen), ("Unseen personas", unseen)):
        table = compare_within(gathered.ws, compared.found, group)
        rows = tuple(
            (row["variant"], gain_words(row, compared.metric), str(row["n_paired"]), row["verdict"])
            for row in table["rows"]
            if not row_role.is_reference(row)
        )
        columns = ("variant", f"gain over {compared.reference}", "personas", "verdict")
        blocks.append(Table(f"{name}, on {compared.split}.", columns, rows, frozenset({"personas"})))
    return Section("Of whom this speaks", tuple(blocks))
