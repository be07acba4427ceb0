"""The file of embeddings: what was added is found, whatever was torn, damaged or added at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY
from engine.lm.embedding_file import DIMENSIONS, KEY_BYTES, EmbeddingFile, Embeddings

RECORD_BYTES = KEY_BYTES + 4 * DIMENSIONS + 4


def key(number: int) -> bytes:
    return number.to_bytes(KEY_BYTES, "big")


def vectors(*numbers: int) -> Embeddings:
    return np.stack([np.full(DIMENSIONS, number, np.float32) for number in numbers])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of the records 0, 1 and 2."""
    path = tmp_path / "cache" / "kept.bin"
    EmbeddingFile(path).add([key(0), key(1), key(2)], vectors(0, 1, 2))
    return path


def found(path: Path, *numbers: int) -> dict[int, float]:
    """What a fresh look at the file finds: number -> first entry of its vector."""
    vectors = EmbeddingFile(path).find([key(number) for number in numbers])
    return {int.from_bytes(one, "big"): float(vector[0]) for one, vector in vectors.items()}


def test_what_was_added_is_found_and_nothing_else(path: Path) -> None:
    assert found(path, 2, 0, 7) == {2: 2.0, 0: 0.0}
    assert path.stat().st_size == 3 * RECORD_BYTES
    assert found(path.with_name("none.bin"), 1) == {}


def test_what_another_process_adds_meanwhile_is_found(path: Path) -> None:
    file = EmbeddingFile(path)
    assert list(file.find([key(1), key(5)])) == [key(1)]
    EmbeddingFile(path).add([key(5)], vectors(5))
    assert list(file.find([key(5)])) == [key(5)]
    path.unlink()
    assert file.find([key(5)]) == {}


@given(
    start=st.integers(0, 3 * RECORD_BYTES - 1),
    damage=st.sampled_from(["flip", "cut", "insert", "remove"]),
)
@settings(max_examples=60, deadline=None)
def test_a_damaged_record_is_left_aside_and_can_be_added_again(
    tmp_path_factory: pytest.TempPathFactory, start: int, damage: str
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "kept.bin"
    EmbeddingFile(path).add([key(0), key(1), key(2)], vectors(0, 1, 2))
    whole = path.read_bytes()
    torn = {
        "flip": whole[:start] + bytes([whole[start] ^ 0x55]) + whole[start + 1 :],
        "cut": whole[:start],
        "insert": whole[:start] + b"\x07" + whole[start:],
        "remove": whole[:start] + whole[start + 1 :],
    }[damage]
    path.write_bytes(torn)
    left = found(path, 0, 1, 2)
    assert all(value == number for number, value in left.items())
    assert set(left) >= set(range(start // RECORD_BYTES))
    assert start // RECORD_BYTES not in left
    lost = [number for number in range(3) if number not in left]
    EmbeddingFile(path).add([key(number) for number in lost], vectors(*lost))
    assert found(path, 0, 1, 2) == {0: 0.0, 1: 1.0, 2: 2.0}


def test_processes_that_add_at_once_lose_nothing(path: Path) -> None:
    program = (
        "import sys; import numpy as np; from pathlib import Path\n"
        "from engine.lm.embedding_file import DIMENSIONS, EmbeddingFile\n"
        "first, file = int(sys.argv[2]), EmbeddingFile(Path(sys.argv[1]))\n"
        "for number in range(first, first + 20):\n"
        "    file.add([number.to_bytes(16, 'big')], np.full((1, DIMENSIONS), number, np.float32))\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(first)], cwd=REPOSITORY)
        for first in (100, 200, 300)
    ]
    assert [process.wait(timeout=400) for process in started] == [0, 0, 0]
    wanted = [*range(100, 120), *range(200, 220), *range(300, 320)]
    assert found(path, *wanted) == {number: float(number) for number in wanted}


def test_a_disk_that_refuses_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "kept.bin").mkdir()
    with pytest.raises(EngineError, match="cannot be written") as caught:
        EmbeddingFile(tmp_path / "kept.bin").add([key(1)], vectors(1))
    assert "disk" in caught.value.hint
