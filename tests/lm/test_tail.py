"""What a model does to its logits after the head belongs to its loss and to whatever reads its logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from bench.architectures import write_tiny
from engine.lm.encode import Encoded
from engine.lm.lanes import twin
from engine.lm.load import Base, load_base
from engine.lm.reply_loss import token_losses
from engine.lm.tail import changes_logits, is_bare_matrix, logits_of, tail_error
from engine.lm.train import evaluate_loss

KINDS: list[tuple[str, dict[str, Any], bool]] = [
    ("llama", {}, False),
    ("opt", {}, False),
    ("phi", {}, False),
    ("granite", {"logits_scaling": 8.0}, True),
    ("granite", {"logits_scaling": 1.0}, False),
    ("cohere", {"logit_scale": 0.25}, True),
    ("gemma2", {"final_logit_softcapping": 30.0}, True),
    ("gemma2", {"final_logit_softcapping": None}, False),
    ("gemma3_text", {"final_logit_softcapping": 30.0}, True),
]


@pytest.mark.parametrize(("name", "settings", "changes"), KINDS)
def test_logits_and_loss_are_the_models_own(
    base: Base, encoded: list[Encoded], tmp_path: Path, name: str, settings: dict[str, Any], changes: bool
) -> None:
    model = load_base(str(write_tiny(name, tmp_path, base.tokenizer, **settings))).model
    rows = [row for row in encoded if len(row) < 300][:4]
    ids = torch.tensor([rows[0].ids])
    assert changes_logits(model) is changes
    assert is_bare_matrix(model) is (not changes and name != "phi")
    assert tail_error(model, ids) < 1e-6
    total = count = 0.0
    for row in rows:
        marks = torch.tensor(row.is_reply)
        labels = torch.where(marks, torch.tensor(row.ids), -100)[None]
        wanted = int(marks[1:].sum())
        total += float(model(input_ids=torch.tensor([row.ids]), labels=labels).loss) * wanted
        count += wanted
    assert evaluate_loss(model, rows, pad_id=0) == pytest.approx(total / count, abs=1e-5)


def test_the_gradient_is_that_of_the_models_own_loss(base: Base, tmp_path: Path) -> None:
    model = load_base(str(write_tiny("gemma2", tmp_path, base.tokenizer, final_logit_softcapping=3.0))).model
    hidden = torch.randn(50, 32, generator=torch.Generator().manual_seed(1)) * 3
    wanted, weights = torch.arange(50) * 7, torch.linspace(0.5, 2.0, 50)
    ours = hidden.clone().requires_grad_()
    plain = hidden.clone().requires_grad_()
    with torch.enable_grad():
        (token_losses(model, ours, wanted) * weights).sum().backward()
        capped = 3.0 * torch.tanh(model.lm_head(plain) / 3.0)
        (cross_entropy(capped, wanted, reduction="none") * weights).sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad, atol=1e-6, rtol=1e-5)


def test_a_copy_of_a_model_and_the_model_itself_stay_as_they_are(base: Base, tmp_path: Path) -> None:
    model = load_base(str(write_tiny("granite", tmp_path, base.tokenizer))).model
    other = twin(model)
    ids = torch.tensor([[5, 6, 7, 8]])
    before = model(input_ids=ids).logits
    hidden = torch.randn(3, 32)
    assert torch.equal(logits_of(other, hidden), logits_of(model, hidden))
    assert torch.equal(model(input_ids=ids).logits, before)
