"""What models say instead of a text: a language model's paraphrase, MarianMT's back-translation.

Owns the loading of the translators and what is asked of the models. Refuses to judge what comes back (the
guards of engine/data/augment do) and to load pickled weights. Greedy or beam search, never sampling: the same
texts give the same alternatives.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from transformers.utils.logging import disable_progress_bar

from engine.core.base_folder import check_base
from engine.core.errors import EngineError, first_line, unknown_name
from engine.lm.encode import encode_prompt
from engine.lm.generate import generate
from engine.lm.load import Base, find_base, load_base

Alternatives = dict[str, tuple[str, ...]]

_WAYS = ("Say it in other words.", "Say it more politely.", "Say it shorter.", "Say it as people talk.")
_MARIAN_FILES, _EXAMPLE = ("source.spm", "target.spm", "vocab.json"), "Helsinki-NLP/opus-mt-en-de"
_MORE_TOKENS, _ROWS, _BEAMS, _MOST_TOKENS = 24, 32, 4, 256


class Rewriter(Protocol):
    """A model that rewords."""

    def alternatives(self, texts: Sequence[str]) -> Alternatives:
        """Return what the model says instead of each text, itself left out; () where it has nothing else."""
        ...


def make_rewriter(method: str, parameters: Mapping[str, Any], *, base: str, task: str) -> Rewriter:
    """Return the rewriter of an augmentation method; `base` is the workspace's own model.

    `task` is what an instruction-following model is told to do (the domain's words).

    Raises EngineError when its weights are out of reach, with what to fetch and how.
    """
    if method == "lm-paraphrase":
        named = parameters["language_model"]
        return Paraphraser(load_base(base if named == "workspace" else named), task)
    if method == "back-translation":
        there, back = parameters["translators"]
        return BackTranslator(Translator(there), Translator(back))
    raise unknown_name("rewriting method", method, ("lm-paraphrase", "back-translation"))


class Paraphraser:
    """An instruction-following causal model, asked in several ways for other words."""

    def __init__(self, base: Base, task: str) -> None:
        self._base, self._task = base, task

    def alternatives(self, texts: Sequence[str]) -> Alternatives:
        """Return up to one rewording of each text for each way of asking."""
        asked = [(text, way) for text in dict.fromkeys(texts) for way in _WAYS]
        if not asked:
            return {}
        tokenizer = self._base.tokenizer
        prompts = [
            encode_prompt(
                tokenizer,
                [{"role": "system", "content": self._task}, {"role": "user", "content": f"{way}\n\n{text}"}],
            )
            for text, way in asked
        ]
        longest = max(len(tokenizer(text)["input_ids"]) for text, _ in asked)
        replies = generate(self._base.model, tokenizer, prompts, max_new_tokens=longest + _MORE_TOKENS)
        said = ((text, _bare(reply.text)) for (text, _), reply in zip(asked, replies, strict=True))
        return _distinct(texts, said)


class Translator:
    """One MarianMT model, from a folder or the hub's cache."""

    def __init__(self, name: str) -> None:
        folder = _translator_folder(name)
        disable_progress_bar()
        try:
            from transformers import MarianMTModel, MarianTokenizer

            with warnings.catch_warnings():  # of a library that would only tidy up punctuation
                warnings.filterwarnings("ignore", message=".*sacremoses")
                self._tokenizer = MarianTokenizer.from_pretrained(folder)
            model = MarianMTModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        except ImportError as error:
            raise EngineError(
                f"MarianMT's tokenizer needs a library that is not installed: {error}",
                "Install it: pip install sentencepiece",
            ) from error
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise EngineError(
                f"The translator in {folder} cannot be loaded: {first_line(error)}",
                "It must be a MarianMT model in transformers' format.",
            ) from error
        self._model = model.requires_grad_(False).eval()
        self._model.to("cuda" if torch.cuda.is_available() else "cpu")

    @torch.inference_mode()
    def translate(self, texts: Sequence[str], *, ways: int = 1) -> list[list[str]]:
        """Return the `ways` (at most 4) best translations of each text, by beam search."""
        found: dict[int, list[str]] = {}
        for places in _batches(texts):
            given = self._tokenizer(
                [texts[place] for place in places],
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=_MOST_TOKENS,
            ).to(self._model.device)
            ids = self._model.generate(
                **given,
                num_beams=_BEAMS,
                num_return_sequences=ways,
                do_sample=False,
                max_new_tokens=2 * given["input_ids"].shape[1] + _MORE_TOKENS,
            )
            said = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
            for row, place in enumerate(places):
                found[place] = [text.strip() for text in said[row * ways : (row + 1) * ways]]
        return [found[place] for place in range(len(texts))]


class BackTranslator:
    """Two translators: into another language, and back in several ways."""

    def __init__(self, there: Translator, back: Translator) -> None:
        self._there, self._back = there, back

    def alternatives(self, texts: Sequence[str]) -> Alternatives:
        """Return the best ways back of each text's translation (Sennrich et al. 2016)."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return {}
        foreign = [ways[0] for ways in self._there.translate(distinct)]
        back = self._back.translate(foreign, ways=_BEAMS)
        return _distinct(
            texts, ((text, way) for text, ways in zip(distinct, back, strict=True) for way in ways)
        )


def _translator_folder(name: str) -> Path:
    """Return a translator's folder. Raises EngineError with what to fetch when it is out of reach."""
    try:
        folder = find_base(name)
    except EngineError as error:
        raise EngineError(
            f"The translator {name} is out of reach: {error.message}",
            f"Fetch it where there is a network: hf download {name}; or name two folders:"
            " --set translators=THERE,BACK",
        ) from error
    missing = [file for file in _MARIAN_FILES if not (folder / file).exists()]
    if missing:
        raise EngineError(
            f"{folder} is no MarianMT translator: {', '.join(missing)} is missing.",
            f"Fetch one: hf download {_EXAMPLE}; or name two folders: --set translators=THERE,BACK",
        )
    try:
        check_base(folder)
    except EngineError as error:
        raise EngineError(
            f"The translator {name} cannot be used: {error.message}",
            "Save it once as safetensors, with its tokenizer: MarianMTModel.from_pretrained(NAME)"
            ".save_pretrained(DIR); MarianTokenizer.from_pretrained(NAME).save_pretrained(DIR);"
            " then --set translators=DIR,DIR2",
        ) from error
    return folder


def _batches(texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield places of texts of like length, the longest first."""
    order = sorted(range(len(texts)), key=lambda place: (-len(texts[place]), place))
    for start in range(0, len(order), _ROWS):
        yield order[start : start + _ROWS]


def _bare(text: str) -> str:
    """Return the first line of what a model said, without the quotes that some put around it."""
    first = text.strip().split("\n", 1)[0].strip()
    return first[1:-1].strip() if len(first) > 2 and first[0] in "\"'" and first[-1] == first[0] else first


def _distinct(texts: Sequence[str], said: Iterator[tuple[str, str]]) -> Alternatives:
    found: dict[str, dict[str, None]] = {text: {} for text in texts}
    for text, other in said:
        if other and other != text:
            found[text][other] = None
    return {text: tuple(others) for text, others in found.items()}
