"""The results of a report: verdict, leaderboard, win and loss, and what the models said. Writes no file."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from engine.core.types import Dialogue, Row
from engine.core.wording import count, outcomes, percent
from engine.data import load_dataset
from engine.data.splits import UNSEEN
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results import store
from engine.results.comparing import row_role
from engine.results.comparing.pairings import pairings
from engine.show.charts.intervals import interval_chart
from engine.show.charts.personas import persona_chart, table_of
from engine.show.report.blocks import Block, Bullets, Exchange, Figure, Said, Section, Table, Text
from engine.show.report.gathering import Compared, Gathered
from engine.show.row_words import COUNTED, row_words
from engine.stats.co_primary import beside_words
from engine.stats.levels import LOST
from engine.stats.verdicts import improved

_WIN_LOSS_FIGURES = 3
_LONGEST_TEXT = 700


def verdict_section(gathered: Gathered) -> Section:
    """Answer the question in a sentence or two, from the protocol that comes first."""
    main = gathered.main
    if main is None:
        return Section("Answer", (Text("Nothing is scored yet, so there is no answer.", "lead"),))
    blocks: list[Block] = [Text(main.headline.answer(competing=bool(main.contenders)), "lead")]
    if main.contenders and (highest := main.headline.highest_words):
        blocks.append(Text(highest))
    if (tested := main.headline.tested) is not None:
        blocks.append(Text(_for_whom(main, tested)))
        if second := tested.get("co_primary"):
            blocks.append(Text(f"Beside it, {tested['variant']}: {beside_words(second)}."))
    blocks += [Text(_bound(main, row)) for row in main.bounds if row["delta"] is not None]
    return Section("Answer", tuple(blocks))


def _for_whom(main: Compared, row: Row) -> str:
    told = outcomes(row["wins"], row["ties"], row["losses"])
    lost = f"; {count(row['catastrophic'], 'persona')} {LOST}" if main.metric.in_points else ""
    whom = f"Of {count(row['n_paired'], 'persona')} under {row['variant']}"
    return f"{whom}, {told} than under {row['reference']}{lost}."


def _bound(main: Compared, row: Row) -> str:
    unit = main.metric.unit_words
    where = f"{main.metric.change(row['delta'])}{unit} against {row['reference']}"
    if row["role"] == row_role.YARDSTICK:
        return f"{row['variant']} lies at {where}: what is known without knowing the persona, no bound."
    return f"{row['variant']} lies at {where}: a bound, which no variant competes with."


def leaderboard_section(gathered: Gathered, compared: Compared) -> Section:
    """The table of one protocol, what to know before believing it, its intervals and further metrics."""
    blocks: list[Block] = []
    warnings = tuple(compared.found["warnings"])
    if warnings:
        blocks.append(Text("These scores were not all made alike:", "note"))
        blocks.append(Bullets(warnings))
    blocks.append(leaderboard_of(compared.found))
    if apart := tuple(f"{row['variant']}: {row['settings']}" for row in compared.rows if row["settings"]):
        blocks += [Text("Variants of one name, and what they were made with:", "note"), Bullets(apart)]
    if any(row["delta"] is not None and row["variant"] != compared.reference for row in compared.rows):
        blocks.append(_intervals(compared))
    if second := tuple(
        f"{row['variant']}: {beside_words(row['co_primary'])}"
        for row in compared.rows
        if row.get("co_primary") and not row_role.is_reference(row)
    ):
        blocks += [Text("Better needs this not to be worse as well:", "note"), Bullets(second)]
    if compared.others:
        blocks.append(_further(compared))
    return Section(_titled("Leaderboard", gathered, compared), tuple(blocks))


def _titled(title: str, gathered: Gathered, compared: Compared) -> str:
    if len(gathered.compared) == 1:
        return title
    kind = "imported" if compared.imported else "protocol"
    return f"{title}, {kind} {compared.protocol}"


def leaderboard_of(found: Mapping[str, Any]) -> Table:
    """Return a comparison as a table, the reference first."""
    columns = ("variant", "mean", "difference", "95 % interval", "verdict", *COUNTED, "improved")
    where = "unseen personas" if found["split"] == UNSEEN else found["split"]
    metric = METRICS[found["metric"]]
    return Table(
        f"{metric.label} on {where}, {metric.scale_words}, against {found['reference']}.",
        columns,
        tuple(tuple(row_words(row, metric, improved=percent(improved(row)))) for row in found["rows"]),
        frozenset({"mean", "difference", *COUNTED, "improved"}),
    )


def _intervals(compared: Compared) -> Figure:
    rows, metric = compared.rows, compared.metric
    told = "; ".join(
        f"{row['variant']} {metric.change(row['delta'])} ({metric.spread(row['ci_low'], row['ci_high'])})"
        for row in rows
        if row["variant"] != compared.reference and row["delta"] is not None
    )
    diamonds = " Diamonds are bounds and yardsticks." if compared.bounds else ""
    return Figure(
        f"intervals-{compared.protocol}",
        f"Difference of each variant to {compared.reference}, with 95 % intervals over personas."
        f" Blue is better, orange worse, grey not clear.{diamonds}",
        f"Differences to {compared.reference}: {told}.",
        interval_chart(
            rows, reference=compared.reference, metric=metric, noise_floor=compared.found["noise"]["floor"]
        ),
    )


def _further(compared: Compared) -> Table:
    shown = list(compared.others)
    by_metric = {name: {row["variant"]: row for row in compared.others[name]["rows"]} for name in shown}
    rows = []
    for row in compared.rows:
        cells = [_level(by_metric[name].get(row["variant"]), METRICS[name]) for name in shown]
        rows.append((row["variant"], *cells))
    labels = tuple(METRICS[name].label for name in shown)
    return Table(
        f"Further metrics on {compared.split}: the mean, and in brackets the difference to"
        f" {compared.reference} on the examples where both are defined.",
        ("variant", *labels),
        tuple(rows),
        frozenset(labels),
    )


def _level(row: Row | None, metric: Metric) -> str:
    if row is None or row["mean"] is None:
        return "undefined"
    level = metric.level(row["mean"])
    return level if row_role.is_reference(row) else f"{level} ({metric.change(row['delta'])})"


def win_loss_section(gathered: Gathered, compared: Compared) -> Section | None:
    """One figure a variant, the best ones: who gains and who loses. None without a contender."""
    if not compared.contenders:
        return None
    shown = compared.contenders[:_WIN_LOSS_FIGURES]
    paired = pairings(gathered.ws, compared.found, variants=[row["variant"] for row in shown])
    blocks: list[Block] = [Text("One bar a persona, from the largest gain to the largest loss.")]
    for place, row in enumerate(shown, 1):
        personas = table_of(paired[row["variant"]], metric=compared.metric)
        blocks.append(_win_loss(compared, personas, row, place))
    rest = [row["variant"] for row in compared.contenders[_WIN_LOSS_FIGURES:]]
    if rest:
        blocks.append(Text(f"Not drawn: {', '.join(rest)}."))
    return Section(_titled("Who wins, who loses", gathered, compared), tuple(blocks))


def _win_loss(compared: Compared, personas: pd.DataFrame, row: Row, place: int) -> Figure:
    candidate, reference, metric = row["variant"], row["reference"], compared.metric
    told = outcomes(row["wins"], row["ties"], row["losses"])
    return Figure(
        f"personas-{compared.protocol}-{place}",
        f"{candidate} against {reference}: {told}. Mean {metric.change(row['delta'])}"
        f"{metric.unit_words} ({metric.spread(row['ci_low'], row['ci_high'])}).",
        f"Each persona's difference between {candidate} and {reference}: {told}.",
        persona_chart(personas, candidate=candidate, reference=reference, metric=metric),
    )


def examples_section(gathered: Gathered) -> Section | None:
    """Before and after: the personas with the largest gain and loss, with what was really said.

    None where nobody competes, or where no replies are kept (published scores).
    """
    for compared in gathered.compared:
        if compared.contenders and not compared.imported:
            found = tuple(_exchanges(gathered, compared))
            names = f"{compared.contenders[0]['reference']} and {compared.contenders[0]['variant']}"
            about = f"What {names} said where the difference is largest, with its {compared.metric.named}."
            if found:
                return Section("Before and after", (Text(about), *found))
    return None


def _exchanges(gathered: Gathered, compared: Compared) -> Iterator[Block]:
    row = compared.contenders[0]
    candidate, metric = row["variant"], compared.metric
    paired = pairings(gathered.ws, compared.found, variants=[candidate])
    table = table_of(paired[candidate], metric=metric)
    if table.empty:
        return
    dataset = load_dataset(gathered.ws)
    dialogues = {one.dialogue_id: one for one in dataset.dialogues}
    called = {one.persona_id: one.called for one in dataset.personas}
    chosen = {"Largest gain": table.iloc[0], "Largest loss": table.iloc[-1]}
    for title, one in chosen.items():
        is_gain = title == "Largest gain"
        if (metric.sign * one["difference"] > 0) != is_gain or one["difference"] == 0:
            continue
        persona = str(one["persona_id"])
        unit = metric.unit_words
        heading = f"{title}: {called.get(persona, persona)}, {metric.change(one['difference'])}{unit}"
        found = _exchange(gathered, compared, heading, persona, row, dialogues, is_gain)
        if found is not None:
            yield found


def _exchange(
    gathered: Gathered,
    compared: Compared,
    heading: str,
    persona_id: str,
    row: Row,
    dialogues: Mapping[str, Dialogue],
    is_gain: bool,
) -> Exchange | None:
    """The example of a persona that says most in the direction of her mean."""
    candidate, reference, metric = row["variant"], row["reference"], compared.metric
    rows = store.example_rows(
        gathered.ws, persona_id=persona_id, split=compared.split, protocol=compared.protocol
    )
    said = {name: rows[rows["variant"] == name].set_index("example_id") for name in (reference, candidate)}
    values = [said[name][metric.name] for name in (candidate, reference)]
    difference = metric.sign * (values[0] - values[1]).dropna()
    if difference.empty:
        return None
    ordered = difference.sort_index().sort_values(ascending=not is_gain, kind="stable")
    example_id = ordered.index[0]
    own = said[candidate].loc[example_id]
    dialogue = dialogues.get(own["dialogue_id"])
    asked = dialogue.messages[int(own["turn"]) - 1].text if dialogue else "(not in the dataset)"
    replies = [Said("Right reply", _cut(own["reference"]))]
    replies += [_said(name, said[name].loc[example_id], metric) for name in said]
    return Exchange(heading, _cut(asked), tuple(replies))


def _said(name: str, row: Any, metric: Metric) -> Said:
    return Said(name, _cut(row["reply"]) or "(an empty reply)", metric.level(row[metric.name]))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} ..."
