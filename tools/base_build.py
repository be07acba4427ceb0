"""Builds the embedded base model from nothing: tokenizer, Qwen2-architecture model, card.

Two courses, each with its learning rate held and then decayed to zero: the first teaches the language of
the home, with history in the prompt from a twentieth of the way on; the second drills the reading of values
from history. Loss on replies only; matrices under Muon (Jordan et al. 2024), the rest under AdamW.
Deterministic by seed on the same machine and thread count.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from engine.core.paths import write_atomically
from engine.lm.encode import IGNORED, Encoded, TrainingBatch, encode_chat, training_batch
from tools.base_corpus import corpus
from tools.base_probe import UNSEEN_HOUSEHOLD, probe
from tools.base_tokenizer import VOCABULARY, train_tokenizer

POOL = 256


@dataclass(frozen=True, slots=True)
class Course:
    """One pass of training. `tokens` counts padded training tokens; `rate` scales the learning rates.

    `history_from` is the share of the tokens after which prompts hold history; `drill_share` of the dialogues
    with history are drills. `stream` tells its random numbers from the other courses'.
    """

    tokens: int
    rate: float
    history_from: float
    drill_share: float
    stream: int


@dataclass(frozen=True, slots=True)
class Build:
    """Everything that decides the weights."""

    courses: tuple[Course, ...] = (
        Course(14_000_000, rate=1.0, history_from=0.05, drill_share=0.0, stream=0),
        Course(5_000_000, rate=0.6, history_from=0.0, drill_share=0.45, stream=6),
    )
    tokens_per_step: int = 4096
    layers: int = 4
    width: int = 192
    heads: int = 6
    feed_forward: int = 512
    learning_rate_matrices: float = 0.004
    learning_rate_others: float = 0.003
    warmup_share: float = 0.02
    decay_share: float = 0.4
    adapter_gain: float = 32.0
    precision: str = "bf16"
    threads: int = 2
    seed: int = 1

    @property
    def tokens(self) -> int:
        return sum(course.tokens for course in self.courses)

    def shortened(self, tokens: int) -> Build:
        """Return the recipe with every course cut to the same share, `tokens` in all."""
        share = tokens / self.tokens
        return replace(
            self,
            courses=tuple(replace(course, tokens=round(share * course.tokens)) for course in self.courses),
        )


def build(output: Path, recipe: Build | None = None, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Build the base into `output` (created) and return the facts that its card states.

    Takes 30 to 90 minutes on 2 cores with the default recipe; `say` gets a line every hundred steps.
    """
    recipe = recipe or Build()
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    started = time.monotonic()
    sample = list(itertools.islice(corpus(seed=recipe.seed), 4000))
    tokenizer = train_tokenizer(
        "\n".join(message["content"] for message in dialogue.chat) for dialogue in sample
    )
    data_hash = hashlib.sha256(json.dumps([dialogue.chat for dialogue in sample]).encode()).hexdigest()
    model = _new_model(recipe, tokenizer)
    say(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, "
        f"{recipe.tokens / 1e6:.0f} M tokens to read"
    )
    losses = [loss for course in recipe.courses for loss in _train(model, tokenizer, recipe, course, say)]
    suit_adapters(model, recipe.adapter_gain)
    facts = {
        "recipe": asdict(recipe),
        "data_hash": data_hash,
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss_nats_train": losses,
        "loss_nats_held_out": _held_out_loss(model, tokenizer, recipe),
        "copying": probe(model.eval(), tokenizer),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output, safe_serialization=True)
    tokenizer.save_pretrained(output)
    write_atomically(output / "build.json", json.dumps(facts, indent=2) + "\n")
    write_atomically(output / "README.md", card(facts))
    return facts


def _new_model(recipe: Build, tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        intermediate_size=recipe.feed_forward,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config)


def _train(
    model: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Build,
    course: Course,
    say: Callable[[str], None],
) -> list[float]:
    optimizers, read, losses, recent = _optimizers(model, recipe), 0, [], []
    started = time.monotonic()
    model.train()
    for step, batch in enumerate(_batches(tokenizer, recipe, course)):
        share = read / course.tokens
        if share >= 1:
            break
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * course.rate * _schedule(share, recipe)
        loss = reply_loss(model, batch, bf16=recipe.precision == "bf16")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        read += batch.tokens
        recent.append(float(loss.detach()))
        if step % 100 == 99:
            losses.append(round(sum(recent) / len(recent), 4))
            seconds = time.monotonic() - started
            say(
                f"step {step + 1}  {read / 1e6:.2f} M tokens  loss {losses[-1]:.3f}  "
                f"{read / seconds:.0f} tokens/s  "
                f"{(course.tokens - read) * seconds / read / 60:.0f} min left"
            )
            recent = []
    return losses


def reply_loss(model: Qwen2ForCausalLM, batch: TrainingBatch, *, bf16: bool = False) -> torch.Tensor:
    """Return the mean loss in nats over reply tokens; the head runs only where there are labels."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        hidden = model.model(input_ids=batch.ids).last_hidden_state
        wanted = batch.targets != IGNORED
        logits = model.lm_head(hidden[wanted])
    return cross_entropy(logits.float(), batch.targets[wanted])


def _optimizers(model: Qwen2ForCausalLM, recipe: Build) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.model.layers.named_parameters() if p.ndim == 2]
    held = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in held]
    muon = torch.optim.Muon(
        matrices, lr=recipe.learning_rate_matrices, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
    )
    adam = torch.optim.AdamW(others, lr=recipe.learning_rate_others, betas=(0.9, 0.98), weight_decay=0.0)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]


def _schedule(share: float, recipe: Build) -> float:
    if share < recipe.warmup_share:
        return share / recipe.warmup_share
    return min(1.0, max(0.01, (1 - share) / recipe.decay_share))


def _batches(tokenizer: PreTrainedTokenizerFast, recipe: Build, course: Course) -> Iterator[TrainingBatch]:
    """Yield batches of about `tokens_per_step` tokens, from pools sorted by length and shuffled by batch."""
    seed, read = recipe.seed + course.stream, 0
    shuffle = torch.Generator().manual_seed(seed)
    plain = corpus(seed=seed, memory_share=0.0)
    full = corpus(seed=seed + 1, drill_share=course.drill_share)
    while True:
        stream = plain if read < course.history_from * course.tokens else full
        pool = sorted(
            (encode_chat(tokenizer, dialogue.chat) for dialogue in itertools.islice(stream, POOL)), key=len
        )
        groups = _group(pool, recipe.tokens_per_step)
        for index in torch.randperm(len(groups), generator=shuffle).tolist():
            batch = training_batch(groups[index], pad_id=tokenizer.pad_token_id)
            read += batch.tokens
            yield batch


def _group(rows: list[Encoded], tokens: int) -> list[list[Encoded]]:
    groups: list[list[Encoded]] = [[]]
    for row in rows:
        if groups[-1] and (len(groups[-1]) + 1) * len(row) > tokens:
            groups.append([])
        groups[-1].append(row)
    return groups


@torch.no_grad()
def suit_adapters(model: Qwen2ForCausalLM, gain: float) -> None:
    """Scale what the attention's projections read by `gain` and their weights by its inverse, in place.

    The model computes what it did before, but a low-rank update now sees activations of the size it would
    meet in a model many times wider, so that the usual learning rates of LoRA suit this small one, too.
    """
    for layer in model.model.layers:
        layer.input_layernorm.weight.mul_(gain)
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
            projection.weight.div_(gain)


@torch.inference_mode()
def _held_out_loss(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, recipe: Build
) -> dict[str, float]:
    model.eval()
    losses = {}
    for name, share in (("without history", 0.0), ("with history", 1.0)):
        unseen = corpus(seed=recipe.seed, first_household=UNSEEN_HOUSEHOLD, memory_share=share)
        rows = [encode_chat(tokenizer, dialogue.chat) for dialogue in itertools.islice(unseen, 64)]
        groups = _group(sorted(rows, key=len), recipe.tokens_per_step)
        values = [
            float(reply_loss(model, training_batch(group, pad_id=tokenizer.pad_token_id))) for group in groups
        ]
        losses[name] = round(sum(values) / len(values), 4)
    return losses


def card(facts: dict[str, Any]) -> str:
    """Return the model card: what the model is for, how it was made, how well it copies."""
    losses = facts["loss_nats_train"] or [float("nan")]
    return _CARD.format(
        millions=facts["parameters"] / 1e6,
        minutes=facts["minutes"],
        threads=facts["recipe"]["threads"],
        data_hash=facts["data_hash"][:16],
        copying=_rows(facts["copying"], "{:.0%}"),
        held_out=_rows(facts["loss_nats_held_out"], "{:.3f}"),
        first=losses[0],
        last=losses[-1],
        recipe=_rows(_recipe_facts(facts["recipe"]), "{}"),
    )


def _recipe_facts(recipe: Mapping[str, Any]) -> dict[str, Any]:
    courses = {
        f"course {number}": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in course.items())
        for number, course in enumerate(recipe["courses"], start=1)
    }
    rest = {name.replace("_", " "): value for name, value in recipe.items() if name != "courses"}
    return {**courses, **rest}


def _rows(values: Mapping[str, Any], form: str) -> str:
    return "\n".join(f"| {name} | {form.format(value)} |" for name, value in values.items())


_CARD = """---
language: en
library_name: transformers
---
# Persona Lab's embedded base

A Qwen2-architecture model of {millions:.2f} M parameters with its own tokenizer, made for one purpose: to
stand in for a real small language model wherever Persona Lab runs without a network. It controls a smart
home in English and nothing else. It was built from synthetic households that no world contains and that
expect other phrases than the worlds do, with and without earlier interactions in the prompt.

Rebuild it with `python -m tools build-base` ({minutes} minutes for this build, {threads} threads).
Hash of the first 4,000 dialogues: `{data_hash}`.

## How well it copies

Of 100 questions from unseen households: the share of replies with all numbers right, and the share that
begins as the household's assistant does.

| from | share |
|---|---|
{copying}

## Losses

Training, mean over a hundred steps: {first:.2f} nats a reply token at first, {last:.3f} at the end.

| unseen households | nats a reply token |
|---|---|
{held_out}

## Recipe

| | |
|---|---|
{recipe}
"""
