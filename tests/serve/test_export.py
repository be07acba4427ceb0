"""An exported variant in the hands of others: plain PEFT and plain transformers say what is said here."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.data.dataset import load_dataset
from engine.lm.respond import respond
from engine.results import store
from engine.results.variants import Variant
from engine.serve.export import export
from engine.serve.zipped import zipped
from engine.strategies.plan import plan
from tests.tiny_base import prepare_study
from tests.workspaces import leave

SAID = "Good evening."
NEW = 16


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_study(tmp_path_factory.mktemp("export") / "study", tiny_base)
    common = {"examples_per_persona": 1, "epochs": 1, "learning_rate": 0.05}
    leave(ws, plan(ws, "hybrid", common))
    leave(ws, plan(ws, "retrieval", {"examples_per_persona": 1, "k": [1]}))
    leave(ws, plan(ws, "steering-vectors", {"examples_per_persona": 1}))
    leave(ws, plan(ws, "prefix-unified", common))
    leave(ws, plan(ws, "mixture", {"first": "unified", "second": "base", "examples_per_persona": 1}))
    return ws


def variant(ws: Workspace, beginning: str) -> Variant:
    return next(one for one in store.variants(ws) if one.variant.startswith(beginning))


def expected(ws: Workspace, one: Variant, persona: str) -> str:
    answered = respond(ws, persona_id=persona, recipe=one.recipe, message=SAID, max_new_tokens=NEW)
    return str(answered["reply"])


def said(model: Any, folder: Path, prompt: str) -> str:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)  # as the card says
    ids = torch.tensor([tokenizer.encode(prompt, add_special_tokens=False)])
    with torch.no_grad():
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW)
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)).strip()


def prompts(folder: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]
    return {row["persona"]: row["prompt"] for row in rows}


def test_plain_peft_says_what_is_said_here(ws: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    hybrid = variant(ws, "hybrid")
    made = export(ws, hybrid, tmp_path / "out")
    assert set(made.personas) == {one.persona_id for one in load_dataset(ws).personas}
    (prompt,) = prompts(made.folder).values()
    texts = set()
    for persona, home in made.personas.items():
        model = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(tiny_base), made.folder / home
        ).eval()
        text = said(model, tiny_base, prompt)
        assert text == expected(ws, hybrid, persona).strip()
        texts.add(text)
    assert len(texts) > 1


def test_a_merged_model_needs_no_adapter(ws: Workspace, tmp_path: Path) -> None:
    hybrid = variant(ws, "hybrid")
    persona = load_dataset(ws).personas[1].persona_id
    made = export(ws, hybrid, tmp_path / "out", merged=persona)
    assert made.merged is not None
    (prompt,) = prompts(made.folder).values()
    text = said(AutoModelForCausalLM.from_pretrained(made.merged), made.merged, prompt)
    assert text == expected(ws, hybrid, persona).strip()


def test_an_adapter_that_all_share_is_written_once(ws: Workspace, tmp_path: Path) -> None:
    made = export(ws, variant(ws, "unified"), tmp_path / "out")
    assert set(made.personas.values()) == {"adapters/everybody"}
    assert [one.name for one in (made.folder / "adapters").iterdir()] == ["everybody"]


def test_memories_are_told_of_and_stand_in_the_prompts(
    ws: Workspace, tiny_base: Path, tmp_path: Path
) -> None:
    one = variant(ws, "unified+retrieval")
    made = export(ws, one, tmp_path / "out")
    assert "1 memory of the persona's own past" in (made.folder / "README.md").read_text()
    shown = prompts(made.folder)
    assert len(set(shown.values())) == len(load_dataset(ws).personas)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    model = PeftModel.from_pretrained(model, made.folder / "adapters" / "everybody").eval()
    for persona, prompt in shown.items():  # with numbers in them, which another tokenizer splits otherwise
        assert said(model, tiny_base, prompt) == expected(ws, one, persona).strip()


def test_what_peft_would_leave_out_is_told(ws: Workspace, tmp_path: Path) -> None:
    cards = {}
    for name, within in (("steering-vectors", "activations"), ("prefix-unified", "prefix")):
        made = export(ws, variant(ws, name), tmp_path / name)
        assert (next(iter((made.folder / "adapters").iterdir())) / within).is_dir()
        cards[within] = (made.folder / "README.md").read_text()
    assert [name for name, card in cards.items() if "`activations/` in a folder" in card] == ["activations"]
    assert [name for name, card in cards.items() if "`prefix/` in a folder" in card] == ["prefix"]
    assert all("PreTrainedTokenizerFast.from_pretrained" in card for card in cards.values())


def test_the_card_says_what_it_is_and_how_it_scored(ws: Workspace, tmp_path: Path) -> None:
    hybrid = variant(ws, "hybrid")
    card = (export(ws, hybrid, tmp_path / "out").folder / "README.md").read_text()
    assert hybrid.run_id in card
    assert str(read_json(ws.dataset / "card.json")["data_hash"])[:16] in card
    assert "| embedding_similarity, val |" in card
    assert ", test |" not in card  # nobody has looked at test


@pytest.mark.parametrize("beginning", ["mixture", "unified"])
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    ws: Workspace, tmp_path: Path, beginning: str
) -> None:
    folder = tmp_path / "out"
    if beginning == "unified":
        folder.mkdir()
    before = sorted(tmp_path.rglob("*"))
    one = next(one for one in store.variants(ws) if one.family == beginning)
    with pytest.raises(EngineError, match="no set of weights|exists already"):
        export(ws, one, folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_made_is_refused_in_words(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for folder, fault in (
        (tmp_path / "file" / "out", "Not a directory"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        told = ["export", variant(ws, "unified").variant, str(folder), "--json", "--workspace", str(ws.root)]
        assert main(told) == 1
        assert fault in json.loads(capsys.readouterr().out)["error"]


def test_gguf_is_written_by_the_converter_that_is_there(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of the converter's command line stands in for it: it writes what it is given with gguf."""
    gguf = pytest.importorskip("gguf", reason="gguf is not installed: make setup-smollm2")
    tools = tmp_path / "llama.cpp"
    tools.mkdir()
    (tools / "convert_hf_to_gguf.py").write_text(
        "import sys\nfrom gguf import GGUFWriter\nfrom safetensors.numpy import load_file\n"
        "model, said, file = sys.argv[1:]\nassert said == '--outfile'\nwriter = GGUFWriter(file, 'qwen2')\n"
        "for name, held in load_file(model + '/model.safetensors').items():\n"
        "    writer.add_tensor(name, held)\n"
        "writer.write_header_to_file()\nwriter.write_kv_data_to_file()\nwriter.write_tensors_to_file()\n"
    )
    hybrid, persona = variant(ws, "hybrid"), load_dataset(ws).personas[0].persona_id
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="not on PATH") as refused:
        export(ws, hybrid, tmp_path / "out", merged=persona, gguf=True)
    assert "PERSONA_LAB_LLAMA_CPP" in str(refused.value.hint)
    with pytest.raises(EngineError, match="one persona's whole model"):
        export(ws, hybrid, tmp_path / "out", gguf=True)
    monkeypatch.setenv("PERSONA_LAB_LLAMA_CPP", str(tools))
    made = export(ws, hybrid, tmp_path / "out", merged=persona, gguf=True)
    assert made.gguf is not None
    assert made.merged is not None
    held = {one.name for one in gguf.GGUFReader(made.gguf).tensors}
    assert held == set(load_file(made.merged / "model.safetensors"))
    (tools / "convert_hf_to_gguf.py").write_text("raise SystemExit('Model Qwen9 is not supported')")
    with pytest.raises(EngineError, match="Qwen9 is not supported"):
        export(ws, hybrid, tmp_path / "other", merged=persona, gguf=True)
    assert not (tmp_path / "other").exists()


def test_a_zip_holds_what_the_folder_does(ws: Workspace, tmp_path: Path) -> None:
    one = variant(ws, "hybrid")
    folder = export(ws, one, tmp_path / "out").folder
    with zipfile.ZipFile(io.BytesIO(zipped(ws, one.variant))) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert held.keys() == there.keys()
    configured = {name for name in there if name.endswith("adapter_config.json")}  # PEFT writes a set into it
    assert {name: held[name] for name in there.keys() - configured} == {
        name: there[name] for name in there.keys() - configured
    }
    mixed = variant(ws, "mixture")
    with pytest.raises(EngineError, match="no set of weights"):
        zipped(ws, mixed.variant)
