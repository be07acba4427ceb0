"""A sentence encoder in fp32: the mean of the last layer's token states, or the first one's, length one.

The same numbers as the sentence-transformers library gives, without its padding: texts of equal length in
tokens go together, in batches small enough for a core's cache. Owns nothing else of the scorer.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from engine.lm.embedding_file import Embeddings
from engine.lm.memory import is_out_of_memory

ENCODING = "v1"  # part of the name of what is kept: change it with anything that changes a vector
MOST_TOKENS = 256  # the usual encoder's own limit for a text; the rest of a longer one is not read
_BATCH_TOKENS = {"cpu": 512, "cuda": 32_768}


class SentenceEncoder:
    """Encodes tokenised texts; `tokenize` and `encode` are apart so that texts can be sorted in between."""

    def __init__(self, folder: Path, *, most_tokens: int = MOST_TOKENS, pooling: str = "mean") -> None:
        disable_progress_bar()
        self._most_tokens, self._pooling = most_tokens, pooling
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model = AutoModel.from_pretrained(
            folder, dtype=torch.float32, trust_remote_code=False, use_safetensors=True
        )
        self._model = model.requires_grad_(False).eval().to(self.device)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, at most as many as it reads."""
        found = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._most_tokens,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        return found["input_ids"]

    def encode(self, rows: Sequence[Sequence[int]]) -> Embeddings:
        """Return unit vectors [len(rows), d] of texts given as token ids."""
        vectors = np.empty((len(rows), self._model.config.hidden_size), np.float32)
        for batch, found in self.batches(rows):
            vectors[batch] = found
        return vectors

    def batches(self, rows: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], Embeddings]]:
        """Give the same batch by batch: places in `rows` with their vectors."""
        left = list(_batches(rows, most_tokens=_BATCH_TOKENS[self.device]))[::-1]
        while left:
            batch = left.pop()
            try:
                found = self._encoded([rows[place] for place in batch])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(batch) == 1:
                    raise
                half = len(batch) // 2  # the card holds a base as well
                left += [batch[half:], batch[:half]]
            else:
                yield batch, found

    @torch.inference_mode()
    def _encoded(self, rows: Sequence[Sequence[int]]) -> Embeddings:
        """Return the vectors of rows of one length."""
        states = self._model(input_ids=torch.tensor(rows, device=self.device)).last_hidden_state
        pooled = states.mean(dim=1) if self._pooling == "mean" else states[:, 0]
        found: Embeddings = torch.nn.functional.normalize(pooled).cpu().numpy()
        return found


def _batches(rows: Sequence[Sequence[int]], *, most_tokens: int) -> Iterator[list[int]]:
    """Give the places of rows of one length, so many at a time that a batch holds `most_tokens` at most."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for length, same in groupby(order, key=lambda place: len(rows[place])):
        places, at_once = list(same), max(1, most_tokens // length)
        for start in range(0, len(places), at_once):
            yield places[start : start + at_once]
