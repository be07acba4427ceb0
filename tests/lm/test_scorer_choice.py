"""Another encoder by its folder, and what an encoder can read of the replies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json, write_json
from engine.data import prepare
from engine.domains import metrics
from engine.lm.scorer import Scorer
from engine.lm.scorer_choice import encoder_of, named, read_by, usual
from engine.results.comparing.comparison import compare_variants
from engine.strategies import scorer as choosing
from engine.strategies.plan import plan
from tests.sample_study import finish

THAI = ("เปิดไฟในห้องนั่งเล่นแล้ว", "ปิดเครื่องปรับอากาศในห้องนอน", "อากาศวันนี้ร้อนมาก", "ได้เลย ขอเวลาสักครู่")
TEXTS = ["the lights are on", "off", "warm and quiet please"]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder of 32 dimensions that takes the first token's state and reads eight tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder") / "multilingual-tiny"
    letters = "abcdefghijklmnopqrstuvwxyz" + "".join(sorted({letter for text in THAI for letter in text}))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys(words))}
    reader = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    reader.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    reader.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=reader, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 48})
    kinds = ("Transformer", "Pooling", "Normalize")
    places = ("", "1_Pooling", "2_Normalize")
    parts = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (kind, path) in enumerate(zip(kinds, places, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(parts))
    pooling = {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": True,
        "pooling_mode_mean_tokens": False,
    }
    write_json(folder / "1_Pooling" / "config.json", pooling)
    return folder


def tickets(path: Path, replies: tuple[str, ...]) -> Path:
    rows = [
        {
            "persona_id": f"p{persona}",
            "session_id": session,
            "messages": [
                {"role": "user", "content": f"{session}?"},
                {"role": "assistant", "content": replies[(persona + session) % len(replies)]},
            ],
        }
        for persona in range(4)
        for session in range(5)
    ]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def base(folder: Path) -> str:
    write_json(folder / "config.json", {"model_type": "qwen2"})
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).touch()
    return str(folder)


def test_what_the_usual_encoder_cannot_read_is_counted() -> None:
    assert Scorer().similarity([THAI[0]], [THAI[1]])[0] == pytest.approx(1.0, abs=1e-3)  # why it matters
    thai, latin = read_by(usual(), THAI), read_by(usual(), ["Turn it on.", "C'est déjà éteint.", "21,5 °C"])
    assert (thai.unknown_texts, thai.is_trusted) == (4, False)
    assert thai.unknown > 0.9
    assert (latin.unknown, latin.cut, latin.is_trusted, latin.words) == (0, 0, True, "")
    arabic = ["سأطبخ السمك والبطاطس الليلة.", "أغلق البنك حسابي دون إشعار."]
    assert Scorer().similarity([arabic[0]], [arabic[1]])[0] > 0.8
    for spelled in (
        arabic,
        ["Банк закрыл мой счёт без предупреждения."],
        ["Η τράπεζα έκλεισε τον λογαριασμό."],
    ):
        found = read_by(usual(), spelled)
        assert (found.unknown < 0.1, found.is_trusted) == (True, False)
        assert "in words that it only spells" in found.words
    latin = [
        "Dzisiaj wieczorem ugotuję rybę.",
        "Tối nay tôi sẽ nấu cá.",
        "Bu akşam balık pişireceğim.",
        "foo_bar(a[i])",
    ]
    assert read_by(usual(), latin).is_trusted
    long = read_by(usual(), ["on " * 1000, "off"])
    assert (long.cut_texts, long.is_trusted) == (1, False)
    assert long.cut == pytest.approx((1002 - 256) / (1002 + 3))
    assert "longer than its 256 tokens" in long.words


def test_another_encoder_gives_the_numbers_of_sentence_transformers(other: Path) -> None:
    library = pytest.importorskip("sentence_transformers").SentenceTransformer(str(other), device="cpu")
    found = named(str(other))
    assert (found.pooling, found.dimensions, found.most_tokens) == ("cls", 32, 48)
    ws = Workspace(other.parent / "w")
    write_json(ws.config, {"dataset": {}, "base": "", "split": "", "seed": 0, "scorer": str(other)})
    ours = Scorer(ws).embed(TEXTS)
    assert np.allclose(ours, library.encode(TEXTS, normalize_embeddings=True), atol=1e-5)
    assert np.array_equal(Scorer(ws).embed(TEXTS), ours)  # from the file, in its own dimensions


def test_an_encoder_of_another_form_is_refused(other: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "dense"
    shutil.copytree(other, folder)
    parts = read_json(folder / "modules.json")
    (folder / "modules.json").write_text(json.dumps([*parts, {"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(EngineError, match="Dense"):
        named(str(folder))
    (folder / "modules.json").write_text(json.dumps(parts))
    before = named(str(other)).sha256
    pooling = read_json(folder / "1_Pooling" / "config.json")
    write_json(
        folder / "1_Pooling" / "config.json",
        {**pooling, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
    )
    assert named(str(folder)).sha256 != before  # other numbers, another protocol


def test_what_most_personas_lack_decides_nothing_however_many_replies_of_one_have_it(tmp_path: Path) -> None:
    ws, file = Workspace(tmp_path / "w"), tickets(tmp_path / "thai.jsonl", THAI)
    first = json.loads(file.read_text(encoding="utf-8").partition("\n")[0])
    with file.open("a", encoding="utf-8") as out:
        for session in range(5, 45):
            said = [first["messages"][0], {"role": "assistant", "content": f"Reply {session}."}]
            out.write(f"\n{json.dumps({**first, 'session_id': session, 'messages': said})}")
    prepare(ws, dataset=str(file), base=base(tmp_path / "base"), domain="tasks")
    assert choosing.settle(ws).why == "ROUGE-L is defined for 1 of 4 personas."
    assert metrics.primary(ws).name == "chrf"


def test_where_it_cannot_be_read_chrf_decides_until_another_encoder_does(
    other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = Workspace(tmp_path / "w")
    file = tickets(tmp_path / "thai.jsonl", THAI)
    prepare(ws, dataset=str(file), base=base(tmp_path / "base"))
    choosing.settle(ws)
    assert metrics.primary(ws).name == "chrf"
    assert any("--set retriever=bm25" in note for note in plan(ws, "retrieval").notes)
    assert not any("retriever" in note for note in plan(ws, "retrieval", {"retriever": "bm25"}).notes)
    finish(ws, "unified", per_persona=2)
    told = compare_variants(ws, metric="embedding_similarity")["warnings"]
    assert any("unknown to it" in line and "chrF" in line for line in told)
    assert not any(
        "unknown to it" in line for line in compare_variants(ws, metric="length_ratio")["warnings"]
    )
    assert main(["scorer", "-w", str(ws.root)]) == 0
    assert "unknown to it" in capsys.readouterr().out
    assert main(["scorer", str(other), "-w", str(ws.root)]) == 0
    assert metrics.primary(ws).name == "embedding_similarity"
    assert encoder_of(ws).identity.startswith("multilingual-tiny@")
    assert main(["scorer", "all-MiniLM-L6-v2", "-w", str(ws.root)]) == 0
    assert metrics.primary(ws).name == "chrf"
