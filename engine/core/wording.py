"""How numbers, times and states are worded on screens. Owns the wording only; computes nothing.

Metrics are fractions in files and points (times 100, signed, one decimal) on screens. A colour is never
the only carrier: every difference has a sign and a word.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

MINUS: Final = "\N{MINUS SIGN}"
DASH: Final = "\N{EN DASH}"
NOTHING: Final = "\N{EN DASH}"

STATE_WORDS: Final[Mapping[str, str]] = {
    "queued": "Queued",
    "running": "Running",
    "succeeded": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "lost": "Lost",
}


SPLIT_WORDS: Final = {
    "train": "Train",
    "val": "Validation",
    "test": "Test",
    "history": "History of unseen personas",
    "unseen": "Unseen personas",
}
SCHEME_WORDS: Final = {"by-time": "by time within each persona", "by-persona": "by persona"}
_WHOLE_WORDS: Final = {"val": "validation", "train": "training"}
_LABELS: Final = {"best_epoch_last": "Best at last epoch"}


def known(value: float | None) -> bool:
    """Say whether there is a number at all."""
    return value is not None and not math.isnan(value)


def rounded(value: float, digits: int = 0) -> str:
    """Word a number with so many decimals: 12.5 -> "13", -2.25 with one -> "−2.3", never "−0".

    A half goes away from zero, as in the tables and axes that a browser draws: one number has one wording,
    wherever it stands.
    """
    found = Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return f"{abs(found) if found == 0 else found:f}".replace("-", MINUS)


def points(value: float | None) -> str:
    """Word a score as points: 0.8214 -> "82.1"; nothing -> a dash."""
    return NOTHING if value is None or not known(value) else rounded(100 * value, 1)


def signed_points(value: float | None) -> str:
    """Word a difference as signed points: 0.0231 -> "+2.3", -0.004 -> "−0.4", 0 -> "0.0"."""
    return NOTHING if value is None or not known(value) else signed(100 * value, 1)


def signed(value: float, digits: int) -> str:
    """Word a difference with so many decimals and its sign: "+2.31", "−0.40", and "0.00" without one."""
    words = rounded(value, digits)
    return f"+{words}" if value > 0 and words != rounded(0, digits) else words


def interval(low: float | None, high: float | None) -> str:
    """Word an interval of differences: "+1.2 to +3.4"."""
    if low is None or high is None or not (known(low) and known(high)):
        return NOTHING
    return span(100 * low, 100 * high, 1)


def span(low: float, high: float, digits: int) -> str:
    """Word an interval with so many decimals: "+1.2 to +3.4". An end that is nearly 0 has up to two more, so
    that its side of 0 is seen: "−3.0 to −0.02"."""
    return f"{_end(low, digits)} to {_end(high, digits)}"


def _end(value: float, digits: int) -> str:
    told = (one for one in range(digits, digits + 3) if rounded(value, one) != rounded(0, one))
    return signed(value, next(told, digits))


def p_value(value: float | None) -> str:
    """Word a p value: two significant digits, never a false zero: "< 0.001", "0.004", "0.03", "0.62"."""
    if value is None or not known(value):
        return NOTHING
    if value < 0.001:
        return "< 0.001"
    if value < 0.01:
        return f"{value:.3f}"
    return "1" if value >= 0.995 else f"{value:.2f}"


def percent(share: float | None, digits: int = 0) -> str:
    """Word a share: 0.125 -> "13 %"."""
    return NOTHING if share is None or not known(share) else f"{rounded(100 * share, digits)} %"


def percents(low: float | None, high: float | None) -> str:
    """Word an interval of shares: "50 % to 70 %"."""
    return f"{percent(low)} to {percent(high)}"


def duration(seconds: float | None) -> str:
    """Word a time: 0.4 -> "under 1 s", 80 -> "1 min 20 s", 7260 -> "2 h 1 min", 180000 -> "2 d 2 h"."""
    if seconds is None or not known(seconds):
        return NOTHING
    if seconds < 1:
        return "under 1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole, 60, "min", 1, "s")
    if whole < 86400:
        return _two(whole, 3600, "h", 60, "min")
    return _two(whole, 86400, "d", 3600, "h")


def about(seconds: float, *, rough: bool = False) -> str:
    """Word an estimated time: 80 -> "about 1 min 20 s", a rough one "roughly 1 min 20 s", 0.4 "under 1 s"."""
    told = duration(seconds)
    return told if seconds < 1 else f"{'roughly' if rough else 'about'} {told}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Word a number of things: (1, "persona") -> "1 persona", (12000, "example") -> "12,000 examples"."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def listed(names: Sequence[str]) -> str:
    """Word a list: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def size(size_bytes: float) -> str:
    """Word a size: 900 -> "900 B", 5_200_000 -> "5.2 MB"."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if size_bytes >= step:
            return f"{size_bytes / step:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def ago(at: str | None, *, now: datetime | None = None) -> str:
    """Word how long ago an ISO time was: "just now", "5 min ago", "3 h ago", from a day on the date."""
    if not at:
        return NOTHING
    then = datetime.fromisoformat(at)
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86400:
        return f"{seconds // 3600:.0f} h ago"
    return f"{then:%d %b %Y}"


def outcomes(wins: int, ties: int, losses: int) -> str:
    """Word wins, ties and losses: "17 better, 1 equal, 2 worse"."""
    return f"{wins} better, {ties} equal, {losses} worse"


def outcome_counts(wins: int, ties: int, losses: int) -> str:
    """Word wins, ties and losses for a table whose heading names them: "17 / 1 / 2"."""
    return f"{wins} / {ties} / {losses}"


def spelled(value: Any) -> str:
    """Word a parameter's value: lists and what has names with commas, None as "none"."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {spelled(one)}" for name, one in value.items())
    if isinstance(value, str) or not isinstance(value, Sequence):
        return str(value)
    return ", ".join(spelled(one) for one in value)


def fact(name: str, value: Any) -> tuple[str, str] | None:
    """Word one number of a run's summary: ("val_loss_nats", 0.347) -> ("Validation loss, nats", "0.347").

    Seconds become a duration, gains and regrets points. None for what is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not known(value):
        return None
    words = [_WHOLE_WORDS.get(word, word) for word in name.split("_")]
    unit = words.pop() if words[-1] in ("seconds", "nats") and len(words) > 1 else ""
    label = _LABELS.get(name) or " ".join(words).capitalize()
    if unit == "seconds":
        return f"{label} time", duration(value)
    if unit:
        return f"{label}, {unit}", f"{value:.3f}"
    if "gain" in words or "regret" in words:
        return f"{label}, points", signed_points(value)
    return label, f"{value:,}" if isinstance(value, int) else f"{value:.2f}".replace("-", MINUS)


def stage(name: str, done: int, total: int, unit: str = "") -> str:
    """Word where a run is: "train, 120 of 400 steps"."""
    if not name:
        return "starting"
    if not total:
        return name
    return f"{name}, {done:,} of {total:,}{f' {unit}' if unit else ''}"


def _two(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    first, rest = divmod(whole, large)
    second = rest // small
    return f"{first} {large_unit} {second} {small_unit}" if second else f"{first} {large_unit}"
