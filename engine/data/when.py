"""When a dialogue took place: dates as people and programs write them, and the order of numbered ids.

Owns what counts as a date (ISO, the usual written forms, seconds or finer since 1970) and what counts as
numbered (session_2 before session_10). Guesses no date from a bare number and no order from a hash.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from unicodedata import decimal

from engine.data.schema import is_number

TIME_NAMES: Final = (
    "created_at", "timestamp", "datetime", "date_time", "date", "time", "created", "sent_at", "started_at",
    "start_time", "generated_datetime", "conversation_date", "posted_at", "create_time", "unixreviewtime",
    "reviewtime", "ts", "created_date", "createdat",
)  # fmt: skip
DATED: Final = "dated"
WAYS: Final = ("day-first", "month-first", "excel")
"""How dates may be said to be written, where they do not tell it themselves."""
_LONGEST = 60
_EPOCH_SECONDS = (10**8, 5 * 10**9)  # 1973 to 2128
_NUMBERED_DAY = re.compile(r"^\s*(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})\b")
_YEAR = re.compile(r"(?<!\d)(1[89]|20|21)\d\d(?!\d)")
_MONTH = re.compile(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE)
_DAY = re.compile(r"(1[89]|20|21)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])")
_SHORT = re.compile(r"\d{1,2}-[a-z]{3,9}-\d{2}\b", re.IGNORECASE)  # 01-Mar-24, as Excel writes it
_EASTERN = re.compile(r"^(\d{4})[年년] ?(\d{1,2})[月월] ?(\d{1,2})[日일]")
_ZONE_NAMED_TOO = re.compile(r"(?<=[\dZ])\[[\w/+-]+\]$")  # 2024-03-01T10:00+01:00[Europe/Paris]
_ABROAD: Final = (  # how months begin in German, French, Spanish, Italian, Portuguese, Dutch and Danish
    "jan|jän|ene|gen", "f[eéè][bv]", "m[aä]r|mrt|maa", "apr|avr|abr", "ma[ijyg]|mei", "juin|jun|giu",
    "jui?l|lug", "aug|aoû|ago|aou", "se[pt]", "o[ck]t|ott|out", "nov", "d[eéi][cz]",
)  # fmt: skip
_DAY_MONTH_YEAR = re.compile(
    r"\b(\d{1,2})(?:\.|er|º)? (?:de )?([^\W\d_]{3,10})\.? (?:de |del )?((?:19|20)\d\d)"
    r"(?:\D{1,5}(\d{1,2})[:h](\d\d)(?: uhr)?)?$"
)
_EXCEL_EPOCH_DAYS, _EXCEL_DAYS = 25_569, (1, 80_000)  # 1970 counted from 1900, and up to 2119
_ZONES: Final = {  # RFC 2822's, and Central Europe's
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "JST": 9,
}  # fmt: skip
_PIECES = re.compile(r"\d+|\D+")


@dataclass(frozen=True, slots=True)
class Days:
    """How the days of a column are written: "3/4/2024" is the 3rd of April with `day_first`.

    `sure` says whether a day above 12 told, or the user did. `counted`: numbers are days as Excel counts
    them, which only the user can say.
    """

    day_first: bool = False
    sure: bool = True
    counted: bool = False


def days_of(values: Iterable[Any], named: str = "") -> Days:
    """Return how the numbered days among `values` are written; `named` is one of WAYS."""
    if named:
        return Days(named == "day-first", counted=named == "excel")
    found = [match for value in values if isinstance(value, str) and (match := _NUMBERED_DAY.match(value))]
    slashed = [match for match in found if match[2] != "."]  # with dots the day is always first
    if any(int(match[1]) > 12 for match in slashed):
        return Days(day_first=True)
    return Days(sure=not slashed or any(int(match[3]) > 12 for match in slashed))


def read_time(value: Any, days: Days | None = None) -> float | None:
    """Return the seconds since 1970 that `value` means, None where it is no date. A date without a zone is
    UTC. Of a column whose `days` are known, 13/4 and 4/13 cannot both be dates.
    """
    if isinstance(value, bool) or value is None:
        return None
    if days is not None and days.counted and (counted := _counted(value)) is not None:
        return counted
    if isinstance(value, int | float):
        return _iso(str(value)) if isinstance(value, int) and _DAY.fullmatch(str(value)) else _epoch(value)
    if isinstance(value, dict):  # MongoDB's exports: {"$date": {"$numberLong": ...}}
        return read_time(value.get("$date", value.get("$numberLong")), days) if len(value) == 1 else None
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > _LONGEST:
        return None
    text = _ZONE_NAMED_TOO.sub("", _EASTERN.sub(r"\1-\2-\3 ", text)).strip()
    if re.fullmatch(r"\d{9,19}(\.\d+)?|\d\.\d+[eE]\+\d{1,2}", text):
        return _epoch(float(text))
    if not _NUMBERED_DAY.match(text) and (found := _iso(text)) is not None:
        return found
    return found if (found := _written(text, days)) is not None else _abroad(text)


def _counted(value: Any) -> float | None:
    """The moment that Excel counts to in days since 1900."""
    try:
        number = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return None
    return (number - _EXCEL_EPOCH_DAYS) * 86_400 if _EXCEL_DAYS[0] <= number <= _EXCEL_DAYS[1] else None


def _epoch(number: float) -> float | None:
    for unit in (1, 10**3, 10**6, 10**9):
        if _EPOCH_SECONDS[0] * unit <= abs(number) < _EPOCH_SECONDS[1] * unit:
            return number / unit
    return None


def _iso(text: str) -> float | None:
    if not re.match(r"\d{4}-?\d\d-?\d\d", text):
        return None
    try:
        return _seconds(datetime.fromisoformat(text))
    except ValueError:
        return None


def _written(text: str, days: Days | None) -> float | None:
    from dateutil import parser  # only here: it takes a while to load

    numbered = _NUMBERED_DAY.match(text)
    dated = _SHORT.match(text) or (_YEAR.search(text) and re.search(r"\d.*\d", text))
    if not numbered and not dated:
        return None
    if not numbered and not _MONTH.search(text) and not re.search(r"\d{4}[/.-]\d", text):
        return None
    day_first = (days is not None and days.day_first) or bool(numbered and numbered[2] == ".")
    if days is not None and numbered and int(numbered[3] if day_first else numbered[1]) > 12:
        return None  # not as the others of its column: never turned round for it alone
    try:
        return _seconds(
            parser.parse(
                text, dayfirst=day_first and bool(numbered), default=datetime(1970, 1, 1), tzinfos=_zone
            )
        )
    except (ValueError, OverflowError, TypeError, ArithmeticError, AttributeError):
        return None


def _abroad(text: str) -> float | None:
    """The moment of "1. März 2024, 10:05 Uhr" and its like."""
    found = _DAY_MONTH_YEAR.search(text.lower())
    if not found:
        return None
    day, word, year, hour, minute = found.groups()
    month = next((place for place, begins in enumerate(_ABROAD, 1) if re.match(begins, word)), 0)
    try:
        return _seconds(datetime(int(year), month, int(day), int(hour or 0), int(minute or 0)))
    except ValueError:
        return None


def _zone(name: str | None, seconds: int | None) -> int | None:
    """Return how many seconds a zone is ahead, None where none is named. Raises ValueError for a name that no
    standard gives.
    """
    if seconds is not None or name is None:
        return seconds
    if name not in _ZONES:
        raise ValueError(f"no known zone {name}")
    return _ZONES[name] * 3600


def _seconds(when: datetime) -> float | None:
    try:
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def written(seconds: float) -> str:
    """Return a time as ISO writes it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def dated(meta: Mapping[str, Any]) -> float | None:
    """Return when a dialogue of a dataset took place, None where that is not known."""
    return read_time(meta.get(DATED))


def found_in(row: Mapping[str, Any]) -> Any:
    """Return what stands under a usual name for a date, None for nothing that is one."""
    held = {str(name).lower(): value for name, value in row.items()}
    values = (held.get(name) for name in TIME_NAMES)
    return next((value for value in values if value is not None and read_time(value) is not None), None)


def numbered(ids: Sequence[str]) -> list[tuple[Any, ...]] | None:
    """Return a key of order for each id, None where they are not numbered alike.

    Alike is: the same text around the numbers ("session_2", "session_10"), in every id, all of them
    different.
    """
    if all(is_number(one) for one in ids):
        return [(_in_order(one),) for one in ids]
    days = days_of(ids)
    times = [read_time(one, days) for one in ids]
    if all(time is not None for time in times):  # 31-12-2023 comes before 01-03-2024
        return [(time,) for time in times]
    pieces = [_PIECES.findall(one) for one in ids]
    around = {tuple(part for part in found if not part.isdecimal()) for found in pieces}
    digits = [tuple(_in_order(part) for part in found if part.isdecimal()) for found in pieces]
    if len(around) != 1 or not all(digits) or len({len(found) for found in digits}) != 1:
        return None
    return list(digits)


def _in_order(digits: str) -> tuple[int, str]:
    """Return what a whole number, however long, is ordered by."""
    plain = "".join(str(decimal(one)) for one in digits).lstrip("0")
    return len(plain), plain
