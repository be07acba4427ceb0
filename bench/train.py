"""Training one adapter a persona: this engine beside PEFT, on the same dialogues, without validation.

    .venv/bin/python -m engine bench train                   the embedded base, 200 adapters of ours
    .venv/bin/python -m engine bench train --base smollm2    a real model, after make setup-smollm2
    .venv/bin/python -m engine bench train --base 0.5b       a random Qwen2.5-0.5B shape, a sample of personas

Ways: ours (the bank); (a) PEFT with the HF Trainer the ordinary way, batch 4: an example for each assistant
turn, with all that was said before it; (a*) the same Trainer given whole dialogues with every turn labelled,
as ours reads them; (b) the best PEFT can do: one PEFT model, its adapter drawn anew for each persona, a plain
loop over whole dialogues, the head at reply positions only. (a) learns the same replies in the same contexts,
but pays for every context again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.ground import Clock, Measured, load, parser, peak_gb, persona_rows, run_ways, show

EPOCHS, BATCH, RANK, ALPHA, RATE = 3, 4, 8, 16, 5e-4
LAYERS = ("q_proj", "v_proj")


def ours(options: Any, dtype: str, personas: int) -> Measured:
    """Train the adapters together and save them."""
    from engine.lm.forms import LoraForm
    from engine.lm.train import Lesson, Trainer

    base, clock = load(options.base, dtype), Clock()
    rows = persona_rows(base, personas, options.dialogues)
    settings = _settings()
    trained: list[Any] = []
    for _ in range(options.repeats if personas <= 20 else 1):
        with clock.timed(), tempfile.TemporaryDirectory() as folder:
            kind = LoraForm(base.model, _shape(options.dropout))
            lessons = [Lesson(str(number), mine) for number, mine in enumerate(rows)]
            trained = Trainer(base.model, kind, settings, lessons, pad_id=0).fit()
            for one in trained:
                kind.save(one.weights, Path(folder) / one.name, base=base.name)
    sums = [float(sum(t.double().square().sum() for t in one.weights.values())) for one in trained[:20]]
    return Measured(f"ours, {dtype}, {personas} adapters together", clock.seconds, personas, peak_gb(), sums)


def _settings() -> Any:
    from engine.lm.train import TrainSettings

    return TrainSettings(learning_rate=RATE, epochs=EPOCHS, batch_size=BATCH, seed=0)


def _shape(dropout: float) -> Any:
    from engine.lm.shape import LoraShape

    return LoraShape(rank=RANK, alpha=ALPHA, dropout=dropout, target_modules=list(LAYERS))


def _config(dropout: float) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=dropout, target_modules=list(LAYERS), task_type="CAUSAL_LM"
    )


Example = dict[str, list[int]]


def whole(row: Any) -> list[Example]:
    """Return a dialogue as one example, every reply labelled."""
    labels = [token if own else -100 for token, own in zip(row.ids, row.is_reply, strict=True)]
    return [{"input_ids": list(row.ids), "attention_mask": [1] * len(row), "labels": labels}]


def by_turn(row: Any) -> list[Example]:
    """Return a dialogue as one example a reply, cut off after it."""
    ends = [
        p for p in range(1, len(row) + 1) if row.is_reply[p - 1] and (p == len(row) or not row.is_reply[p])
    ]
    examples = []
    for end in ends:
        start = next(p for p in range(end, -1, -1) if p == 0 or not row.is_reply[p - 1])
        ids = list(row.ids[:end])
        examples.append(
            {"input_ids": ids, "attention_mask": [1] * end, "labels": [-100] * start + ids[start:end]}
        )
    return examples


def hf_trainer(options: Any, dtype: str, *, turns: bool) -> Measured:
    """PEFT the ordinary way: for each persona a new PEFT model and the Trainer."""
    import torch
    from peft import get_peft_model
    from transformers import Trainer as HFTrainer
    from transformers import TrainingArguments

    base, clock = load(options.base, dtype), Clock()
    rows = persona_rows(base, options.sample, options.dialogues)

    def collate(examples: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        longest = max(len(example["input_ids"]) for example in examples)

        def padded(name: str, value: int) -> torch.Tensor:
            return torch.tensor([e[name] + [value] * (longest - len(e[name])) for e in examples])

        return {
            "input_ids": padded("input_ids", 0),
            "attention_mask": padded("attention_mask", 0),
            "labels": padded("labels", -100),
        }

    model: Any = base.model
    for _ in range(options.repeats):
        with clock.timed(), tempfile.TemporaryDirectory() as folder:
            for number, mine in enumerate(rows):
                torch.manual_seed(number)
                peft_model = get_peft_model(model, _config(options.dropout))
                data = [example for row in mine for example in (by_turn if turns else whole)(row)]
                arguments = TrainingArguments(
                    output_dir=folder, num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH,
                    learning_rate=RATE, warmup_steps=0.1, weight_decay=0.01, report_to=[], save_strategy="no",
                    logging_strategy="no", disable_tqdm=True, use_cpu=base.device == "cpu", seed=0,
                )  # fmt: skip
                HFTrainer(model=peft_model, args=arguments, train_dataset=data, data_collator=collate).train()
                peft_model.save_pretrained(f"{folder}/{number}")
                model = peft_model.unload()
    name = "(a) PEFT, HF Trainer, examples by turn" if turns else "(a*) PEFT, HF Trainer, dialogues"
    way = f"{name}, {dtype}"
    return Measured(way, clock.seconds, options.sample, peak_gb())


def plain_loop(options: Any, dtype: str) -> Measured:
    """PEFT at its best: one model, a plain loop, batches padded to their longest, the head at labels."""
    import torch
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from torch.nn.functional import cross_entropy

    from engine.lm.batches import epoch_batches, schedule
    from engine.lm.encode import IGNORED, training_batch
    from engine.lm.forms import LoraForm, seed_of

    base, clock = load(options.base, dtype), Clock()
    rows = persona_rows(base, options.sample, options.dialogues)
    kind, settings = LoraForm(base.model, _shape(options.dropout)), _settings()
    starts = [kind.start(seed=seed_of(0, number, "start")) for number in range(len(rows))]
    model: Any = get_peft_model(base.model, _config(options.dropout))
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decoder, head = model.get_base_model().get_decoder(), model.get_base_model().get_output_embeddings()
    sums: list[float] = []
    for _ in range(options.repeats):
        sums = []
        with clock.timed(), tempfile.TemporaryDirectory() as folder:
            for number, mine in enumerate(rows):
                set_peft_model_state_dict(model, {_peft_name(k): v for k, v in starts[number].items()})
                optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.01)
                step, total = 0, EPOCHS * -(-len(mine) // BATCH)
                for epoch in range(EPOCHS):
                    order = epoch_batches(
                        [len(row) for row in mine], BATCH, seed=seed_of(0, number, "order", epoch)
                    )
                    for chosen in order:
                        batch = training_batch([mine[index] for index in chosen], pad_id=0)
                        optimizer.param_groups[0]["lr"] = RATE * schedule(step, total, settings.warmup_share)
                        ids, targets = batch.ids.to(base.model.device), batch.targets.to(base.model.device)
                        hidden = decoder(input_ids=ids, use_cache=False).last_hidden_state
                        wanted = targets != IGNORED
                        loss = cross_entropy(head(hidden[wanted]).float(), targets[wanted])
                        loss.backward()
                        torch.nn.utils.clip_grad_norm_(trained, 1.0)
                        optimizer.step()
                        optimizer.zero_grad()
                        step += 1
                model.save_pretrained(f"{folder}/{number}")
                weights = get_peft_model_state_dict(model).values()
                sums.append(float(sum(tensor.double().square().sum() for tensor in weights)))
    return Measured(
        f"(b) PEFT, plain loop, batch {BATCH}, {dtype}", clock.seconds, options.sample, peak_gb(), sums
    )


def _peft_name(name: str) -> str:
    path, kind = name.split("|")
    return f"base_model.model.{path}.lora_{kind}.weight"


WAYS = {
    "ours": lambda options: ours(options, options.dtype, options.personas),
    "a-fp32": lambda options: hf_trainer(options, "fp32", turns=True),
    "a-bf16": lambda options: hf_trainer(options, "bf16", turns=True),
    "a-dialogues": lambda options: hf_trainer(options, "fp32", turns=False),
    "b-fp32": lambda options: plain_loop(options, "fp32"),
    "b-bf16": lambda options: plain_loop(options, "bf16"),
}


def main() -> None:
    """Measure every way and print the ratios."""
    made = parser(__doc__ or "")
    made.add_argument("--personas", type=int, default=None, help="Adapters trained together by this engine.")
    made.add_argument("--sample", type=int, default=None, help="Personas for PEFT's ways.")
    made.add_argument("--dialogues", type=int, default=None, help="Dialogues of each persona.")
    made.add_argument(
        "--dropout", type=float, default=0.0, help="Before the update; the product's own default is 0.05."
    )
    made.add_argument("--dtype", choices=("fp32", "bf16"), default=None, help="Of this engine's base.")
    options = made.parse_args()
    small = options.base == "embedded"
    options.personas = options.personas or (200 if small else 4)
    options.sample = options.sample or (5 if small else 2)
    options.dialogues = options.dialogues or (30 if small else 4)
    options.dtype = options.dtype or "fp32"
    if not small:
        options.repeats = 1
    names = ("base", "repeats", "personas", "sample", "dialogues", "dropout", "dtype")
    found = run_ways(__file__, WAYS, options, names)
    if found is None:
        return
    checks = []
    for other in found[1:]:
        pairs = list(zip(found[0].results or [], other.results or [], strict=False))
        if pairs and not options.dropout:
            worst = max(abs(a - b) / b for a, b in pairs)
            checks.append(
                f"{len(pairs)} adapters of {other.way}: |w|^2 differs by at most {worst:.1e} of itself"
            )
    what = f"{EPOCHS} epochs of {options.dialogues} dialogues, rank {RANK} on {' and '.join(LAYERS)}"
    title = f"{what}, dropout {options.dropout:g}, {options.base}"
    show(title, found, unit="adapter", checks=checks, as_json=options.json)


if __name__ == "__main__":
    main()
