"""Runs as offline runs of Weights & Biases, a folder each: `wandb sync` sends them where somebody wants them.

Owns the transaction log (blocks of LevelDB's log format behind a header of its own) and the few messages of
wandb_internal.proto that a run takes, encoded by hand. Sends nothing.
"""

import itertools
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from engine.core.paths import make_folder, whole
from engine.results.trackers.tracked import Tracked

_HEADER: Final = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_BLOCK: Final = 32_768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MESSAGE: Final = 2  # protobuf's wire type of texts and messages


def write(folder: Path, study: str, runs: Iterable[Tracked]) -> int:
    """Write the runs below `folder`; return how many they were."""
    made = 0
    for run in runs:
        at = datetime.fromtimestamp(run.began, UTC).strftime("%Y%m%d_%H%M%S")
        home = folder / f"offline-run-{at}-{run.run_id}"
        records = (_field(1, number) + record for number, record in enumerate(_records(study, run), start=1))
        with whole(home) as part:
            make_folder(part / "files")
            (part / f"run-{run.run_id}.wandb").write_bytes(_HEADER + b"".join(_framed(records)))
        made += 1
    return made


def _records(study: str, run: Tracked) -> Iterator[bytes]:
    """The run, a history of its steps, its last numbers, and how it ended: fields of the message Record."""
    yield _field(21, _field(1, _field(1, "persona-lab") + _field(2, "0.12.0")))
    told = {**run.parameters, **run.tags, **({"parent": run.parent} if run.parent else {})}
    config = b"".join(
        _field(1, _field(1, name) + _field(16, json.dumps(value))) for name, value in told.items()
    )
    yield _field(
        17,
        _field(1, run.run_id)
        + _field(3, study)
        + _field(4, config)
        + _field(6, run.experiment)
        + _field(8, run.run_id)
        + _field(10, run.state)
        + _field(17, _field(1, int(run.began))),
    )
    last: dict[str, float] = {}
    for step, points in itertools.groupby(sorted(run.points, key=lambda one: one.step), lambda one: one.step):
        held = list(points)
        values = {one.name: one.value for one in held}
        last |= values
        beside = {"_step": step, "_timestamp": held[0].at, "_runtime": held[0].at - run.began}
        yield _field(2, _items({**values, **beside}) + _field(2, _field(1, step)))
    yield _field(3, _items(last))
    yield _field(18, _field(1, 0 if run.state == "succeeded" else 1))
    yield _field(22, b"")


def _items(values: Mapping[str, float]) -> bytes:
    items = (_field(2, name) + _field(16, json.dumps(value)) for name, value in values.items())
    return b"".join(_field(1, item) for item in items)


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protobuf message: a whole number, or what has a length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    held = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _MESSAGE) + _varint(len(held)) + held


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _framed(records: Iterable[bytes]) -> Iterator[bytes]:
    """Yield records as the log holds them: none crosses a block, and a rest too short for a head is zeros."""
    place = len(_HEADER)
    for record in records:
        left, kind = record, _FULL
        while True:
            room = _BLOCK - place % _BLOCK
            if room < 7:
                yield bytes(room)
                place, room = place + room, _BLOCK
            part, left = left[: room - 7], left[room - 7 :]
            kind = (_FIRST if left else _FULL) if kind == _FULL else (_MIDDLE if left else _LAST)
            yield struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part
            place += 7 + len(part)
            if not left:
                break
