"""The encoder: the numbers of the sentence-transformers library, whatever is encoded together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.lm.embedding_file import DIMENSIONS
from engine.lm.scorer_choice import usual
from engine.lm.sentence_encoder import MOST_TOKENS, SentenceEncoder

TEXTS = [
    "Setting the lights to 40%.",
    "The TV is off.",
    "Anything else?",
    "",
    "Ist es schön warm? 你好 \N{SLIGHTLY SMILING FACE}",
    "line one\nline two\ttabbed",
    "LIGHTS off, please.",
    " ".join(f"number {count}" for count in range(400)),
]


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder(usual().folder)


def test_the_numbers_are_those_of_sentence_transformers(encoder: SentenceEncoder) -> None:
    library = pytest.importorskip("sentence_transformers").SentenceTransformer(str(usual().folder))
    theirs = library.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    ours = encoder.encode(encoder.tokenize(TEXTS))
    assert (ours.dtype, ours.shape) == (np.float32, (len(TEXTS), DIMENSIONS))
    assert np.abs(ours - theirs).max() < 2e-6
    assert np.linalg.norm(ours, axis=1) == pytest.approx(1.0, abs=1e-6)


def test_a_long_text_is_read_up_to_the_limit(encoder: SentenceEncoder) -> None:
    assert [len(row) for row in encoder.tokenize([TEXTS[-1], "on"])] == [MOST_TOKENS, 3]


def test_company_changes_a_vector_by_rounding_only(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = encoder.tokenize([f"Set the volume to {number}." for number in range(40)] + TEXTS[:3])
    together = encoder.encode(rows)
    monkeypatch.setattr("engine.lm.sentence_encoder._BATCH_TOKENS", {"cpu": 1, "cuda": 1})
    assert np.abs(together - encoder.encode(rows)).max() < 1e-6
    backwards = encoder.encode(rows[::-1])[::-1]
    assert np.abs(together - backwards).max() < 1e-6


def test_texts_that_do_not_fit_together_are_encoded_by_halves(encoder: SentenceEncoder) -> None:
    rows = encoder.tokenize(["on", "off", "on off", "on on"] * 6)
    together, sizes = encoder.encode(rows), list[int]()

    def refuse(_: object, __: object, given: dict[str, torch.Tensor]) -> None:
        sizes.append(given["input_ids"].shape[0])
        if sizes[-1] > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = encoder._model.register_forward_pre_hook(refuse, with_kwargs=True)
    try:
        assert np.abs(together - encoder.encode(rows)).max() < 1e-6
    finally:
        hook.remove()
    assert sizes == [12, 6, 3, 3, 6, 3, 3] * 2


def test_nothing_is_padded_and_no_batch_is_larger_than_told(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, int]] = []
    hook = encoder._model.register_forward_pre_hook(
        lambda _, __, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    monkeypatch.setattr("engine.lm.sentence_encoder._BATCH_TOKENS", {"cpu": 24, "cuda": 24})
    rows = encoder.tokenize(["on", "off", "on off", "on on"] * 6)
    encoder.encode(rows)
    hook.remove()
    assert shapes == [(8, 3), (4, 3), (6, 4), (6, 4)]
