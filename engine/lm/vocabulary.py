"""The tokenizer's ids against the model's embedding rows. Refuses ids that the model has no row for.

A model with more rows than its tokenizer has tokens is fine: the rest is never asked for. A padding token
without a row is fine too: padding is never seen, so any id serves.
"""

from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.core.errors import EngineError
from engine.core.wording import count


def check_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise EngineError where tokens other than the padding lie beyond the model's embedding."""
    rows = embedding_rows(model)
    beyond = sorted((number, token) for token, number in tokenizer.get_vocab().items() if number >= rows)
    lost = [token for _, token in beyond if token != tokenizer.pad_token]
    if lost:
        raise EngineError(
            f"The tokenizer has {count(len(lost), 'token')} that the model has no embedding for, {lost[0]} "
            f"among them: the embedding has {rows} rows.",
            "Save the tokenizer that belongs to these weights, or the weights after "
            "model.resize_token_embeddings(len(tokenizer)).",
        )


def embedding_rows(model: PreTrainedModel) -> int:
    """Return how many token ids the model knows."""
    embedding: Any = model.get_input_embeddings()
    return int(embedding.weight.shape[0])


def padding_id(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id that batches are filled up with: the tokenizer's own where the model knows it, else 0."""
    own = tokenizer.pad_token_id
    return own if own is not None and own < embedding_rows(model) else 0
