"""Dates as people and programs write them, and ids that are numbered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.when import Days, days_of, numbered, read_time, written

MAY = datetime(2023, 5, 8, 13, 56, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "value",
    [
        "2023-05-08T13:56:00Z", "2023-05-08 13:56", "2023-05-08T15:56:00+02:00", "2023/05/08 13:56",
        "1:56 pm on 8 May, 2023", "May 8, 2023 13:56", "8 May 2023 13:56", "Mon, 08 May 2023 13:56:00 GMT",
        "Mon May 08 13:56:00 +0000 2023", "08.05.2023 13:56", int(MAY), MAY, str(int(MAY)), int(MAY * 1000),
        str(int(MAY * 10**6)), int(MAY * 10**9), {"$date": "2023-05-08T13:56:00Z"}, "20230508T135600",
        {"$date": {"$numberLong": str(int(MAY * 1000))}}, "2023-05-08 05:56:00 PST", "2023-05-08 15:56 CEST",
        "08-May-23 13:56", "2023年5月8日 13:56",
        "2023년 5월 8일 13:56", "2023-05-08T15:56+02:00[Europe/Paris]",
        "Montag, 8. Mai 2023, 13:56 Uhr", "8 mai 2023 à 13h56", "8 de mayo de 2023 13:56",
        "8 maggio 2023 13:56",
    ],
)  # fmt: skip
def test_one_moment_in_many_hands(value: Any) -> None:
    assert read_time(value) == MAY


@pytest.mark.parametrize(
    "value",
    [
        None, "", "8", "08:00", "yesterday", "Monday", "evening", True, 7, 1e400, float("nan"), -1, [], {},
        "a 2023 b", "version 2.1", "x" * 500, "99/99/2023", "2023-13-45", "chat-2023", "9" * 400, "12",
        10**400, -(10**400), "2023-05-08 13:56 XYZ", "8 May 2023 13:56 XYZ",
        "8 mercredi 2023", "31 février 2023", 20231345,
    ],
)  # fmt: skip
def test_what_is_no_date_is_none(value: Any) -> None:
    assert read_time(value) is None


def test_days_are_read_as_the_others_of_their_column() -> None:
    day_first = days_of(["03/04/2023", "25/12/2022"])
    assert (day_first.day_first, day_first.sure) == (True, True)
    assert written(read_time("03/04/2023", day_first) or 0) == "2023-04-03T00:00:00Z"
    month_first = days_of(["03/04/2023", "12/25/2022"])
    assert (month_first.day_first, month_first.sure) == (False, True)
    assert written(read_time("03/04/2023", month_first) or 0) == "2023-03-04T00:00:00Z"
    assert not days_of(["03/04/2023", "05/06/2023"]).sure
    assert days_of(["03/04/2023"], "day-first") == Days(day_first=True)
    assert days_of(["03.04.2023", "2023-04-03"]).sure
    both = days_of(["13/04/2023", "04/13/2023"])  # one of them is wrong, and which is not guessed
    assert [read_time(one, both) is None for one in ("13/04/2023", "04/13/2023")] == [False, True]
    counted = days_of([], "excel")
    assert [written(read_time(one, counted) or 0) for one in (45352, "45352.5", "2024-03-01T12:00")] == [
        "2024-03-01T00:00:00Z", "2024-03-01T12:00:00Z", "2024-03-01T12:00:00Z",
    ]  # fmt: skip
    assert read_time("45352") is None
    months = [
        "1. Jänner 2023",
        "1 février 2023",
        "1 maart 2023",
        "1 avril 2023",
        "1 maj 2023",
        "1 juin 2023",
        "1er juillet 2023",
        "1 août 2023",
        "1 settembre 2023",
        "1 outubro 2023",
        "1 nov. 2023",
        "1 déc. 2023",
    ]
    assert [written(read_time(one) or 0)[5:7] for one in months] == [f"{place:02d}" for place in range(1, 13)]


@pytest.mark.parametrize("value", ["2023-05-08", 20230508, "20230508", "8 May 2023", "8.5.2023"])
def test_one_day_in_many_hands(value: Any) -> None:
    assert written(read_time(value) or 0) == "2023-05-08T00:00:00Z"


@given(st.text(max_size=70) | st.integers() | st.floats() | st.dictionaries(st.text(), st.text(), max_size=2))
def test_no_value_raises(value: Any) -> None:
    found = read_time(value)
    assert found is None or written(found)


@pytest.mark.parametrize(
    ("ids", "order"),
    [
        (["session_10", "session_2"], ["session_2", "session_10"]),
        (["0010", "0002"], ["0002", "0010"]),
        (["9" * 5000, "1" + "0" * 5000], ["9" * 5000, "1" + "0" * 5000]),
        (["part ٣", "part ٢"], ["part ٢", "part ٣"]),
        (["2024-03-01", "2023-12-31"], ["2023-12-31", "2024-03-01"]),
        (["01-03-2024", "31-12-2023"], ["31-12-2023", "01-03-2024"]),
        (["D2:10", "D2:9", "D1:11"], ["D1:11", "D2:9", "D2:10"]),
    ],
)
def test_ids_numbered_alike_are_an_order(ids: list[str], order: list[str]) -> None:
    keys = numbered(ids)
    assert keys is not None
    assert [one for _, one in sorted(zip(keys, ids, strict=True))] == order


@pytest.mark.parametrize(
    "ids", [["a3f9", "b2e1"], ["oak", "elm"], ["1", "two"], ["x1", "y2"], ["v1", "v1.2"]]
)
def test_ids_that_are_not_numbered_alike_are_none(ids: list[str]) -> None:
    assert numbered(ids) is None
