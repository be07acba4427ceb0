"""One look at a base before anything is built on it: what works, what is mended, what is refused.

Takes seconds: the files, the chat template, the tokenizer against the weights, a training step and a reply.
Trains and keeps nothing. Every finding is tried on the base itself, not looked up by its name.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedTokenizerBase

from engine.core.base_folder import check_base, code_named
from engine.core.errors import EngineError
from engine.core.paths import read_json
from engine.core.stamps import weight_bytes
from engine.core.wording import percent
from engine.core.wording import size as in_bytes
from engine.lm.adapters import linear_layers
from engine.lm.encode import encode_dialogue, encode_prompt
from engine.lm.ends import closing_of, ends_of
from engine.lm.forms import LoraForm
from engine.lm.generate import generate
from engine.lm.layers import usual_layers
from engine.lm.load import Base, find_base, is_widened, load_base
from engine.lm.memory import free_bytes
from engine.lm.mixture import Strand
from engine.lm.shape import LoraShape
from engine.lm.streaming import Stream
from engine.lm.tail import changes_logits, tail_error
from engine.lm.template import plain_template
from engine.lm.train import Lesson, Trainer, TrainSettings
from engine.lm.turns import Chat, fitted, render, thinks, traits
from engine.lm.vocabulary import embedding_rows
from engine.lm.window import positions_of

Verdict = Literal["works", "mended", "refused"]
_CHAT: Chat = [
    {
        "role": "system",
        "content": "You are an assistant that knows the person it talks to.\nNow: monday, 18:40.",
    },
    {"role": "user", "content": "Good evening. Could you move my meeting with Ada to 35 past, please?"},
    {"role": "assistant", "content": "I have moved the meeting to 35 past. Shall I tell her as well?"},
    {"role": "user", "content": "Yes, and book the small room for 22 people at 20 o'clock."},
    {"role": "assistant", "content": "Ada knows, and the room for 22 is booked at 20 o'clock."},
]
_OTHER = "Choose a base of another architecture."
_BREAKS = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError, ImportError)
"""What code of others raises on its way through an architecture that does not go with it."""
_NEW_TOKENS, _ROOM, _SHORT_WINDOW, _ROUNDING = 16, 1.3, 1024, 0.02


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. "mended": it is not as it should be, and `detail` says what is done."""

    name: str
    verdict: Verdict
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """What a probe found. `facts` are numbers and names to show; a base with a refusal cannot be used."""

    base: str
    findings: tuple[Finding, ...]
    facts: dict[str, Any]

    @property
    def usable(self) -> bool:
        return all(one.verdict != "refused" for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {"usable": self.usable, **asdict(self)}

    def refuse(self) -> None:
        """Raise EngineError where the base cannot be used, with the first reason."""
        for one in self.findings:
            if one.verdict == "refused":
                raise EngineError(f"{self.base} cannot be the base. {one.name}: {one.detail}", one.hint)


def probe(name: str, *, cache: Path | None = None) -> Card:
    """Look at a base by name; a hub model is fetched. What raises an EngineError becomes a refusal."""
    findings: list[Finding] = []
    facts: dict[str, Any] = {}
    try:
        for one in _look(name, cache, facts):
            findings.append(one)
            if one.verdict == "refused":
                break
    except EngineError as error:
        findings.append(Finding(_stage(findings), "refused", error.message, error.hint or ""))
    except _BREAKS as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        findings.append(Finding(_stage(findings), "refused", f"It breaks when it is used. {words}", _OTHER))
    return Card(name, tuple(findings), facts)


def _stage(done: list[Finding]) -> str:
    """Name what was being looked at when it was refused."""
    stages = ("Files", "Memory", "Weights and tokenizer")
    return stages[len(done)] if len(done) < len(stages) else "Use"


def _look(name: str, cache: Path | None, facts: dict[str, Any]) -> Iterator[Finding]:
    folder = find_base(name, cache=cache)
    check_base(folder)
    config = read_json(folder / "config.json")
    size = weight_bytes(folder)
    facts |= {"folder": str(folder), "architecture": str(config.get("model_type", "?")), "size_bytes": size}
    if folder.parent.name == "snapshots":
        facts["revision"] = folder.name
    yield Finding("Files", "works", f"{facts['architecture']}, {in_bytes(size)} of safetensors, a tokenizer.")
    yield _memory(folder, size, config, facts)
    base = load_base(name, cache=cache)
    facts |= {"parameters": base.model.num_parameters(), "dtype": base.dtype, "device": base.device}
    yield Finding(
        "Weights and tokenizer",
        "works",
        f"{facts['parameters'] / 1e6:,.1f} M parameters in {base.dtype} on {base.device}.",
    )
    if code_named(folder) is not None:
        detail = (
            f"It names some, which is never run: transformers' own class of {facts['architecture']} is taken."
        )
        yield Finding("Code of its own", "mended", detail)
    fits = _window(base, facts)
    if fits.verdict == "refused":
        yield fits
        return
    yield _ids(base, facts)
    yield _order(base)
    yield _logits(base)
    yield from _template(base, folder)
    yield _end(base)
    yield fits
    yield _together(base)
    yield _layers(base, folder, facts)
    yield _time(base, facts)


def _memory(folder: Path, size: int, config: dict[str, Any], facts: dict[str, Any]) -> Finding:
    """Refuse what would not fit before it is loaded: halves are widened to fp32 on many devices."""
    halves = str(config.get("dtype") or config.get("torch_dtype")) in ("bfloat16", "float16")
    on_gpu = torch.cuda.is_available()
    free = free_bytes(torch.device("cuda" if on_gpu else "cpu"))
    wanted = int(size * _ROOM * (2 if halves and is_widened(config, on_gpu=on_gpu) else 1))
    facts |= {"memory_bytes": wanted, "free_bytes": free}
    words = f"up to {in_bytes(wanted)} of memory; {in_bytes(free)} are free here."
    if wanted > free:
        return Finding(
            "Memory", "refused", f"It takes {words}", "Choose a smaller base, or a machine with more memory."
        )
    return Finding("Memory", "works", f"It takes {words}")


def _ids(base: Base, facts: dict[str, Any]) -> Finding:
    rows, count = embedding_rows(base.model), len(base.tokenizer)
    facts |= {"vocabulary": count, "embedding_rows": rows}
    own = base.tokenizer.pad_token_id
    if own is not None and own != base.pad_id:
        detail = f"Its padding token {base.tokenizer.pad_token!r} has no row of the embedding"
        return Finding(
            "Token ids", "mended", f"{detail}; padding is never seen, so another id stands for it."
        )
    return Finding("Token ids", "works", f"All {count:,} have one of {rows:,} rows.")


@torch.no_grad()
def _order(base: Base) -> Finding:
    """Whether a token's logits are the same before those behind it are there: no reply could be made else."""
    ids = torch.tensor([encode_prompt(base.tokenizer, _CHAT[:2])], device=base.model.device)
    half = ids.shape[1] // 2
    whole, part = (
        base.model(input_ids=one, use_cache=False).logits[0, :half] for one in (ids, ids[:, :half])
    )
    if not (whole.isfinite().all() and part.isfinite().all()):
        return Finding(
            "Reading order", "refused", "Its logits are no numbers (NaN or infinite).", "Download it again."
        )
    apart = float((whole - part).float().abs().max() / part.float().abs().max().clamp(min=1e-12))
    if not apart <= _ROUNDING:  # NaN is refused too
        return Finding(
            "Reading order",
            "refused",
            f"What it says of a token depends on those behind it (by {percent(apart, 1)}): it fills gaps and "
            "cannot answer.",
            "Choose a causal language model: one that writes from left to right.",
        )
    return Finding("Reading order", "works", "From left to right.")


def _logits(base: Base) -> Finding:
    """Whether what we make of the last hidden states is what the model itself would say."""
    ids = torch.tensor([encode_prompt(base.tokenizer, _CHAT[:2])], device=base.model.device)
    error = tail_error(base.model, ids)
    if not error <= _ROUNDING:  # NaN is refused too
        return Finding(
            "Loss",
            "refused",
            f"Its logits differ from those of its last hidden states by {percent(error, 1)}: no loss "
            "would be right.",
            _OTHER,
        )
    how = "through its own changes after the head" if changes_logits(base.model) else "by its head alone"
    return Finding("Loss", "works", f"It is the model's own, {how}.")


def _template(base: Base, folder: Path) -> Iterator[Finding]:
    tokenizer = base.tokenizer
    found = traits(tokenizer)
    has_own = tokenizer.chat_template != plain_template(tokenizer)
    without = 'It has none, so turns are written "User: ..." and "Assistant: ...".'
    yield _or_mended("Chat template", has_own, "Its own.", without)
    yield from _unfaithful(tokenizer)
    without = "The template has none, so its text opens the first user turn."
    yield _or_mended("System message", found.system, "The template has a place for it.", without)
    without = "The template wants turns to alternate, so they are joined."
    yield _or_mended("Two turns of one role", found.repeats, "The template takes them.", without)
    yield _extension(base)
    thinking = _thinking(base)
    if thinking:
        yield thinking


def _unfaithful(tokenizer: PreTrainedTokenizerBase) -> Iterator[Finding]:
    """A template whose prompts are not what was said, or are others tomorrow."""
    chat = fitted(tokenizer, _CHAT)
    told = render(tokenizer, chat, add_generation_prompt=False).casefold()
    lost = [word for one in chat for word in one["content"].split() if word.casefold() not in told]
    if lost:
        detail = f"It leaves out or changes what is said: {lost[0]!r} is not in its text."
        yield Finding("Chat template", "refused", detail, "Mend its chat_template.jinja.")
    if "strftime_now(" in str(tokenizer.chat_template):
        detail = "It tells today's date in a way that cannot be held still: every day has other prompts."
        yield Finding("Chat template", "refused", detail, "Write a date into its chat_template.jinja.")


def _or_mended(name: str, is_so: bool, works: str, mended: str) -> Finding:
    return Finding(name, "works", works) if is_so else Finding(name, "mended", mended)


def _extension(base: Base) -> Finding:
    """Whether a dialogue holds its shorter self token for token: what one pass over it relies on."""
    name = "A longer chat"
    if not traits(base.tokenizer).extends:
        return Finding(
            name,
            "mended",
            "The template rewrites earlier turns, so each reply is trained by itself behind the prompt that "
            "asks for it: right, and slower.",
        )
    (row,) = encode_dialogue(base.tokenizer, _CHAT)
    chat = fitted(base.tokenizer, _CHAT)
    ends = [index for index, one in enumerate(chat) if one["role"] == "assistant"]
    for end in ends:
        prompt = encode_prompt(base.tokenizer, chat[:end])
        if list(row.ids[: len(prompt)]) != prompt:
            detail = (
                "It extends the shorter one letter for letter; a token joins a prompt's end with the reply."
            )
            return Finding(name, "mended", f"{detail} Replies are learned from their first whole token on.")
    return Finding(name, "works", "It extends the shorter one token for token: one pass trains all replies.")


def _thinking(base: Base) -> Finding | None:
    chat = fitted(base.tokenizer, _CHAT[:2])
    quiet = render(base.tokenizer, chat, add_generation_prompt=True)
    if thinks(base.tokenizer, chat):
        return Finding("Thinking", "mended", "The template can ask for it; prompts here ask for none.")
    if quiet.rstrip().endswith("<think>"):
        detail = (
            "Its prompts begin a thought that cannot be switched off: short replies may be thoughts alone."
        )
        return Finding("Thinking", "mended", f"{detail} Give a larger max_new_tokens.")
    return None


def _end(base: Base) -> Finding:
    """What the template writes behind a reply; generation stops there."""
    closing, ends = closing_of(base.tokenizer), ends_of(base.model, base.tokenizer)
    if not closing:
        detail = f"The template writes none, so replies get {base.tokenizer.eos_token!r}."
        return Finding("End of a turn", "mended", detail)
    if closing.startswith(str(base.tokenizer.eos_token)):
        return Finding("End of a turn", "works", f"{closing!r}, the end-of-text token.")
    as_text = " (a text, looked for while generating)" if ends.text else ""
    return Finding("End of a turn", "works", f"{closing!r}{as_text}, beside the end-of-text token.")


def _window(base: Base, facts: dict[str, Any]) -> Finding:
    window = positions_of(base.model)
    facts["window"] = window
    if window is None:
        return Finding("Window", "works", "The architecture sets none.")
    needed = len(encode_prompt(base.tokenizer, _CHAT[:4])) + _NEW_TOKENS
    if needed > window:
        return Finding(
            "Window",
            "refused",
            f"{window:,} tokens: an instruction, three short turns and a reply take {needed:,}.",
            "Choose a base that reads more at once.",
        )
    if window < _SHORT_WINDOW:
        detail = f"{window:,} tokens only: the oldest turns of longer dialogues are left out, and counted."
        return Finding("Window", "mended", detail)
    return Finding("Window", "works", f"{window:,} tokens.")


@torch.no_grad()
def _together(base: Base) -> Finding:
    """Whether two prompts answered in one batch are answered as alone: states of some architectures mix with
    what fills up the shorter one."""
    prompts = [encode_prompt(base.tokenizer, _CHAT[:end]) for end in (2, 4)]
    stream = Stream(base, [(Strand(tuple(ids)),) for ids in prompts], max_new_tokens=_NEW_TOKENS)
    while not stream.over():
        stream.step()
    for ids, voice in zip(prompts, stream.voices, strict=True):
        whole = torch.tensor([[*ids, *voice.tokens]], device=base.model.device)
        alone = base.model(input_ids=whole, use_cache=False).logits[0, len(ids) - 1 : -1].float()
        said = alone.gather(1, whole[0, len(ids) :, None])[:, 0]
        apart = (alone.max(dim=1).values - said) / alone.abs().max()
        if len(said) and not float(apart.max()) <= _ROUNDING:  # NaN is refused too
            return Finding(
                "Answering together",
                "refused",
                "In one batch it answers otherwise than alone: replies would depend on who else is asked.",
                _OTHER,
            )
    return Finding("Answering together", "works", "In one batch as alone.")


def _layers(base: Base, folder: Path, facts: dict[str, Any]) -> Finding:
    there = {path.rsplit(".", 1)[-1] for path in linear_layers(base.model)}
    facts["layers"] = sorted(there)
    try:
        usual = usual_layers(folder)
    except EngineError as error:
        return Finding("Layers", "refused", error.message, _OTHER)
    missing = [name for name in usual if name not in there]
    if missing:
        return Finding(
            "Layers",
            "refused",
            f"The usual ones ({', '.join(missing)}) are no linear layers of this model.",
            f"It has: {', '.join(sorted(there))}.",
        )
    facts["usual_layers"] = usual
    return Finding("Layers", "works", f"Adapters go on {', '.join(usual)} unless others are named.")


def _time(base: Base, facts: dict[str, Any]) -> Finding:
    """A training step on one dialogue and a reply, the second of two: the first one warms up."""
    rows = encode_dialogue(base.tokenizer, _CHAT)
    form = LoraForm(base.model, LoraShape(target_modules=facts["usual_layers"], dropout=0.0))
    prompt = encode_prompt(base.tokenizer, _CHAT[:4])
    step, reply = [0.0, 0.0], [0.0, 0.0]
    for turn in range(2):
        began = time.perf_counter()
        settings = TrainSettings(epochs=1, batch_size=len(rows))
        trained = Trainer(base.model, form, settings, [Lesson("probe", rows)], pad_id=base.pad_id).fit()
        step[turn] = time.perf_counter() - began
        began = time.perf_counter()
        generate(base.model, base.tokenizer, [prompt], max_new_tokens=_NEW_TOKENS)
        reply[turn] = time.perf_counter() - began
    if not all(bool(torch.isfinite(one).all()) for one in trained[0].weights.values()):
        return Finding(
            "Training and answering",
            "refused",
            f"A training step gives numbers that are none (in {base.dtype}).",
            "The checkpoint may be damaged, or its format too narrow: save it in float32.",
        )
    facts |= {"step_seconds": round(step[1], 3), "reply_seconds": round(reply[1], 3)}
    tokens = sum(len(row) for row in rows)
    return Finding(
        "Training and answering",
        "works",
        f"{step[1]:.2f} s for a dialogue of {tokens} tokens, {reply[1]:.2f} s for a reply of {_NEW_TOKENS} "
        "alone (many at once are faster).",
    )
