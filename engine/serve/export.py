"""A variant as files that others can use: PEFT folders, a card, the recipe, the prompts it is asked by.

Owns the layout of an exported folder. Weights are exact: of several adapters that act together, one of their
summed rank. Refuses what is no set of weights (mixtures, remote models), which can be served instead.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from engine.core.base_identity import base_of, hub_id, peft_base
from engine.core.errors import EngineError
from engine.core.paths import Workspace, make_folder, read_json, whole, write_json
from engine.core.types import Example, Message
from engine.core.wording import count
from engine.data.dataset import load_dataset
from engine.domains.metrics import METRICS
from engine.lm.activations import Offsets, save_offsets
from engine.lm.adapters import Lora, save_lora
from engine.lm.asking import Asker
from engine.lm.bank import Change, written
from engine.lm.effects import Library, Prompt, read_recipe
from engine.lm.load import Base, load_base
from engine.lm.prefix import PrefixStates, save_prefix
from engine.lm.recipes import NotCovered, Shelf, Side
from engine.lm.shape import LoraShape
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.results.variants import Variant
from engine.runs.runfolder import read_spec
from engine.serve import gguf as llama

PREFIX, ACTIVATIONS, GGUF = "prefix", "activations", "model.gguf"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the folder, and of each persona the folder within it, "" where nothing acts."""

    folder: Path
    personas: Mapping[str, str]
    merged: Path | None = None
    gguf: Path | None = None


def export(
    ws: Workspace, variant: Variant, folder: Path, *, merged: str | None = None, gguf: bool = False
) -> Exported:
    """Write a variant into a new folder; with `merged`, that persona's whole model too, and as `gguf`.

    Raises EngineError where the folder exists, nobody is covered, the variant is no set of weights, or
    llama.cpp's converter is not here.
    """
    if folder.exists():
        raise EngineError(f"{folder} exists already.", "Name a new folder, or move that one away.")
    if gguf and merged is None:
        raise EngineError("A GGUF file is one persona's whole model.", "Name her: --merged PERSONA --gguf")
    if gguf:
        llama.converter()  # before the work
    recipe, shelf = read_recipe(variant.recipe), Shelf(ws)
    sides = _sides(ws, variant, shelf)
    if merged is not None and merged not in sides:
        raise EngineError(
            f"{variant.variant} does not cover {merged}.", f"It covers: {', '.join(list(sides)[:8])}."
        )
    change = shelf.change(sides[merged].effects) if merged is not None else None
    if gguf and change is not None and (change.prefix is not None or change.offsets):
        raise EngineError(
            f"A GGUF file holds weights alone, and {variant.variant} acts by more than weights.",
            "Leave --gguf out: the folder holds the rest beside the merged model.",
        )
    base = load_base(base_of(ws).name)
    with whole(folder) as part:
        homes = _write_changes(base, shelf, sides, part)
        write_json(part / "recipe.json", recipe.as_json())
        write_json(part / "personas.json", homes)
        _write_prompts(ws, base, shelf, variant, list(sides), part / "prompts.jsonl")
        if merged is not None:
            _write_merged(base, change, part / "merged")
        if gguf:
            llama.convert(part / "merged", part / GGUF)
        beside = list(_beside(base, shelf, sides.values()))
        card = _card(ws, variant, homes, beside, merged=merged, gguf=gguf)
        (part / "README.md").write_text(card, encoding="utf-8")
    whole_at = folder / "merged" if merged is not None else None
    return Exported(folder, homes, whole_at, folder / GGUF if gguf else None)


def _sides(ws: Workspace, variant: Variant, shelf: Shelf) -> dict[str, Side]:
    """Return the one side that answers for each persona that is covered."""
    recipe, found = read_recipe(variant.recipe), dict[str, Side]()
    for persona in load_dataset(ws).personas:
        try:
            sides = shelf.sides(recipe, persona.persona_id)
        except NotCovered:
            continue
        choosing = any(isinstance(effect, Library) for effect in sides[0].effects)
        if len(sides) > 1 or choosing or sides[0].remote is not None:
            several = "many adapters" if choosing else "several models"
            what = "a remote model" if sides[0].remote is not None else f"{several} token by token"
            raise EngineError(
                f"{variant.variant} is {what}, no set of weights.",
                f"Serve it instead: python -m engine serve {variant.variant}",
            )
        found[persona.persona_id] = sides[0]
    if not found:
        raise EngineError(f"{variant.variant} covers nobody here.", "Run it for these personas.")
    return found


def _write_changes(base: Base, shelf: Shelf, sides: Mapping[str, Side], folder: Path) -> dict[str, str]:
    """Write each distinct change once; return the folder of each persona's, "" where nothing acts."""
    whose: dict[Change | None, list[str]] = {}
    for persona, side in sides.items():
        whose.setdefault(shelf.change(side.effects), []).append(persona)
    homes: dict[str, str] = {}
    for number, (change, personas) in enumerate(whose.items()):
        shared = "everybody" if len(whose) == 1 else f"group-{number}"
        name = personas[0] if len(personas) == 1 else shared
        if change is not None:
            save_change(base, change, folder / "adapters" / name)
        homes.update(dict.fromkeys(personas, f"adapters/{name}" if change is not None else ""))
    return dict(sorted(homes.items()))


def save_change(base: Base, change: Change, folder: Path) -> None:
    """Write a change in PEFT's format: its LoRA into `folder`, a prefix and offsets into folders within."""
    make_folder(folder)
    if change.factors:
        rank = max(a.shape[0] for a, _ in change.factors.values())
        factors = {path: _padded(pair, rank) for path, pair in change.factors.items()}
        shape = LoraShape.whole(rank, factors)
        kind = str(base.model.config.model_type)
        save_lora(Lora(factors, 1.0), shape, folder, base=base.name, architecture=kind)
    if change.prefix is not None:
        where = folder / PREFIX if change.factors else folder
        save_prefix(PrefixStates(change.prefix), where, base.model, base=base.name)
    if change.offsets:
        save_offsets(Offsets(change.offsets), folder / ACTIVATIONS, base=base.name)


def _padded(pair: tuple[Tensor, Tensor], rank: int) -> tuple[Tensor, Tensor]:
    a, b = pair
    missing = rank - a.shape[0]
    if not missing:
        return a, b
    return torch.cat([a, a.new_zeros(missing, a.shape[1])]), torch.cat([b, b.new_zeros(len(b), missing)], 1)


def _write_prompts(
    ws: Workspace, base: Base, shelf: Shelf, variant: Variant, covered: Sequence[str], path: Path
) -> None:
    """Write what the model reads for a message of each persona: memories and profile stand in it."""
    asker = Asker(ws, base, shelf, max_new_tokens=64)
    recipe = read_recipe(variant.recipe)
    message = (Message("user", "Good evening."),)
    shown = covered if recipe.prompt != Prompt() else covered[:1]
    asked = [Example(f"prompt/{persona}", persona, "", 0, message, "", {}) for persona in shown]
    with path.open("w", encoding="utf-8") as lines:
        for persona, ask in zip(shown, asker.asks(recipe, asked), strict=True):
            text = str(base.tokenizer.decode(list(ask.rows[0].ids)))
            lines.write(json.dumps({"persona": persona, "prompt": text}, ensure_ascii=False) + "\n")


def _write_merged(base: Base, change: Change | None, folder: Path) -> None:
    """Write the whole model with a change in its weights, and its tokenizer."""
    with written(base.model, change):
        base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    if change is not None and change.prefix is not None:
        save_prefix(PrefixStates(change.prefix), folder / PREFIX, base.model, base=str(folder))
    if change is not None and change.offsets:
        save_offsets(Offsets(change.offsets), folder / ACTIVATIONS, base=str(folder))


def _card(
    ws: Workspace,
    variant: Variant,
    homes: Mapping[str, str],
    beside: Sequence[str],
    *,
    merged: str | None,
    gguf: bool,
) -> str:
    spec, dataset = read_spec(ws.run_folder(variant.run_id)), load_dataset(ws)
    found, base, told = peft_base(base_of(ws).name), base_of(ws), read_json(ws.dataset / "card.json")
    protocol, scores = _scores(ws, variant)
    apart = len({home for home in homes.values() if home})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=False
    )
    return environment.get_template("card.md.jinja").render(
        variant=variant.variant,
        what=_what(variant, apart),
        experiment=spec.experiment,
        run_id=variant.run_id,
        seed=spec.seed,
        base=base.name,
        base_id=hub_id(base.name)[0] if found[1] else "",
        fingerprint=base.fingerprint,
        dataset=told.get("source", ""),
        data_hash=str(told.get("data_hash", ""))[:16],
        personas=len(dataset.personas),
        dialogues=len(dataset.dialogues),
        covered=len(homes),
        protocol=protocol,
        scores=scores,
        folders=_folders(apart, merged, gguf),
        beside=beside,
    )


def _what(variant: Variant, apart: int) -> str:
    if not apart:
        return "The base model itself: what is personal about it stands in the prompt."
    of = "one adapter that everybody shares" if apart == 1 else f"{apart} adapters"
    return f"A way of personalising the base model: {of}, by persona in `personas.json`."


def _folders(apart: int, merged: str | None, gguf: bool) -> str:
    lines = []
    if apart:
        lines.append(
            "`personas.json` names the folder of each persona. Plain PEFT loads one: "
            "`PeftModel.from_pretrained(base, FOLDER)`."
        )
    if merged is not None:
        lines.append(f"`merged/` is the whole model for {merged}: `AutoModelForCausalLM.from_pretrained`.")
    if gguf:
        lines.append(f"`{GGUF}` is the same in one file, for llama.cpp and what is built on it.")
    return "\n".join(lines)


def _beside(base: Base, shelf: Shelf, sides: Collection[Side]) -> Iterable[str]:
    """Yield what others' hands would leave out without a word: with it the weights are the variant."""
    if type(base.tokenizer) is PreTrainedTokenizerFast:
        yield (
            "The tokenizer as it was saved: `PreTrainedTokenizerFast.from_pretrained`. For some models "
            "`AutoTokenizer` puts that of the best known model in its place, which splits numbers otherwise."
        )
    changes = [change for side in sides if (change := shelf.change(side.effects)) is not None]
    if any(change.prefix is not None and change.factors for change in changes):
        yield f"`{PREFIX}/` in a folder: PEFT's prefix tuning, which acts together with the LoRA around it."
    if any(change.offsets for change in changes):
        yield f"`{ACTIVATIONS}/` in a folder: offsets to add to what layers give. PEFT leaves them out."
    prompts = {side.prompt for side in sides}
    if any(prompt.profile for prompt in prompts):
        yield "The persona's profile stands in the prompt; `prompts.jsonl` has every persona's."
    if most := max((prompt.memories for prompt in prompts), default=0):
        told = count(most, "memory", "memories")
        yield f"{told} of the persona's own past stand in the prompt, chosen by likeness."


def _scores(ws: Workspace, variant: Variant) -> tuple[str, list[dict[str, str]]]:
    """Return the protocol and the variant's scores: on validation, and on test where that was looked at."""
    try:
        found = compare_variants(ws, split="val", variants=[variant.variant])
    except EngineError:
        return "", []
    protocol, rows = str(found["protocol"]), [_score(found, variant)]
    if variant.variant_id in {look.variant_id for look in looks.seen(ws, looks.at(found))}:
        tested = compare_variants(ws, split="test", variants=[variant.variant])
        rows += [_score(table, variant) for table in (tested, tested["unseen"]) if table is not None]
    return protocol, [row for row in rows if row]


def _score(found: Mapping[str, Any], variant: Variant) -> dict[str, str]:
    row = next((one for one in found["rows"] if one["variant_id"] == variant.variant_id), None)
    if row is None:
        return {}
    metric = METRICS[found["metric"]]
    level = f"{metric.level(row['mean'])}{' of 100' if metric.in_points else ''}"
    words = f"{level} over {count(row['n_paired'], 'persona')}"
    if row["delta"] is not None and row["variant"] != found["reference"]:
        gain = f"{metric.change(row['delta'])} ({metric.spread(row['ci_low'], row['ci_high'])})"
        words += f"; {gain} against {found['reference']}: {row['verdict']}"
    return {"label": str(found["metric"]), "split": str(found["split"]), "words": words}
