"""The tiny base, loaded, and chats to feed it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from engine.lm.encode import Encoded, encode_chat, encode_prompt
from engine.lm.load import Base, load_base
from engine.lm.scorer import Scorer
from tests.lm.training import SETTINGS, Training
from tools.base_corpus import corpus

Chat = list[dict[str, str]]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tiny_base: Path) -> Base:
    """The tiny base, for reading only; a test that changes weights loads its own."""
    return load_base(str(tiny_base))


@pytest.fixture(scope="session")
def chats() -> list[Chat]:
    """Forty dialogues of different lengths, with and without memories in the prompt."""
    return [dialogue.chat for dialogue in itertools.islice(corpus(seed=5), 40)]


@pytest.fixture(scope="session")
def encoded(base: Base, chats: list[Chat]) -> list[Encoded]:
    return [encode_chat(base.tokenizer, chat) for chat in chats]


@pytest.fixture(scope="session")
def prompts(base: Base, chats: list[Chat]) -> list[list[int]]:
    """Prompts of many lengths, in no order of length."""
    return [
        encode_prompt(base.tokenizer, chat[: 2 + 2 * (index % 3)]) for index, chat in enumerate(chats[:14])
    ]


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    """One scorer for all tests of a file: what it has embedded it keeps."""
    return Scorer()


@pytest.fixture(scope="session")
def undisturbed(tiny_base: Path, encoded: list[Encoded]) -> Training:
    """A training that nothing stopped, for reading only."""
    training = Training(tiny_base, SETTINGS)
    training.fit(encoded)
    return training
