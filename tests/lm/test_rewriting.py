"""Rewriting by models, for real: a tiny random MarianMT saved on disk, and the tiny base as a language model.

They know nothing, so only the way is judged here: what is asked, what comes back, and what is refused.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

from engine.core.errors import EngineError
from engine.domains.domain import ANY_TEXT
from engine.lm.load import Base
from engine.lm.rewriting import BackTranslator, Paraphraser, Translator, make_rewriter
from tests.lm.conftest import Chat

TASK = ANY_TEXT.rewording
TEXTS = ["Can you dim the lights?", "Set the TV to volume 40.", "That's all.", "Can you dim the lights?"]


@pytest.fixture(scope="module")
def pieces(chats: list[Chat], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sentencepiece model of requests."""
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "text.txt").write_text("\n".join(line["content"] for chat in chats for line in chat))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"),
        model_prefix=str(folder / "pieces"),
        vocab_size=300,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return folder / "pieces.model"


def save_marian(folder: Path, pieces: Path, *, seed: int) -> Path:
    """Write a tiny random MarianMT in transformers' format, with its tokenizer, and return its folder."""
    reader = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    words = ["</s>", "<unk>", *(reader.id_to_piece(i) for i in range(3, len(reader))), "<pad>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(pieces.read_bytes())
    tokenizer = MarianTokenizer(
        source_spm=str(folder / "source.spm"),
        target_spm=str(folder / "target.spm"),
        vocab=str(folder / "vocab.json"),
    )
    torch.manual_seed(seed)
    config = MarianConfig(
        vocab_size=len(words),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=320,
        init_std=1.0,
        pad_token_id=len(words) - 1,
        eos_token_id=0,
        forced_eos_token_id=0,
        decoder_start_token_id=len(words) - 1,
    )
    MarianMTModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def translators(pieces: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("marian")
    return [str(save_marian(folder / name, pieces, seed=seed)) for seed, name in enumerate(("there", "back"))]


def test_back_translation_gives_other_words_by_two_models(translators: list[str]) -> None:
    rewriter = make_rewriter("back-translation", {"translators": translators}, base="embedded", task=TASK)
    found = rewriter.alternatives(TEXTS)
    assert list(found) == list(dict.fromkeys(TEXTS))
    assert all(1 <= len(others) <= 4 for others in found.values())
    assert all(text not in others and "" not in others for text, others in found.items())
    assert len(set(found.values())) > 1
    assert found == rewriter.alternatives(TEXTS)
    assert rewriter.alternatives([]) == {}


def test_a_translation_is_marians_own(translators: list[str]) -> None:
    """Batches of mixed lengths give what the model alone gives for each text."""
    translator = Translator(translators[0])
    together = translator.translate(TEXTS)
    tokenizer, model = (
        MarianTokenizer.from_pretrained(translators[0]),
        MarianMTModel.from_pretrained(translators[0]),
    )
    for text, (best,) in zip(TEXTS, together, strict=True):
        given = tokenizer([text], return_tensors="pt")
        ids = model.generate(
            **given, num_beams=4, do_sample=False, max_new_tokens=2 * given["input_ids"].shape[1] + 24
        )
        assert isinstance(best, str)
        alone = translator.translate([text])[0][0]
        assert alone == tokenizer.batch_decode(ids, skip_special_tokens=True)[0].strip()


def test_the_way_back_starts_from_the_way_there(translators: list[str]) -> None:
    there, back = (Translator(name) for name in translators)
    found = BackTranslator(there, back).alternatives(["That's all."])
    foreign = there.translate(["That's all."])[0][0]
    expected = [text for text in back.translate([foreign], ways=4)[0] if text and text != "That's all."]
    assert found["That's all."] == tuple(dict.fromkeys(expected))


def test_a_translator_out_of_reach_says_what_to_fetch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EngineError) as caught:
        Translator("Helsinki-NLP/opus-mt-en-de")
    assert "Helsinki-NLP/opus-mt-en-de is out of reach" in caught.value.message
    assert "hf download Helsinki-NLP/opus-mt-en-de" in caught.value.hint
    assert "--set translators=" in caught.value.hint
    with pytest.raises(EngineError, match="out of reach"):
        Translator(str(tmp_path / "nowhere"))


def test_pickled_weights_are_refused_with_the_way_to_convert(translators: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    for path in Path(translators[0]).iterdir():
        if path.suffix != ".safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(EngineError) as caught:
        Translator(str(folder))
    assert "pickled" in caught.value.message
    assert "save_pretrained" in caught.value.hint


def test_a_model_that_is_no_translator_is_refused(tiny_base: Path) -> None:
    with pytest.raises(EngineError, match=r"source\.spm, target\.spm, vocab\.json is missing"):
        Translator(str(tiny_base))


def test_a_language_model_is_asked_in_several_ways(base: Base) -> None:
    found = Paraphraser(base, TASK).alternatives(TEXTS)
    assert list(found) == list(dict.fromkeys(TEXTS))
    assert all(len(others) <= 4 and text not in others for text, others in found.items())
    assert any(found.values())
    assert found == Paraphraser(base, TASK).alternatives(TEXTS)
    assert all("\n" not in other for others in found.values() for other in others)


def test_the_language_model_is_the_workspaces_or_one_by_name(tiny_base: Path) -> None:
    asked = {"language_model": "workspace"}
    own = make_rewriter("lm-paraphrase", asked, base=str(tiny_base), task=TASK).alternatives(TEXTS[:1])
    named = make_rewriter("lm-paraphrase", {"language_model": str(tiny_base)}, base="embedded", task=TASK)
    assert named.alternatives(TEXTS[:1]) == own
    with pytest.raises(EngineError, match="no rewriting method"):
        make_rewriter("paraphrase", asked, base="embedded", task=TASK)
