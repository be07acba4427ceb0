"""Results as tables that other programs read: tidy CSV and Parquet, and LaTeX for a paper.

Owns their columns: one row a thing, numbers as numbers (metrics as they are computed, so fractions and not
points), and what the numbers hold under in columns of their own. Reads results; judges nothing.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final, Literal, get_args

import pandas as pd

from engine.core.paths import Workspace
from engine.core.plain import in_cell
from engine.core.wording import DASH, MINUS, p_value
from engine.domains import metrics
from engine.results import marks, votes
from engine.results.comparing.pairings import differences, pairings
from engine.results.marks import Mark
from engine.results.store import example_rows
from engine.runs import labels
from engine.runs.records import RunRecord, scan
from engine.show.run_words import title
from engine.stats.verdicts import verdict

Form = Literal["csv", "parquet", "tex"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
MIME: Final[Mapping[Form, str]] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "tex": "application/x-tex",
}
_COMPARED = (
    *("variant", "family", "run_id", "role", "mean", "mean_reference", "delta", "ci_low", "ci_high"),
    *(
        "ci_kind",
        "p_holm",
        "among_metrics",
        "verdict",
        "why",
        "n_paired",
        "n_examples",
        "wins",
        "ties",
        "losses",
        "catastrophic",
    ),
    *("share_improved", "share_low", "share_high", "true_share", "true_share_low", "true_share_high"),
    *("steps", "train_tokens"),
)
_SAID: Final = (
    *("variant", "persona_id", "dialogue_id", "turn", "example_id", "value", "reply", "right_reply"),
    *("prompt_tokens", "reply_tokens", "seconds"),
)
_TOLD_AS: Final = {"mean_reference": "reference_mean"}  # in rows of a comparison
Found = Mapping[str, Any]


def comparison_table(ws: Workspace, found: Found) -> pd.DataFrame:
    """Return one row a variant of a comparison (of `compare_variants`)."""
    metric = metrics.chosen(ws, found["metric"])
    rows = [
        {
            **{name: row.get(_TOLD_AS.get(name, name)) for name in _COMPARED},
            "verdict": row["verdict"] or verdict(row, higher_is_better=metric.higher_is_better),
            "compared_with": row.get("built_on") or found["reference"],
            "protocol": row["protocol"],
        }
        for row in found["rows"]
    ]
    return _held_under(ws, pd.DataFrame(rows), found)


def persona_table(ws: Workspace, found: Found) -> pd.DataFrame:
    """Return one row a variant and persona of a comparison: mean, mean_reference and delta."""
    values = {"candidate": "mean", "reference": "mean_reference", "difference": "delta"}
    table = differences(pairings(ws, found)).rename(columns=values)
    protocols = {row["variant"]: row["protocol"] for row in found["rows"]}
    return _held_under(ws, table.assign(protocol=table["variant"].map(protocols)), found)


def example_table(ws: Workspace, found: Found, variants: Sequence[str] | None = None) -> pd.DataFrame:
    """Return one row a variant and example of a comparison: its value, what was said and what was right.

    `variants` leaves out all others. Empty for scores that came without replies.
    """
    names = [row["variant"] for row in found["rows"] if variants is None or row["variant"] in variants]
    held = {"split": found["split"], "protocol": found["protocol"], "variants": names}
    rows = example_rows(ws, **held).rename(columns={found["metric"]: "value", "reference": "right_reply"})
    return _held_under(ws, rows[list(_SAID)].assign(protocol=found["protocol"]), found)


def run_table(ws: Workspace, records: Sequence[RunRecord] | None = None) -> pd.DataFrame:
    """Return one row a run: state, label, times, and its parameters, each in a column of its own."""
    told = labels.read(ws)
    rows = []
    for record in scan(ws) if records is None else records:
        spec, status, label = record.spec, record.status, told.get(record.run_id, labels.NONE)
        chosen = {**spec.parameters, **spec.protocol} if spec else {}
        rows.append(
            {
                "run_id": record.run_id,
                "experiment": record.experiment,
                "experiment_title": title(record, ws),
                "experiment_version": spec.version if spec else None,
                "state": record.state,
                "title": label.title,
                "tags": ", ".join(label.tags),
                "star": label.star,
                "note": label.note,
                "cloned_from": spec.cloned_from if spec else "",
                "seed": spec.seed if spec else None,
                "seconds": status.seconds,
                "estimate_seconds": spec.estimate_seconds if spec else None,
                "started_at": status.started_at,
                "ended_at": status.ended_at,
                **{f"parameter_{name}": _plain(value) for name, value in chosen.items()},
            }
        )
    return pd.DataFrame(rows)


def mark_table(ws: Workspace) -> pd.DataFrame:
    """Return one row a mark that stands: on which reply to which example, what people said of it, and the
    variants that said so then, between spaces."""
    rows = [{**asdict(mark), "variants": " ".join(mark.variants)} for mark in marks.read(ws).values()]
    return pd.DataFrame(rows, columns=[one.name for one in fields(Mark)])


def vote_table(ws: Workspace) -> pd.DataFrame:
    """Return one row a vote that stands: when, on what, who stood on which side, what was chosen."""
    rows = [
        {
            **{name: getattr(vote, name) for name in _OF_A_VOTE},
            "winner": vote.winner,
            **{f"{side}_variant": getattr(vote, side).variant for side in ("left", "right")},
            **{f"{side}_reply": getattr(vote, side).reply for side in ("left", "right")},
        }
        for vote in votes.read(ws)
    ]
    sides = ("left_variant", "right_variant", "left_reply", "right_reply")
    return pd.DataFrame(rows, columns=[*_OF_A_VOTE, "winner", *sides])


_OF_A_VOTE = (
    "vote_id",
    "at",
    "conversation_id",
    "question_id",
    "persona_id",
    "example_id",
    "message",
    "choice",
    "voter",
)


def written(table: pd.DataFrame, form: Form, *, paper: Callable[[], str] | None = None) -> bytes:
    """Return a table in one of the forms. `paper` makes the LaTeX, by default of all columns."""
    if form == "parquet":
        kept = io.BytesIO()
        table.to_parquet(kept, index=False)
        return kept.getvalue()
    if form == "csv":
        return table.map(in_cell).to_csv(index=False, lineterminator="\n").encode()
    return (paper() if paper is not None else latex(table)).encode()


def latex(table: pd.DataFrame, *, caption: str = "", columns: str = "") -> str:
    """Return a table as LaTeX with booktabs' rules; `columns` aligns them, by default numbers right."""
    aligned = ["r" if pd.api.types.is_numeric_dtype(table[name]) else "l" for name in table.columns]
    body = table.to_latex(
        index=False, escape=True, na_rep="--", column_format=columns or "".join(aligned),
        caption=_escaped(caption) or None, position="ht" if caption else None,
    )  # fmt: skip
    return "% \\usepackage{booktabs}\n" + body.replace(MINUS, "$-$").replace(DASH, "--")


def comparison_latex(ws: Workspace, found: Found) -> str:
    """Return the table of a comparison as a paper prints it: means, differences with intervals, verdicts."""
    metric = metrics.chosen(ws, found["metric"])
    rows = []
    for row in found["rows"]:
        is_reference = row["variant"] == found["reference"]
        rows.append(
            {
                "Variant": row["variant"],
                "Mean": metric.level(row["mean"]),
                "Difference": "" if is_reference else metric.change(row["delta"]),
                "95 % interval": "" if is_reference else metric.spread(row["ci_low"], row["ci_high"]),
                "p (Holm)": "" if is_reference else p_value(row["p_holm"]),
                "Better/equal/worse": "" if is_reference else f"{row['wins']}/{row['ties']}/{row['losses']}",
                "Verdict": "reference" if is_reference else row["verdict"],
            }
        )
    unit = ", in points" if metric.in_points else ""
    caption = f"{metric.label}{unit}, on {found['split']}, against {found['reference']}."
    caption += "".join(
        f" {row['variant']} against {row['built_on']}." for row in found["rows"] if row["built_on"]
    )
    if found["among_metrics"] > 1:
        caption += f" p answers for {found['among_metrics']} metrics."
    caption += f" Protocol {found['protocol']}."
    return latex(pd.DataFrame(rows), caption=caption, columns="lrrrrrl")


def _held_under(ws: Workspace, table: pd.DataFrame, found: Found) -> pd.DataFrame:
    """The table with what its numbers hold under."""
    metric = metrics.chosen(ws, found["metric"])
    told = {"metric": metric.name, "metric_version": metric.version, "unit": metric.unit}
    return table.assign(**told, split=found["split"], reference=found["reference"])


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "&%$#_{}" else sign for sign in text)
