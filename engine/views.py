"""Charts and table records made from data, for pages and reports. Owns how results look; reads nothing.

No colour is fixed here: charts name words of `PALETTE`, and the app's theme gives each word its colour, in
light and dark. Blue is better, orange is worse, grey is neither; each also has a sign or a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import altair as alt
import pandas as pd

from engine.stats.pairing import pair
from engine.stats.verdicts import BETTER, EQUAL, UNCLEAR, WORSE, outcome, verdict
from engine.wording import interval, p_value, percent, points, signed_points

# Order matters: the theme's categorical colours are given out in this order.
PALETTE: Final = (BETTER, WORSE, EQUAL, "training", "validation", "amount")
CHOSEN: Final = "chosen"
_GRID: Final = "#8a949a"
_CEILING: Final = "ceiling"
_REPEATED: Final = {"repeat": "another seed", "other protocol": "other protocol"}
_CATASTROPHE: Final = -10.0  # points

Row = Mapping[str, Any]


def scale() -> alt.Scale:
    """Return the one colour scale of all charts."""
    return alt.Scale(domain=list(PALETTE))


def leaderboard(
    rows: Sequence[Row],
    *,
    reference: str,
    higher_is_better: bool | None = True,
    in_points: bool = True,
) -> pd.DataFrame:
    """Return the table of variants in the order of `rows`.

    Columns: variant, role, mean and delta (points; plain numbers when not `in_points`), interval, verdict,
    p, wins, ties, losses, improved (percent), lost (personas), n_paired.
    """
    factor = 100.0 if in_points else 1.0
    records = [_leaderboard_row(row, reference, factor, higher_is_better) for row in rows]
    return pd.DataFrame(records, columns=list(_LEADERBOARD))


_LEADERBOARD = (
    *("variant", "role", "mean", "delta", "interval", "verdict", "p"),
    *("wins", "ties", "losses", "improved", "lost", "n_paired"),
)


def _leaderboard_row(
    row: Row, reference: str, factor: float, higher_is_better: bool | None
) -> dict[str, Any]:
    is_reference = row["variant"] == reference
    role = (
        "reference" if is_reference else "bound" if is_bound(row) else _REPEATED.get(str(row.get("role")), "")
    )
    share = row["share_improved"]
    blank = dict.fromkeys(("delta", "wins", "ties", "losses", "improved", "lost"))
    told: dict[str, Any] = {
        "delta": _scaled(row["delta"], factor),
        "interval": interval(*_on_scale(row, factor)),
        "verdict": role or verdict(row, higher_is_better=higher_is_better),
        "p": p_value(row["p_holm"]),
        "wins": row["wins"],
        "ties": row["ties"],
        "losses": row["losses"],
        "improved": None if share is None else 100 * share,
        "lost": row["catastrophic"],
    }
    if is_reference:
        told = {**blank, "interval": "", "verdict": "reference", "p": ""}
    return {
        "variant": row["variant"],
        "role": role,
        "mean": _scaled(row["mean"], factor),
        "n_paired": row["n_paired"],
        **told,
    }


def _on_scale(row: Row, factor: float) -> tuple[float | None, float | None]:
    """The interval, so that wording it in points shows it on the table's own scale."""
    return _scaled(row["ci_low"], factor / 100), _scaled(row["ci_high"], factor / 100)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def is_bound(row: Row) -> bool:
    """Say whether a row is a bound (a ceiling): never a contender, never a reference to beat."""
    return bool(row["family"] == _CEILING)


def best(rows: Sequence[Row], *, reference: str, higher_is_better: bool | None = True) -> Row | None:
    """Return the row of the best variant that competes: not the reference, no bound, no repeat of another."""
    contenders = [row for row in rows if row["variant"] != reference and not is_bound(row)]
    contenders = [row for row in contenders if row.get("role", "") == ""]
    contenders = [row for row in contenders if row["delta"] is not None]
    sign = -1.0 if higher_is_better is False else 1.0
    return max(contenders, key=lambda row: sign * row["delta"], default=None)


def interval_chart(
    rows: Sequence[Row],
    *,
    reference: str,
    higher_is_better: bool | None = True,
    in_points: bool = True,
    noise_floor: float | None = None,
) -> alt.LayerChart | alt.FacetChart:
    """Return the differences to the reference with their intervals, one line a variant, in the rows' order.

    A click on a variant selects it (parameter `chosen`, field `variant`). Bounds are diamonds. Differences
    within `noise_floor` (a fraction) of 0 lie in a grey band.
    """
    factor = 100.0 if in_points else 1.0
    frame = pd.DataFrame(
        {
            "variant": row["variant"],
            "difference": factor * row["delta"],
            "low": factor * (row["ci_low"] if row["ci_low"] is not None else row["delta"]),
            "high": factor * (row["ci_high"] if row["ci_high"] is not None else row["delta"]),
            "verdict": _colour_of(row, higher_is_better=higher_is_better),
            "kind": "bound" if is_bound(row) else "variant",
            "words": signed_points(row["delta"] * factor / 100),
            "interval": interval(*_on_scale(row, factor)),
            "personas": row["n_paired"],
        }
        for row in rows
        if row["variant"] != reference and row["delta"] is not None
    )
    order = list(frame["variant"]) if len(frame) else []
    unit = "points" if in_points else "in the metric's unit"
    y = alt.Y("variant:N", sort=order, title=None, axis=alt.Axis(labelLimit=190, domain=False, ticks=False))
    x_title = f"Difference to {reference}, {unit}"
    colour = alt.Color("verdict:N", scale=scale(), legend=None)
    tooltip = [
        alt.Tooltip("variant:N", title="Variant"),
        alt.Tooltip("words:N", title="Difference"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("personas:Q", title="Personas"),
    ]
    base = alt.Chart(frame).encode(y=y)
    zero = (
        alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=_GRID, strokeDash=[3, 3]).encode(x="zero:Q")
    )
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=x_title, axis=alt.Axis(tickCount=7)),
        x2="high:Q",
        color=colour,
        tooltip=tooltip,
    )
    dots = base.mark_point(size=90, filled=True, opacity=1).encode(
        x="difference:Q",
        color=colour,
        shape=alt.Shape(
            "kind:N",
            scale=alt.Scale(domain=["variant", "bound"], range=["circle", "diamond"]),
            legend=None,
        ),
        tooltip=tooltip,
    )
    dots = dots.add_params(alt.selection_point(name=CHOSEN, fields=["variant"], on="click", empty=False))
    labels = base.mark_text(dy=-11, fontSize=11).encode(x="difference:Q", text="words:N", color=colour)
    height = 34 * max(2, len(frame)) + 40
    bands = [] if noise_floor is None else [_noise_band(factor * noise_floor)]
    return alt.layer(*bands, zero, lines, dots, labels).properties(height=height)


def _noise_band(half: float) -> alt.Chart:
    edges = pd.DataFrame({"from": [-half], "to": [half]})
    return alt.Chart(edges).mark_rect(color=_GRID, opacity=0.18).encode(x="from:Q", x2="to:Q")


def _colour_of(row: Row, *, higher_is_better: bool | None) -> str:
    word = verdict(row, higher_is_better=higher_is_better)
    return EQUAL if word == UNCLEAR or row.get("role") in _REPEATED else word


def persona_table(
    scores: pd.DataFrame, *, candidate: str, reference: str, higher_is_better: bool | None = True
) -> pd.DataFrame:
    """Return one row a persona, over the examples that both variants have a value for; best first.

    `scores` holds variant, persona_id, example_id, value. Columns: persona_id, candidate, reference,
    difference (all fractions), outcome, rank (from 1).
    """
    found = pair(_pairable(scores, candidate), _pairable(scores, reference))
    frame = pd.DataFrame(
        {
            "persona_id": list(found.personas),
            "candidate": found.candidate,
            "reference": found.reference,
            "difference": found.differences,
        }
    )
    frame["outcome"] = [outcome(value, higher_is_better=higher_is_better) for value in frame["difference"]]
    frame = frame.sort_values(
        ["difference", "persona_id"], ascending=[higher_is_better is False, True], ignore_index=True
    )
    frame["rank"] = range(1, len(frame) + 1)
    return frame


def _pairable(scores: pd.DataFrame, variant: str) -> list[tuple[str, str, float | None]]:
    rows = scores[scores["variant"] == variant]
    return [
        (example_id, persona_id, None if pd.isna(value) else float(value))
        for example_id, persona_id, value in zip(
            rows["example_id"], rows["persona_id"], rows["value"], strict=True
        )
    ]


def persona_chart(
    table: pd.DataFrame, *, candidate: str, reference: str, in_points: bool = True, chosen: str | None = None
) -> alt.LayerChart | alt.FacetChart:
    """Return one bar a persona, sorted from the largest gain to the largest loss.

    A click on a bar selects its persona (parameter `chosen`, field `persona_id`); `chosen` is drawn full
    while the others step back.
    """
    factor = 100.0 if in_points else 1.0
    frame = table.assign(
        difference=factor * table["difference"],
        words=[signed_points(value * factor / 100) for value in table["difference"]],
        candidate_words=[points(value * factor / 100) for value in table["candidate"]],
        reference_words=[points(value * factor / 100) for value in table["reference"]],
        opacity=[1.0 if chosen in (None, persona) else 0.45 for persona in table["persona_id"]],
    )
    few = len(frame) <= 40
    axis = alt.Axis(
        labels=few, ticks=False, domain=False, labelAngle=-90, labelOverlap=True, labelLimit=90, grid=False
    )
    words = [BETTER, WORSE, *([EQUAL] if (frame["outcome"] == EQUAL).any() else [])]
    bars = (
        alt.Chart(frame)
        .mark_bar(cornerRadiusEnd=2, cursor="pointer", minBandSize=2)
        .encode(
            x=alt.X("persona_id:N", sort=list(frame["persona_id"]), title=None, axis=axis),
            y=alt.Y("difference:Q", title="Difference, points" if in_points else "Difference"),
            color=alt.Color(
                "outcome:N",
                scale=scale(),
                legend=alt.Legend(
                    values=words, orient="top", title=None, symbolType="square", symbolOpacity=1
                ),
            ),
            opacity=alt.Opacity("opacity:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("persona_id:N", title="Persona"),
                alt.Tooltip("words:N", title="Difference"),
                alt.Tooltip("outcome:N", title="Outcome"),
                alt.Tooltip("candidate_words:N", title=candidate),
                alt.Tooltip("reference_words:N", title=reference),
                alt.Tooltip("rank:Q", title="Rank"),
            ],
        )
        .add_params(alt.selection_point(name=CHOSEN, fields=["persona_id"], on="click", empty=False))
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=_GRID).encode(y="zero:Q")
    equal = bars.transform_filter(alt.datum.outcome == EQUAL).mark_point(
        shape="diamond", size=36, filled=True
    )
    lines = [zero]
    if in_points and len(frame) and frame["difference"].min() < _CATASTROPHE:
        far = pd.DataFrame({"far": [_CATASTROPHE], "words": ["10 points lost"]})
        rule = alt.Chart(far).mark_rule(color=_GRID, strokeDash=[4, 4])
        lines.append(rule.encode(y="far:Q", tooltip=alt.Tooltip("words:N", title="Line")))
    return alt.layer(bars, *lines, equal).properties(height=300)


def loss_table(events: Iterable[Row]) -> pd.DataFrame:
    """Return the loss events of a run as rows: step, epoch, split ("training", "validation"), loss_nats.

    A run that was killed repeats the steps after its checkpoint: the last value of a split and step counts.
    """
    words = {"train": "training", "val": "validation"}
    rows = {
        (event["split"], event["step"]): {
            "step": event["step"],
            "epoch": event.get("epoch"),
            "split": words.get(event["split"], event["split"]),
            "loss_nats": event["loss_nats"],
        }
        for event in events
        if event.get("kind") == "loss" and event.get("loss_nats") is not None
    }
    return pd.DataFrame(list(rows.values()), columns=["step", "epoch", "split", "loss_nats"])


def loss_chart(table: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Return the loss curve: a thin line for training, marked points for validation."""
    held = [word for word in ("training", "validation") if (table["split"] == word).any()]
    colour = alt.Color(
        "split:N",
        scale=scale(),
        legend=alt.Legend(values=held, orient="top", title=None, symbolType="stroke"),
    )
    tooltip = [
        alt.Tooltip("split:N", title="Loss in"),
        alt.Tooltip("step:Q", title="Step"),
        alt.Tooltip("epoch:Q", title="Epoch"),
        alt.Tooltip("loss_nats:Q", title="Nats a token", format=".3f"),
    ]
    base = alt.Chart(table).encode(
        x=alt.X("step:Q", title="Step", axis=alt.Axis(grid=False, tickMinStep=1, tickCount=8)),
        y=alt.Y("loss_nats:Q", title="Loss, nats a token", scale=alt.Scale(zero=False)),
        color=colour,
        tooltip=tooltip,
    )
    train = base.transform_filter("datum.split == 'training'").mark_line(strokeWidth=1.5)
    val = base.transform_filter("datum.split != 'training'").mark_line(
        strokeWidth=2, point=alt.OverlayMarkDef(size=60, filled=True)
    )
    return alt.layer(train, val).properties(height=260)


def share_chart(shares: Mapping[str, float | None], *, title: str) -> alt.LayerChart | alt.FacetChart:
    """Return one horizontal bar a name, in percent, with its number beside it."""
    frame = pd.DataFrame(
        [
            {"name": name, "percent": 100 * share, "words": percent(share), "kind": "amount"}
            for name, share in shares.items()
            if share is not None
        ],
        columns=["name", "percent", "words", "kind"],
    ).sort_values("percent", ascending=False)
    base = alt.Chart(frame).encode(
        y=alt.Y("name:N", sort=list(frame["name"]), title=None, axis=alt.Axis(domain=False, ticks=False)),
        x=alt.X("percent:Q", title=title, axis=alt.Axis(grid=False, tickCount=4)),
        tooltip=[alt.Tooltip("name:N", title="Named"), alt.Tooltip("words:N", title="Share")],
    )
    bars = base.mark_bar(height={"band": 0.55}, cornerRadiusEnd=2).encode(
        color=alt.Color("kind:N", scale=scale(), legend=None)
    )
    return alt.layer(
        bars,
        base.mark_text(align="left", dx=5).encode(
            text="words:N", color=alt.Color("kind:N", scale=scale(), legend=None)
        ),
    ).properties(height=32 * max(1, len(frame)) + 40)


Lengths = Literal["mean", "p10", "p50", "p90"]


def lengths_table(lengths: Mapping[str, Mapping[Lengths, float] | None]) -> pd.DataFrame:
    """Return one row a measured thing: what, median, the middle 80 %, mean."""
    return pd.DataFrame(
        [
            {
                "what": name,
                "median": values["p50"],
                "middle": f"{values['p10']:.0f} to {values['p90']:.0f}",
                "mean": values["mean"],
            }
            for name, values in lengths.items()
            if values is not None
        ],
        columns=["what", "median", "middle", "mean"],
    )
