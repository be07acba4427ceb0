"""The kernels for GPUs give what torch gives: on a GPU, or here by Triton's interpreter and compiler."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy, scaled_dot_product_attention, silu
from transformers import Qwen2Config, Qwen2ForCausalLM

from engine.core.paths import REPOSITORY
from engine.lm import dropout, fused, lean
from engine.lm.adapters import fresh, targets
from engine.lm.bank import change_of
from engine.lm.encode import Encoded
from engine.lm.forms import LoraForm
from engine.lm.generate import generate
from engine.lm.load import Base, load_base
from engine.lm.plan import plan_for
from engine.lm.shape import LoraShape
from engine.lm.train import Lesson, Trainer, TrainSettings

pytest.importorskip("triton")

from engine.lm import gpu_kernels, kernel_lean

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ROUGH = torch.bfloat16 if DEVICE == "cuda" else torch.float16
"""The interpreter multiplies no matrices in bf16."""
SHAPE = LoraShape(rank=4, alpha=8, dropout=0.2, target_modules=["q_proj", "v_proj"])
SETTINGS = TrainSettings(learning_rate=5e-3, epochs=1, batch_size=2, seed=3)


@contextmanager
def kernels_here(*, there: bool = True) -> Iterator[None]:
    """Within, work as on a GPU, or, on one, as without kernels."""
    before = fused.KERNEL_DEVICES.copy()
    fused.KERNEL_DEVICES.add(DEVICE) if there else fused.KERNEL_DEVICES.clear()
    try:
        yield
    finally:
        fused.KERNEL_DEVICES.clear()
        fused.KERNEL_DEVICES.update(before)


# --- each alone


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_leave_their_gradient_in_place_of_the_logits(dtype: torch.dtype) -> None:
    logits = (3 * torch.randn(7, 5001, device=DEVICE)).to(dtype)
    wanted, losses = torch.randint(0, 5001, (7,), device=DEVICE), torch.empty(7, device=DEVICE)
    wide = logits.float().requires_grad_()
    expected = cross_entropy(wide, wanted, reduction="none")
    (grad,) = torch.autograd.grad(expected.sum(), wide)
    untouched = logits.clone()
    gpu_kernels.losses_of(untouched, wanted, losses, back=False)
    assert torch.equal(untouched, logits)
    gpu_kernels.losses_of(logits, wanted, losses, back=True)
    torch.testing.assert_close(losses, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits.float(), grad, atol=1e-6 if dtype == torch.float32 else 4e-3, rtol=0)


def test_the_gate_and_its_way_back_are_those_of_torch() -> None:
    gate, up, grad = torch.randn(3, 5, 700, device=DEVICE).unbind(0)
    gate, up = gate.requires_grad_(), up.requires_grad_()
    ours, theirs = gpu_kernels.Gated.apply(gate, up), silu(gate) * up
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    for one, other in zip(
        torch.autograd.grad(ours, (gate, up), grad),
        torch.autograd.grad(theirs, (gate, up), grad),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [16, 80])
def test_rotary_positions_turn_and_turn_back(size: int) -> None:
    x, grad = torch.randn(2, 9, 3, size, device=DEVICE).unbind(0)
    angles = torch.randn(9, size // 2, device=DEVICE).repeat(1, 2)
    cos, sin, x = angles.cos(), angles.sin(), x.requires_grad_()
    low, high = x.chunk(2, dim=-1)
    theirs = x * cos.unsqueeze(1) + torch.cat([-high, low], dim=-1) * sin.unsqueeze(1)
    ours = gpu_kernels.Turned.apply(x, cos, sin)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    back = [torch.autograd.grad(one, x, grad)[0] for one in (ours, theirs)]
    torch.testing.assert_close(*back, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("wide", [192, 193])
def test_dropout_has_the_bits_of_the_formula(wide: int) -> None:
    low, high = (
        torch.randint(-(2**31), 2**31, (2, 9, 1), dtype=torch.int32, device=DEVICE) for _ in range(2)
    )
    x, limit = torch.randn(2, 9, wide, device=DEVICE), 1638
    there = gpu_kernels.dropped(
        x, low, high, dropout._words(-(-wide // 2), low.device),
        salts=(-77, 2**31 - 1), limit=limit, scale=dropout._scale(limit),
        factors=(dropout._FIRST, dropout._SECOND),
    )  # fmt: skip
    here = (x * dropout.kept(low ^ -77, high + (2**31 - 1), wide, limit, x.dtype)).mul_(dropout._scale(limit))
    assert torch.equal(there, here)


@pytest.mark.parametrize(("groups", "size"), [(1, 16), (7, 64), (32, 128), (8, 256)])
def test_one_token_a_row_attends_to_what_its_row_has_seen(groups: int, size: int) -> None:
    random = torch.Generator().manual_seed(0)
    query, keys, values = (
        torch.randn(shape, generator=random).to(DEVICE, ROUGH)
        for shape in ((3, 2, groups, size), (3, 2, 192, size), (3, 2, 192, size))
    )
    firsts, place = torch.tensor([0, 70, 129], device=DEVICE), torch.tensor([150], device=DEVICE)
    places = torch.arange(192, device=DEVICE)
    seen = (places >= firsts[:, None]) & (places <= place) & ~((places > 9) & (places < 40))
    mask = torch.zeros(seen.shape, dtype=ROUGH, device=DEVICE).masked_fill_(~seen, float("-inf"))
    right = scaled_dot_product_attention(query, keys, values, attn_mask=mask[:, None, None], scale=0.1)
    ours = kernel_lean.attended(query, keys, values, mask, firsts, place, 0.1)
    torch.testing.assert_close(ours, right, atol=2e-2, rtol=2e-2)
    assert right.abs().max() > 0.5


# --- in a model


@pytest.mark.parametrize("dtype", [torch.float32, ROUGH])
def test_every_short_way_is_found_and_the_model_says_the_same(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=192,
        vocab_size=300,
    )
    model = Qwen2ForCausalLM(config).to(DEVICE, dtype).eval()
    with kernels_here():
        ways = lean.ways(model)
    assert {(type(owner).__name__, name) for owner, name, _ in ways.swaps} == {
        ("Qwen2RMSNorm", "forward"),
        ("Qwen2MLP", "forward"),
        ("module", "apply_rotary_pos_emb"),
    }
    assert ways.with_factors is not None
    assert (ways.attended is None) == (dtype == torch.float32)
    ids = torch.randint(0, 300, (3, 40), device=DEVICE)
    with torch.inference_mode():
        own = model(ids).logits.float()
        with lean.lean(model):
            short = model(ids).logits.float()
        again = model(ids).logits.float()
    assert torch.equal(own, again)
    assert (own - short).abs().max() <= (1e-5 if dtype == torch.float32 else 3e-2) * own.abs().max()


def test_a_card_that_is_full_just_now_keeps_its_short_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller batch asks again; only what a card can never do is left out for good."""
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 60}
    model = Qwen2ForCausalLM(Qwen2Config(hidden_size=32, intermediate_size=64, **sizes)).to(DEVICE).eval()
    normed = kernel_lean.normed

    def full(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(kernel_lean, "normed", full)
    with kernels_here():
        with pytest.raises(torch.OutOfMemoryError):
            lean.ways(model)
        monkeypatch.setattr(kernel_lean, "normed", normed)
        assert lean.ways(model).with_factors is not None


def test_replies_of_mixed_adapters_are_those_without_kernels(
    base: Base, tiny_base: Path, prompts: list[list[int]]
) -> None:
    """The steps of static shape, each operation by its kernel."""
    lora = fresh(targets(base.model, ["q_proj", "v_proj"]), LoraShape(rank=4, alpha=16), seed=1)
    for number, (_, b) in enumerate(lora.factors.values()):
        b.normal_(std=0.15, generator=torch.Generator().manual_seed(number))
    few = prompts[:4]
    changes = [change_of([(lora, scale)]) if scale else None for scale in (1.0, 0.0, -1.0, 0.5)]

    def said(*, there: bool) -> list[str]:
        own = load_base(str(tiny_base))
        with kernels_here(there=there):
            assert plan_for(own.model).static == there
            replies = generate(own.model, own.tokenizer, few, changes=changes, max_new_tokens=6)
        return [reply.text for reply in replies]

    assert said(there=True) == said(there=False)


def test_training_with_kernels_is_training_without(
    tiny_base: Path, encoded: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed rows, dropout, the gate, positions and the loss, each by its kernel, there and back."""
    used: set[str] = set()
    for name in ("dropped", "losses_of", "_turned"):
        own = getattr(gpu_kernels, name)
        monkeypatch.setattr(
            gpu_kernels, name, lambda *a, own=own, name=name, **k: (used.add(name), own(*a, **k))[1]
        )
    short = sorted(encoded, key=lambda one: len(one.ids))[:6]
    lessons = [Lesson(str(n), short[n : n + 4 : 2], short[n + 4 : n + 5]) for n in range(2)]
    ends = []
    for there in (False, True):
        model = load_base(str(tiny_base)).model
        form = LoraForm(model, SHAPE)
        with kernels_here(there=there):
            ends.append(Trainer(model, form, SETTINGS, lessons, pad_id=0).fit())
        assert used == ({"dropped", "losses_of", "_turned"} if there else set())
    for plain, by_kernels in zip(*ends, strict=True):
        assert by_kernels.val_losses == pytest.approx(plain.val_losses, abs=1e-5)
        for name, tensor in plain.weights.items():
            torch.testing.assert_close(by_kernels.weights[name], tensor, atol=1e-4, rtol=0)


WITHOUT_A_COMPILER = """
import sys, warnings
from engine.lm.encode import Encoded
from engine.lm.forms import LoraForm
from engine.lm.fused import KERNEL_DEVICES
from engine.lm.generate import generate
from engine.lm.load import load_base
from engine.lm.shape import LoraShape
from engine.lm.train import Lesson, Trainer, TrainSettings

base = load_base(sys.argv[1])
KERNEL_DEVICES.add(base.device)
row = Encoded(tuple(range(5, 45)), (False, True) * 20)
form = LoraForm(base.model, LoraShape(target_modules=["q_proj"]))
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    Trainer(base.model, form, TrainSettings(epochs=1), [Lesson("ada", [row])], pad_id=0).fit()
    generate(base.model, base.tokenizer, [[5, 6, 7]], max_new_tokens=2)
print(*(one.message for one in told if "Kernels" in str(one.message)), sep="\\n")
"""


def test_where_nothing_can_be_compiled_training_and_answers_do_without(
    tiny_base: Path, tmp_path: Path
) -> None:
    """As a card on a machine without a C compiler, or here a processor, for which Triton compiles nothing."""
    command = [sys.executable, "-c", WITHOUT_A_COMPILER, str(tiny_base)]
    alone = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("Kernels are not compiled on this machine") == 1


# --- compiled


def compiled(*options: str) -> Sequence[dict[str, str | int]]:
    command = [sys.executable, str(REPOSITORY / "bench" / "kernels.py"), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "", "HOME": "/tmp"})
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[dict[str, str | int]] = json.loads(done.stdout)["rows"]
    return rows


@pytest.mark.parametrize(("card", "shared"), [(80, 163), (86, 99)])
def test_every_kernel_compiles_for_cards_and_fits_them(card: int, shared: int) -> None:
    """Nothing spills at the usual widths; heads of 256 fit the 99 KiB that many cards have."""
    rows = compiled("--base", "all", "--cards", str(card))
    written = {
        name
        for module in (gpu_kernels, kernel_lean)
        for name, one in vars(module).items()
        if type(one).__name__ in ("JITFunction", "InterpretedFunction")
    }
    inlined = {"_turned"}
    assert {row["kernel"] for row in rows} == written - inlined
    assert [row for row in rows if row["spilled"]] == []
    assert max(int(row["shared"]) for row in rows) <= 1024 * shared
