"""The scorer: cosine similarity of sentence embeddings. Each distinct text is encoded once.

Owns which embeddings are kept: those of this process in memory, and those of a workspace's runs in one file.
Which encoder it is: scorer_choice.py.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.lm.embedding_file import KEY_BYTES, EmbeddingFile, Embeddings, joined
from engine.lm.scorer_choice import Encoder, encoder_of
from engine.lm.sentence_encoder import ENCODING, SentenceEncoder

_CHUNK_TEXTS, _TOLD_TEXTS = 1024, 64


class NoScorer(EngineError):
    """The encoder is missing or damaged here: no fault of who asks for what it would score."""


class Scorer:
    """Embeds texts and keeps what it has embedded; with a workspace also for its other runs."""

    def __init__(self, ws: Workspace | None = None, *, encoder: Encoder | None = None) -> None:
        """`encoder` is by default the workspace's. Raises NoScorer where that cannot be had."""
        try:
            self._chosen = encoder or encoder_of(ws)
        except EngineError as error:
            raise NoScorer(error.message, error.hint) from error
        self._encoder = _encoder(self._chosen)
        self._row: dict[bytes, int] = {}
        self._vectors: Embeddings = np.zeros((0, self._chosen.dimensions), np.float32)
        self._file: EmbeddingFile | None = None
        if ws is not None:
            self.keep_in(ws)

    @property
    def dimensions(self) -> int:
        """How many numbers an embedding has."""
        return self._chosen.dimensions

    def keep_in(self, ws: Workspace) -> None:
        """Share embeddings with the workspace's runs: take known ones, add each chunk as soon as it is done.

        The file's name holds all that decides a text's embedding: weights, encoding, device.
        """
        name = f"embeddings-{self._chosen.sha256[:8]}-{ENCODING}-{self._encoder.device}.bin"
        self._file = EmbeddingFile(ws.cache / name, self._chosen.dimensions)

    def embed(
        self, texts: Sequence[str], *, on_progress: Callable[[int, int], None] | None = None
    ) -> Embeddings:
        """Return unit vectors [len(texts), d] in fp32; `on_progress` gets (done, total) new texts.

        What `on_progress` raises ends the work; the chunks done by then are kept.
        """
        keys = [_key(text) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._row}
        if self._file is not None and new:
            found = self._file.find(new)
            self._add(list(found), joined(found, self._chosen.dimensions))
            new = {key: text for key, text in new.items() if key not in found}
        if new:
            self._encode(new, on_progress or (lambda done, total: None))
        return self._vectors[[self._row[key] for key in keys]]

    def similarity(self, predictions: Sequence[str], references: Sequence[str]) -> NDArray[np.float32]:
        """Return the cosine of each prediction with its reference, shape [n], in -1..1."""
        both = self.embed([*predictions, *references])
        return np.clip(np.einsum("nd,nd->n", both[: len(predictions)], both[len(predictions) :]), -1, 1)

    def nearness(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the cosine of each pair of texts: what augmentation is judged by."""
        if not pairs:
            return []
        first, second = zip(*pairs, strict=True)
        return [float(cosine) for cosine in self.similarity(second, first)]

    def _encode(self, new: dict[bytes, str], on_progress: Callable[[int, int], None]) -> None:
        """Encode new texts chunk by chunk. Every chunk has short and long ones, so that progress is even."""
        keys, rows = list(new), self._encoder.tokenize(list(new.values()))
        order = sorted(range(len(keys)), key=lambda place: len(rows[place]))
        chunks = -(-len(order) // _CHUNK_TEXTS)
        vectors, done = np.empty((len(order), self._chosen.dimensions), np.float32), 0
        placed: list[bytes] = []
        for first in range(chunks):
            chunk = order[first::chunks]
            end = len(placed) + len(chunk)
            for batch, found in self._encoder.batches([rows[place] for place in chunk]):
                vectors[len(placed) : len(placed) + len(batch)] = found
                placed += [keys[chunk[place]] for place in batch]
                if len(placed) - done >= _TOLD_TEXTS or len(placed) == end:
                    if self._file is not None:
                        self._file.add(placed[done:], vectors[done : len(placed)])
                    done = len(placed)
                    on_progress(done, len(order))
        self._add(placed, vectors)

    def _add(self, keys: Sequence[bytes], vectors: Embeddings) -> None:
        for offset, key in enumerate(keys):
            self._row[key] = len(self._vectors) + offset
        self._vectors = np.concatenate([self._vectors, vectors])


@lru_cache(maxsize=2)
def _encoder(chosen: Encoder) -> SentenceEncoder:
    return SentenceEncoder(chosen.folder, most_tokens=chosen.most_tokens, pooling=chosen.pooling)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8")).digest()[:KEY_BYTES]
