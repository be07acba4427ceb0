"""Runs `transformers serve` with tokenizers as they were saved: `python -m tests.lm.remote.serve_base serve`.

For qwen2 the library's AutoTokenizer puts the tokenizer of the best known model in the place of one's own
(engine/lm/load.py), which splits numbers otherwise than the embedded base was trained on. All else is
transformers' own server.
"""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerFast
from transformers.cli.serving.model_manager import ModelManager
from transformers.cli.transformers import main


def _as_saved(_: ModelManager, model_and_revision: str, **__: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(model_and_revision.partition("@")[0])


if __name__ == "__main__":
    ModelManager._load_processor = _as_saved
    main()
