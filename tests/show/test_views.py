"""Charts and tables of a dataset: what they hold."""

from __future__ import annotations

from engine.domains.metrics import METRICS
from engine.show.charts import shares as views
from engine.show.for_whom import single


def test_a_chance_is_never_told_as_certain() -> None:
    told = {
        chance: single(METRICS["embedding_similarity"], 0.05, 0.01, 0.09, chance)
        for chance in (0.0, 0.92, 1.0)
    }
    assert told[0.92].endswith(", a gain with a chance of 92 %")
    assert told[0.0].endswith("under 1 %")
    assert told[1.0].endswith("over 99 %")


def test_shares_are_percent_and_sorted() -> None:
    spec = views.share_chart({"tv": 0.1, "ac": 0.25, "none": None}, title="Share").to_dict()
    (held,) = spec["datasets"].values()
    assert [(row["name"], row["words"]) for row in held] == [("ac", "25 %"), ("tv", "10 %")]


def test_lengths_leave_out_what_was_not_measured() -> None:
    table = views.lengths_table(
        {"Words": {"mean": 12.3, "p10": 4.0, "p50": 11.0, "p90": 20.0}, "Nothing": None}
    )
    assert list(table["what"]) == ["Words"]
    assert table.loc[0, "middle"] == "4 to 20"
