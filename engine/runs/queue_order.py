"""The order of the queue: where a moved run stands, and what moves with it. Pure: writes nothing."""

from collections.abc import Iterable, Mapping, Sequence

from engine.core.errors import EngineError
from engine.runs.records import RunRecord


def moved(waiting: Sequence[RunRecord], run_id: str, *, before: str | None, last: bool) -> list[RunRecord]:
    """Return the queue after a move, with everything behind what it needs.

    Raises EngineError where `before` is needed by the run.
    """
    by_id = {record.run_id: record for record in waiting}
    block = _with_needs([by_id[run_id]], by_id)
    if before in {record.run_id for record in block}:
        raise EngineError(f"{run_id} cannot stand before {before}: it needs that run.")
    rest = [record for record in waiting if record not in block]
    place = len(rest) if last else 0 if before is None else rest.index(by_id[before])
    return _behind_needs([*rest[:place], *block, *rest[place:]])


def _with_needs(records: Iterable[RunRecord], by_id: Mapping[str, RunRecord]) -> list[RunRecord]:
    """The records in order, each right after those queued runs that it needs."""
    placed: dict[str, RunRecord] = {}
    for record in records:
        needed = [by_id[name] for name in record.waiting_for if name in by_id and name not in placed]
        for one in (*_with_needs(needed, by_id), record):
            placed.setdefault(one.run_id, one)
    return list(placed.values())


def _behind_needs(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The records in order, those put off that stand before a queued run that they need."""
    left, placed = list(records), list[RunRecord]()
    while left:
        open_needs = {record.run_id for record in left}
        ready = next((one for one in left if not open_needs.intersection(one.waiting_for)), left[0])
        placed.append(ready)
        left.remove(ready)
    return placed


def places(waiting: Sequence[RunRecord]) -> list[int]:
    """Return the queue's places, ascending: those its runs have, so that other runs keep theirs."""
    found: list[int] = []
    for record in waiting:
        found.append(max(record.order, found[-1] + 1) if found else record.order)
    return found
