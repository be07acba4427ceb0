"""From a recipe to prompt and model: what each variant is told, and that adapters say what PEFT says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import GPT2Config, GPT2LMHeadModel

from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.core.types import Message
from engine.domains.smart_home import SMART_HOME
from engine.lm.adapters import added, fresh, save_lora, targets
from engine.lm.bank import written
from engine.lm.effects import Own, Recipe, Weights
from engine.lm.forms import LoraForm
from engine.lm.lengths import TooLong
from engine.lm.load import Base, load_base
from engine.lm.prompts import Memory, system_text
from engine.lm.recipes import Shelf, build_prompt, read_personas, write_personas
from engine.lm.shape import LoraShape
from engine.lm.train import Lesson, Trainer, TrainSettings

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
LAST = f"{HEAD}<|im_end|>\n<|im_start|>user\nYes, do.<|im_end|>\n<|im_start|>assistant\n"


def prompt_text(base: Base, *, budget: int = 1000, **told: object) -> str:
    prompt = build_prompt(
        base,
        SMART_HOME,
        REQUEST,
        **{"meta": None, "character": None, **told},  # type: ignore[arg-type]
        room=budget,
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
    everything = system_text(SMART_HOME, meta=META, character=CHARACTER, memories=MEMORIES).splitlines()
    assert [line.split(":")[0] for line in everything[:4]] == [
        "You are the assistant of a smart home.",
        "Now",
        "About the user",
        "Earlier",
    ]


def test_where_room_is_short_the_least_similar_memories_go_and_the_request_never(base: Base) -> None:
    told: dict[str, Any] = {"meta": None, "character": None}
    least = len(build_prompt(base, SMART_HOME, REQUEST[-1:], room=1000, **told).ids)
    bare = len(build_prompt(base, SMART_HOME, REQUEST, room=1000, **told).ids)
    full = len(build_prompt(base, SMART_HOME, REQUEST, memories=MEMORIES, room=1000, **told).ids)
    counts, turns = [], []
    for room in range(least, full + 1):
        prompt = build_prompt(base, SMART_HOME, REQUEST, memories=MEMORIES, room=room, **told)
        assert list(prompt.memories) == MEMORIES[len(MEMORIES) - len(prompt.memories) :]
        assert base.tokenizer.decode(prompt.ids).endswith(TAIL if room >= bare else LAST)
        assert len(prompt.ids) <= room
        assert prompt.memories_cut == 3 - len(prompt.memories)
        counts.append(len(prompt.memories))
        turns.append(prompt.turns_cut)
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3}
    assert turns == [2] * (bare - least) + [0] * (full - bare + 1), "turns went before memories"
    with pytest.raises(TooLong, match=f"longer than the {least - 1} tokens"):
        build_prompt(base, SMART_HOME, REQUEST, room=least - 1, **told)


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that holds two adapters of different shape, with weights that matter."""
    ws = Workspace(tmp_path_factory.mktemp("space"))
    shapes = {"one": ("q_proj", "v_proj"), "two": ("v_proj", "up_proj")}
    for seed, (name, modules) in enumerate(shapes.items()):
        form = LoraShape(rank=3 + seed, alpha=7, target_modules=modules)
        lora = fresh(targets(load_base(str(tiny_base)).model, modules), form, seed=seed)
        torch.manual_seed(seed)
        for _, b in lora.factors.values():
            torch.nn.init.normal_(b, std=0.5)
        save_lora(lora, form, ws.adapters(f"run-{name}") / name)
    write_personas(
        ws,
        "run-mix",
        {
            "ada": [Weights("run-one", "one", 0.25), Weights("run-two", "two", 0.75)],
            "bo": [Weights("run-two", "two")],
        },
    )
    return ws


@torch.no_grad()
@pytest.mark.parametrize("names", [["one"], ["two"], ["one", "two"]])
def test_adapters_written_into_the_weights_say_what_peft_says_beside_them(
    tiny_base: Path, ws: Workspace, names: list[str], encoded: list
) -> None:
    base, shelf = load_base(str(tiny_base)), Shelf(ws)
    ids = torch.tensor([encoded[0].ids])
    before = base.model(input_ids=ids).logits
    with written(base.model, shelf.change([Weights(f"run-{name}", name) for name in names])):
        ours = base.model(input_ids=ids).logits

    beside = PeftModel.from_pretrained(
        load_base(str(tiny_base)).model, ws.adapters(f"run-{names[0]}") / names[0], adapter_name=names[0]
    )
    for name in names[1:]:
        beside.load_adapter(str(ws.adapters(f"run-{name}") / name), adapter_name=name)
    beside.base_model.set_adapter(names)
    theirs = beside.eval()(input_ids=ids).logits
    assert (ours - theirs).abs().max() < 1e-4 * max(1.0, float(theirs.abs().max()))
    assert (ours - before).abs().max() > 0.1


def test_no_adapters_is_the_base_itself(ws: Workspace) -> None:
    assert Shelf(ws).change([]) is None


def test_of_sums_made_for_many_weights_the_last_are_kept(ws: Workspace) -> None:
    shelf = Shelf(ws)
    made = {weight: shelf.change([Weights("run-one", "one", weight)]) for weight in (0.1, 0.2, 0.3)}
    shelf.keep(2)
    again = {weight: shelf.change([Weights("run-one", "one", weight)]) for weight in made}
    assert [again[weight] is made[weight] for weight in made] == [False, True, True]


def test_an_adapter_that_is_not_there_names_its_run(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="run-one/three holds no adapter"):
        Shelf(ws).change([Weights("run-one", "three")])


def test_a_nameless_adapter_is_each_personas_own_weighted_sum(ws: Workspace) -> None:
    shelf, recipe = Shelf(ws), Recipe((Own("run-mix"),))
    adas = (Weights("run-one", "one", 0.25), Weights("run-two", "two", 0.75))
    assert read_personas(ws, "run-mix")["ada"] == adas
    assert (shelf.covers(recipe, "bo"), shelf.covers(recipe, "cy")) == (True, False)
    stacked = Recipe((Weights("run-one", "one"), Own("run-mix")))
    (side,) = shelf.sides(stacked, "bo")
    assert side.effects == (Weights("run-one", "one"), Weights("run-two", "two"))
    both = shelf.change(adas)
    assert both is not None
    one, two = (shelf.lora(f"run-{name}", name) for name in ("one", "two"))
    for path, (a, b) in both.factors.items():
        expected = sum(
            weight * lora.scale * lora.factors[path][1] @ lora.factors[path][0]
            for lora, weight in ((one, 0.25), (two, 0.75))
            if path in lora.factors
        )
        torch.testing.assert_close(b @ a, expected)
    assert shelf.change(list(adas)) is both
    with pytest.raises(EngineError, match="no adapter for persona cy"):
        shelf.sides(recipe, "cy")


def test_what_stands_for_a_persona_is_read_as_it_was_written_before_there_were_kinds(ws: Workspace) -> None:
    before = {"ada": [{"run": "run-one", "name": "one", "weight": 0.5}], "bo": []}
    write_json(ws.adapters("run-old") / "personas.json", before)
    assert read_personas(ws, "run-old") == {"ada": (Weights("run-one", "one", 0.5),), "bo": ()}


@torch.no_grad()
def test_another_architecture_goes_the_same_way(base: Base, encoded: list, tmp_path: Path) -> None:
    """GPT-2: learned positions, no q_proj, layers that keep their weights the other way round."""
    config = GPT2Config(vocab_size=len(base.tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=1024)
    torch.manual_seed(0)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    base.tokenizer.save_pretrained(tmp_path / "gpt2")
    ws, settings = (
        Workspace(tmp_path),
        TrainSettings(epochs=1, learning_rate=0.05),
    )
    model = load_base(str(tmp_path / "gpt2")).model
    kind = LoraForm(model, LoraShape(target_modules=["c_attn"]))
    with torch.enable_grad():
        trained = Trainer(model, kind, settings, [Lesson("unified", encoded[:8])], pad_id=0).fit()[0]
    kind.save(trained.weights, ws.adapters("run") / "unified", base=str(tmp_path / "gpt2"))
    theirs = PeftModel.from_pretrained(model, ws.adapters("run") / "unified").eval()
    fresh_base = load_base(str(tmp_path / "gpt2"))
    ids = torch.tensor([encoded[11].ids])
    before = fresh_base.model(input_ids=ids).logits
    with written(fresh_base.model, Shelf(ws).change([Weights("run", "unified")])):
        ours = fresh_base.model(input_ids=ids).logits
    assert (ours - theirs(input_ids=ids).logits).abs().max() < 1e-4
    assert (ours - before).abs().max() > 1e-2


def test_a_sum_of_many_takes_no_more_room_than_the_matrix_it_changes(tiny_base: Path) -> None:
    modules = targets(load_base(str(tiny_base)).model, ("v_proj", "down_proj"))
    loras = []
    for seed in range(12):
        lora = fresh(modules, LoraShape(rank=4, target_modules=("v_proj", "down_proj")), seed=seed)
        torch.manual_seed(seed)
        for _, b in lora.factors.values():
            torch.nn.init.normal_(b)
        loras.append(lora)
    whole = added([(lora, 1 / 12) for lora in loras])
    for path, (a, b) in whole.items():
        expected = sum(lora.scale / 12 * lora.factors[path][1] @ lora.factors[path][0] for lora in loras)
        torch.testing.assert_close(b @ a, expected, atol=1e-5, rtol=1e-5)
        assert a.shape[0] == min(expected.shape) < 48  # type: ignore[union-attr]
