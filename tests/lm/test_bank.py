"""Many adapters over one model: every kernel says what PEFT says, row by row; the model stays as it was."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel, PrefixTuningConfig, get_peft_model

from engine.core.paths import Workspace
from engine.lm.adapters import Lora, load_lora
from engine.lm.bank import Change, Rows, change_of, written
from engine.lm.decode import decode
from engine.lm.encode import IGNORED, Encoded, encode_prompt, training_batch
from engine.lm.generate import generate, plan_batches
from engine.lm.kernels import Costs, Kernels, kernels_for, measure
from engine.lm.load import Base, load_base
from engine.lm.prefix import PrefixForm, PrefixStates, load_prefix, save_prefix
from engine.lm.train import Lesson, Trainer, TrainSettings
from tests.tiny_base import save_adapters

SHAPES = {"ada": (3, ("q_proj", "v_proj")), "bo": (5, ("v_proj", "up_proj")), "cy": (2, ("o_proj",))}
NAMES = ("ada", None, "cy", "bo", "ada", "bo")
Folders = dict[str, Path]


@pytest.fixture(scope="module")
def folders(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Three adapters of different rank on different layers, with weights that matter."""
    return save_adapters(tmp_path_factory.mktemp("adapters"), load_base(str(tiny_base)).model, SHAPES)


@pytest.fixture(scope="module")
def loras(folders: Folders) -> dict[str, Lora]:
    return {name: load_lora(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def peft(tiny_base: Path, folders: Folders) -> PeftModel:
    """PEFT's own model with the three adapters beside the base."""
    first, *others = folders.items()
    model = PeftModel.from_pretrained(load_base(str(tiny_base)).model, first[1], adapter_name=first[0])
    for name, folder in others:
        model.load_adapter(str(folder), adapter_name=name)
    return model.eval()


def changes_of(loras: dict[str, Lora]) -> dict[str | None, Change | None]:
    return {None: None, **{name: change_of([(lora, 1.0)]) for name, lora in loras.items()}}


@torch.no_grad()
@pytest.mark.parametrize("kernel", ["stacked", "masked"])
def test_each_row_of_a_mixed_batch_has_the_logits_peft_gives_it(
    base: Base, loras: dict[str, Lora], peft: PeftModel, encoded: list[Encoded], kernel: str
) -> None:
    ids = torch.tensor([row.ids[:60] for row in encoded[: len(NAMES)]])
    theirs = peft(input_ids=ids, adapter_names=[name or "__base__" for name in NAMES]).logits
    changes = changes_of(loras)
    rows = Rows(base.model, [changes[name] for name in NAMES], kernel=kernel)  # type: ignore[arg-type]
    before = base.model(input_ids=ids).logits
    with rows.on():
        ours = base.model(input_ids=ids).logits
    scale = float(theirs.abs().max())
    assert (ours - theirs).abs().max() < 1e-5 * scale
    assert [(ours[row] - before[row]).abs().max() > 0.01 * scale for row in range(len(NAMES))] == [
        name is not None for name in NAMES
    ]
    assert torch.equal(base.model(input_ids=ids).logits, before)


@torch.no_grad()
def test_rows_that_go_on_keep_their_own_changes(
    base: Base, loras: dict[str, Lora], encoded: list[Encoded]
) -> None:
    ids = torch.tensor([row.ids[:60] for row in encoded[: len(NAMES)]])
    changes = changes_of(loras)
    rows = Rows(base.model, [changes[name] for name in NAMES])
    with rows.on():
        whole = base.model(input_ids=ids).logits
        kept = torch.tensor([4, 1, 3])
        rows.choose(kept.tolist())
        torch.testing.assert_close(base.model(input_ids=ids[kept]).logits, whole[kept], atol=1e-4, rtol=1e-4)


def test_written_changes_are_taken_out_bit_for_bit_also_after_an_error(
    base: Base, loras: dict[str, Lora]
) -> None:
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    name = "model.layers.0.self_attn.v_proj.weight"

    def fail() -> None:
        with written(base.model, change_of([(loras["bo"], 0.3), (loras["ada"], 1.0)])):
            assert not torch.equal(base.model.state_dict()[name], before[name])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert all(torch.equal(tensor, before[path]) for path, tensor in base.model.state_dict().items())


@pytest.mark.parametrize(
    "kernels", [Kernels(1), Kernels(12), Kernels(1000), Kernels(1000, "masked")], ids=lambda rule: rule.policy
)
def test_the_greedy_texts_of_fifty_prompts_are_those_of_peft(
    base: Base,
    loras: dict[str, Lora],
    peft: PeftModel,
    chats: list[list[dict[str, str]]],
    kernels: Kernels,
) -> None:
    """PEFT alone, one prompt at a time through `generate`; ours mixed and in batches."""
    wanted = list(itertools.islice(itertools.cycle(("ada", "ada", "bo", None, "cy")), 50))
    prompts = [encode_prompt(base.tokenizer, chats[index % 40][: 2 + 2 * (index % 3)]) for index in range(50)]
    changes = changes_of(loras)
    ours = generate(
        base.model,
        base.tokenizer,
        prompts,
        changes=[changes[name] for name in wanted],
        max_new_tokens=12,
        kernels=kernels,
    )
    theirs = []
    for prompt, name in zip(prompts, wanted, strict=True):
        ids = torch.tensor([prompt])
        new = peft.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            adapter_names=[name or "__base__"],
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=base.tokenizer.eos_token_id,
        )[0, len(prompt) :]
        theirs.append(base.tokenizer.decode(new, skip_special_tokens=True).strip())
    assert [reply.text for reply in ours] == theirs
    assert len(set(theirs)) > 40


def test_a_batch_too_large_for_the_device_is_halved_and_says_the_same(
    tiny_base: Path, loras: dict[str, Lora], chats: list[list[dict[str, str]]]
) -> None:
    base = load_base(str(tiny_base))
    changes = changes_of(loras)
    own = [changes[name] for name in NAMES]
    prompts = [encode_prompt(base.tokenizer, chat[:2]) for chat in chats[: len(NAMES)]]
    expected = generate(base.model, base.tokenizer, prompts, changes=own, max_new_tokens=6)

    def refuse(_: object, __: object, given: dict[str, torch.Tensor]) -> None:
        if len(given["input_ids"]) > 2:
            raise torch.OutOfMemoryError("no room")

    base.model.get_decoder().register_forward_pre_hook(refuse, with_kwargs=True)
    got = generate(base.model, base.tokenizer, prompts, changes=own, max_new_tokens=6)
    assert [reply.text for reply in got] == [reply.text for reply in expected]


@torch.no_grad()
def test_a_beginning_that_all_prompts_share_is_read_once_and_changes_nothing(
    base: Base, chats: list[list[dict[str, str]]]
) -> None:
    shared = encode_prompt(base.tokenizer, chats[0][:2])
    prompts = [shared + encode_prompt(base.tokenizer, chat[1:2]) for chat in chats[1:9]]
    ends = frozenset({base.tokenizer.eos_token_id})
    read: list[int] = []
    hook = base.model.get_decoder().register_forward_pre_hook(
        lambda _, __, given: read.append(given["input_ids"].numel()), with_kwargs=True
    )
    apart = decode(base.model, prompts, max_new_tokens=1, end_ids=ends, share_prefix=False)
    tokens_apart = sum(read)
    read.clear()
    together = decode(base.model, prompts, max_new_tokens=1, end_ids=ends, share_prefix=True)
    tokens_together = sum(read)
    hook.remove()
    assert apart == together
    assert len(shared) <= read[0] < len(shared) + 10
    assert tokens_together < tokens_apart / 2
    longer = [
        decode(base.model, prompts, max_new_tokens=10, end_ids=ends, share_prefix=share)
        for share in (False, True)
    ]
    assert longer[0] == longer[1]


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 6)), min_size=1, max_size=120),
    st.integers(1, 40),
    st.integers(1, 30),
)
def test_every_row_is_in_one_batch_with_rows_its_kernel_allows(
    entries: list[tuple[int, int]], rows: int, written_from: int
) -> None:
    known = [None, *(Change({}) for _ in range(6))]
    changes = [known[name] for _, name in entries]
    planned = plan_batches(
        [length for length, _ in entries], changes, rows=rows, kernels=Kernels(written_from)
    )
    assert sorted(row for batch in planned for row in batch.rows) == list(range(len(entries)))
    for batch in planned:
        names = [entries[row][1] for row in batch.rows]
        counts = [sum(name == other for _, other in entries) for name in names]
        assert len(batch.rows) <= rows
        if batch.kernel == "written":
            assert len(set(names)) == 1
            assert names[0] == 0 or counts[0] >= written_from
        else:
            assert 0 not in names
            assert max(counts) < written_from


def test_the_rule_follows_the_costs() -> None:
    cheap = Costs(few_rows=0.1, many_rows=0.2, stacked=0.4, masked=0.5, write=0.0, rows=32)
    # A row costs 0.1 / 28 s, a batch 0.086 s beside, a mixed row 0.4 / 32 s: written from 10 rows on.
    assert cheap.rule() == Kernels(16, "stacked")
    assert Costs(0.1, 0.2, 0.4, 0.3, 0.0, rows=32).rule().mixed == "masked"
    assert Costs(0.1, 0.2, 0.2, 0.2, 1.0, rows=32).rule().written_from == 64
    assert Costs(0.1, 0.2, 9.0, 9.0, 0.0, rows=32).rule().written_from == 1


def test_a_workspace_keeps_its_rule_whatever_is_measured_later(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ws = Workspace(tmp_path / "one")
    first = kernels_for(ws, base)
    (measured,) = (tmp_path / "cache" / "persona-lab").iterdir()
    assert kernels_for(Workspace(tmp_path / "two"), base) == first, "the machine is measured once"
    other = Kernels(2 * first.written_from, "masked")
    measured.write_text(json.dumps({"written_from": other.written_from, "mixed": "masked", "costs": {}}))
    assert kernels_for(ws, base) == first
    assert kernels_for(Workspace(tmp_path / "three"), base) == other


def test_all_costs_are_measured(base: Base) -> None:
    costs = measure(base)
    assert all(seconds > 0 for seconds in (costs.few_rows, costs.stacked, costs.masked, costs.write))
    assert costs.many_rows > costs.few_rows


@torch.no_grad()
def test_a_prefix_says_what_peft_says_and_rows_without_one_say_their_own(
    tiny_base: Path, base: Base, loras: dict[str, Lora], chats: list[list[dict[str, str]]], tmp_path: Path
) -> None:
    opening = encode_prompt(base.tokenizer, chats[3][:2])
    kind = PrefixForm(base.model, 6, opening)
    states = kind.start(seed=0)["prefix"] + 0.3 * torch.randn(
        6, 2 * 2 * 2 * 8, generator=torch.manual_seed(1)
    )
    save_prefix(PrefixStates(states), tmp_path / "one", base.model)
    loaded = load_prefix(tmp_path / "one").states
    assert torch.equal(loaded, states)
    peft_model = PeftModel.from_pretrained(load_base(str(tiny_base)).model, tmp_path / "one").eval()
    prompts = [encode_prompt(base.tokenizer, chat[:2]) for chat in chats[:12]]
    with_lora = change_of([(loras["bo"], 1.0)])
    own = [
        Change({}, loaded) if index % 3 == 0 else None if index % 3 == 1 else with_lora for index in range(12)
    ]
    shared = own[0]
    own = [shared if change is not None and change.prefix is not None else change for change in own]
    alone = generate(base.model, base.tokenizer, prompts, max_new_tokens=8)
    for kernels in (Kernels(1), Kernels(1000), Kernels(1000, "masked")):
        replies = generate(
            base.model, base.tokenizer, prompts, changes=own, max_new_tokens=8, kernels=kernels
        )
        for index, prompt in enumerate(prompts):
            if index % 3 == 0:
                ids = torch.tensor([prompt])
                new = peft_model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=8,
                    do_sample=False,
                    pad_token_id=0,
                    eos_token_id=base.tokenizer.eos_token_id,
                )[0, len(prompt) :]
                text = base.tokenizer.decode(new, skip_special_tokens=True).strip()
                assert replies[index].text == text
                assert text != alone[index].text
            elif index % 3 == 1:
                assert replies[index].text == alone[index].text


def test_a_trained_prefix_is_what_peft_trains(tiny_base: Path, encoded: list[Encoded]) -> None:
    """One step of AdamW through PEFT's own prefix model, from the same start."""
    base = load_base(str(tiny_base))
    kind = PrefixForm(base.model, 5, encoded[0].ids[:20])
    settings = TrainSettings(learning_rate=0.01, epochs=1, batch_size=3, warmup_share=0.0, weight_decay=0.0)
    start = kind.start(seed=0)["prefix"]
    trained = Trainer(base.model, kind, settings, [Lesson("one", encoded[:3])], pad_id=0).fit()[0]

    config = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    theirs = get_peft_model(load_base(str(tiny_base)).model, config)
    theirs.prompt_encoder["default"].embedding.weight.data.copy_(start)
    weights = [parameter for parameter in theirs.parameters() if parameter.requires_grad]
    batch = training_batch(encoded[:3], pad_id=0)
    labels = torch.full_like(batch.ids, IGNORED)
    labels[:, 1:] = batch.targets[:, :-1]
    loss = theirs(input_ids=batch.ids, attention_mask=torch.ones_like(batch.ids), labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    torch.optim.AdamW(weights, lr=0.01, weight_decay=0.0).step()
    expected = theirs.get_prompt_embedding_to_save("default")
    torch.testing.assert_close(trained.weights["prefix"], expected, atol=1e-5, rtol=0)


def test_rows_with_and_without_a_prefix_are_read_apart_and_say_the_same(
    base: Base,
    loras: dict[str, Lora],
    chats: list[list[dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prompts = [encode_prompt(base.tokenizer, chat[:2]) for chat in chats[:9]]
    prefix = PrefixForm(base.model, 6, prompts[0]).start(seed=0)["prefix"]
    behind, beside = Change({}, prefix), change_of([(loras["bo"], 1.0)])
    own = [behind if index % 3 == 0 else beside for index in range(9)]
    alone = [
        generate(base.model, base.tokenizer, [prompt], changes=[change], max_new_tokens=8)[0].text
        for prompt, change in zip(prompts, own, strict=True)
    ]
    for tokens in (1, 400, 100_000):  # one row at a time, a few, all of them
        monkeypatch.setattr("engine.lm.reading.READ_TOKENS", {"cpu": tokens})
        mixed = generate(
            base.model, base.tokenizer, prompts, changes=own, max_new_tokens=8, kernels=Kernels(1000)
        )
        assert [reply.text for reply in mixed] == alone
