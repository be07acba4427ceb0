"""Embeddings on disk, by text, shared by the runs of a workspace. Owns the file's form; embeds nothing.

One file of equal records that only ever grows: key, vector, checksum. What a kill tore off or a disk
damaged is left aside, and its text is embedded again.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.core.errors import EngineError
from engine.core.locks import locked

DIMENSIONS = 384
KEY_BYTES = 16
_CHECKSUM_BYTES = 4

Embeddings = NDArray[np.float32]


class EmbeddingFile:
    """Finds and adds embeddings [d]. Several processes may use one file at a time."""

    def __init__(self, path: Path, dimensions: int = DIMENSIONS) -> None:
        self._path = path
        self._form = np.dtype(
            [("key", np.uint8, (KEY_BYTES,)), ("vector", "<f4", (dimensions,)), ("checksum", "<u4")],
            align=False,
        )
        self._row: dict[bytes, int] = {}
        self._seen = 0

    def find(self, keys: Iterable[bytes]) -> dict[bytes, Embeddings]:
        """Return the vectors [d] of those keys whose record is sound."""
        records = self._records()
        self._learn(records)
        wanted = {key: row for key in keys if (row := self._row.get(key)) is not None}
        found = records[list(wanted.values())] if wanted else np.zeros(0, self._form)
        return {key: found["vector"][place] for place, key in enumerate(wanted) if _sound(found[place], key)}

    def add(self, keys: Sequence[bytes], vectors: Embeddings) -> None:
        """Append the vectors [len(keys), d] under their keys. Raises EngineError when the disk refuses."""
        records = np.zeros(len(keys), self._form)
        records["key"] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
        records["vector"] = vectors
        records["checksum"] = [_checksum(record) for record in records]
        with locked(self._path.with_suffix(".lock"), what="The cache of embeddings"):
            try:
                with self._path.open("ab") as file:
                    # Whole records only: one that was torn by a kill would shift all that follow.
                    file.truncate(file.tell() // self._form.itemsize * self._form.itemsize)
                    file.write(records.tobytes())
            except OSError as error:
                raise EngineError(
                    f"{self._path} cannot be written: {error.strerror or error}.",
                    "Free disk space, or check that the folder belongs to you.",
                ) from error

    def _records(self) -> NDArray[np.void]:
        try:
            whole = self._path.stat().st_size // self._form.itemsize
        except FileNotFoundError:
            whole = 0
        return np.memmap(self._path, self._form, "r", shape=(whole,)) if whole else np.zeros(0, self._form)

    def _learn(self, records: NDArray[np.void]) -> None:
        """Note the rows added since the last look; of two records with one key the later one counts."""
        if len(records) < self._seen:  # somebody deleted the file
            self._row.clear()
            self._seen = 0
        keys = records["key"][self._seen :].tobytes()
        for offset in range(0, len(keys), KEY_BYTES):
            self._row[keys[offset : offset + KEY_BYTES]] = self._seen + offset // KEY_BYTES
        self._seen = len(records)


def _sound(record: np.void, key: bytes) -> bool:
    return record["key"].tobytes() == key and int(record["checksum"]) == _checksum(record)


def _checksum(record: np.void) -> int:
    return zlib.crc32(record.tobytes()[:-_CHECKSUM_BYTES])


def joined(found: Mapping[bytes, Embeddings], dimensions: int) -> Embeddings:
    """Return the vectors of a mapping as one array [len(found), d]."""
    return np.stack(list(found.values())) if found else np.zeros((0, dimensions), np.float32)
