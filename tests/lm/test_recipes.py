"""From a recipe to prompt and model: what each variant is told, and that adapters say what PEFT says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import GPT2Config, GPT2LMHeadModel

from engine.errors import EngineError
from engine.lm.load import Base, load_base
from engine.lm.prompts import Memory, system_text
from engine.lm.recipes import Recipe, build_prompt, model_for, prompt_budget, read_recipe
from engine.lm.train import Trainer, TrainSettings, new_adapter
from engine.paths import Workspace
from engine.types import Message

META = {
    "time_of_day": "evening",
    "sun_phase": "after_sunset",
    "outdoor_temp": "cold",
    "weather": "",
    "day": None,
}
REQUEST = [Message("user", "It is dark."), Message("assistant", "Shall I?"), Message("user", "Yes, do.")]
CHARACTER = "Ada is a busy librarian."
MEMORIES = [
    Memory("Dim it.", "Dimmed to 20%."),
    Memory("Brighter.", "Now 80%."),
    Memory("Lights.", "On at 50%."),
]
HEAD = "<|im_start|>system\nYou are the assistant of a smart home."
TAIL = (
    "<|im_end|>\n<|im_start|>user\nIt is dark.<|im_end|>\n<|im_start|>assistant\nShall I?<|im_end|>\n"
    "<|im_start|>user\nYes, do.<|im_end|>\n<|im_start|>assistant\n"
)


def prompt_text(base: Base, *, budget: int = 1000, **told: object) -> str:
    prompt = build_prompt(
        base,
        REQUEST,
        **{"meta": None, "character": None, **told},  # type: ignore[arg-type]
        budget_tokens=budget,
    )
    return str(base.tokenizer.decode(prompt.ids))


def test_the_bare_prompt_is_the_instruction_and_the_chat(base: Base) -> None:
    assert prompt_text(base) == HEAD + TAIL


def test_the_context_is_told_in_words_and_only_where_known(base: Base) -> None:
    assert prompt_text(base, meta=META) == f"{HEAD}\nNow: evening, after sunset, cold outside.{TAIL}"
    assert prompt_text(base, meta={"weather": None}) == HEAD + TAIL


def test_the_profile_is_the_character_text(base: Base) -> None:
    assert prompt_text(base, character=CHARACTER) == f"{HEAD}\nAbout the user: {CHARACTER}{TAIL}"


def test_memories_are_told_in_the_order_given(base: Base) -> None:
    shown = (
        "\nEarlier:\nUser: Dim it.\nYou: Dimmed to 20%.\nUser: Brighter.\nYou: Now 80%."
        "\nUser: Lights.\nYou: On at 50%."
    )
    assert prompt_text(base, memories=MEMORIES) == HEAD + shown + TAIL
    everything = system_text(meta=META, character=CHARACTER, memories=MEMORIES).splitlines()
    assert [line.split(":")[0] for line in everything[:4]] == [
        "You are the assistant of a smart home.",
        "Now",
        "About the user",
        "Earlier",
    ]


def test_where_room_is_short_the_least_similar_memories_go_and_the_request_never(base: Base) -> None:
    bare = build_prompt(base, REQUEST, meta=None, character=None, budget_tokens=1)
    full = build_prompt(base, REQUEST, meta=None, character=None, memories=MEMORIES, budget_tokens=1000)
    counts = []
    for budget in range(1, len(full.ids) + 1):
        prompt = build_prompt(
            base, REQUEST, meta=None, character=None, memories=MEMORIES, budget_tokens=budget
        )
        assert list(prompt.memories) == MEMORIES[len(MEMORIES) - len(prompt.memories) :]
        assert base.tokenizer.decode(prompt.ids).endswith(TAIL)
        assert len(prompt.ids) <= max(budget, len(bare.ids))
        counts.append(len(prompt.memories))
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3}


def test_the_budget_leaves_room_for_the_reply_in_the_models_window(base: Base) -> None:
    assert prompt_budget(base, 64) == 1024 - 64
    assert prompt_budget(base, 64, most=100) == 100
    assert prompt_budget(base, 5000) == 16


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe((("unified-1", "unified"),)),
        Recipe(profile=True),
        Recipe((("r", "a"), ("s", "b")), True, 3),
    ],
)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    assert read_recipe(recipe.as_json()) == recipe


def test_a_recipe_that_asks_for_something_unknown_is_refused() -> None:
    with pytest.raises(EngineError, match="oracle"):
        read_recipe({"oracle": "knows_persona"})
    with pytest.raises(EngineError, match="mixture, prefix"):
        read_recipe({"adapters": [], "prefix": 3, "mixture": 0.4})


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that holds two adapters of different shape, with weights that matter."""
    ws = Workspace(tmp_path_factory.mktemp("space"))
    shapes = {"one": ("q_proj", "v_proj"), "two": ("v_proj", "up_proj")}
    for seed, (name, modules) in enumerate(shapes.items()):
        settings = TrainSettings(rank=3 + seed, alpha=7, target_modules=modules, seed=seed)
        model = new_adapter(load_base(str(tiny_base)).model, settings, name)
        torch.manual_seed(seed)
        for parameter in model.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.2)
        model.save_pretrained(ws.adapters(f"run-{name}"), selected_adapters=[name])
    return ws


@torch.no_grad()
@pytest.mark.parametrize("names", [["one"], ["two"], ["one", "two"]])
def test_adapters_written_into_the_weights_say_what_peft_says_beside_them(
    tiny_base: Path, ws: Workspace, names: list[str], encoded: list
) -> None:
    base = load_base(str(tiny_base))
    ids = torch.tensor([encoded[0].ids])
    before = base.model(input_ids=ids).logits
    written = model_for(base, ws, [(f"run-{name}", name) for name in names])
    assert not written.training
    assert not [name for name, _ in written.named_modules() if "lora" in name]

    beside = PeftModel.from_pretrained(
        load_base(str(tiny_base)).model, ws.adapters(f"run-{names[0]}") / names[0], adapter_name=names[0]
    )
    for name in names[1:]:
        beside.load_adapter(str(ws.adapters(f"run-{name}") / name), adapter_name=name)
    beside.base_model.set_adapter(names)
    theirs = beside.eval()(input_ids=ids).logits
    ours = written(input_ids=ids).logits
    assert (ours - theirs).abs().max() < 1e-4 * max(1.0, float(theirs.abs().max()))
    assert (ours - before).abs().max() > 0.1


def test_no_adapters_is_the_base_itself(base: Base, ws: Workspace) -> None:
    assert model_for(base, ws, []) is base.model


def test_an_adapter_that_is_not_there_names_its_run(tiny_base: Path, ws: Workspace) -> None:
    with pytest.raises(EngineError, match="three of run-one") as caught:
        model_for(load_base(str(tiny_base)), ws, [("run-one", "three")])
    assert "resume run-one" in caught.value.hint


@torch.no_grad()
def test_another_architecture_goes_the_same_way(base: Base, encoded: list, tmp_path: Path) -> None:
    """GPT-2: learned positions, no q_proj, layers that keep their weights the other way round."""
    config = GPT2Config(vocab_size=len(base.tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=1024)
    torch.manual_seed(0)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    base.tokenizer.save_pretrained(tmp_path / "gpt2")
    ws, settings = (
        Workspace(tmp_path),
        TrainSettings(target_modules=("c_attn",), epochs=1, learning_rate=0.05),
    )
    model = new_adapter(load_base(str(tmp_path / "gpt2")).model, settings, "unified")
    with torch.enable_grad():
        Trainer(model, settings, pad_id=0).fit(encoded[:8], encoded[8:10])
    model.save_pretrained(ws.adapters("run"), selected_adapters=["unified"])
    fresh = load_base(str(tmp_path / "gpt2"))
    ids = torch.tensor([encoded[11].ids])
    before = fresh.model(input_ids=ids).logits
    ours = model_for(fresh, ws, [("run", "unified")])(input_ids=ids).logits
    assert (ours - model.eval()(input_ids=ids).logits).abs().max() < 1e-4
    assert (ours - before).abs().max() > 1e-2
