"""The step that takes in adapters from elsewhere: checks each against the base, copies and scores them."""

from collections.abc import Iterable
from pathlib import Path

from engine.core.base_identity import peft_base
from engine.core.errors import EngineError
from engine.core.paths import folder_name, read_json
from engine.lm.adapters import Lora, linear_layers, load_lora, save_lora, sizes
from engine.lm.effects import Own, Recipe, Weights
from engine.lm.load import Base, load_base
from engine.lm.recipes import Shelf, write_personas
from engine.lm.shape import LoraShape
from engine.runs.context import RunContext
from engine.strategies.imported_adapters import contents_of, owners_of
from engine.strategies.steps.scoring import score_variants


def take_in(context: RunContext) -> None:
    """Copy the adapters of the run's folder into the workspace and score the variant they make."""
    context.progress("load", 0, 1)
    given, base = context.spec.parameters, load_base(context.spec.base)
    folder, run_id = Path(given["folder"]), context.spec.run_id
    owners = owners_of(context.workspace, folder)
    if contents_of(folder) != given["contents"]:
        raise EngineError(
            f"The adapters in {folder} were changed since this run was launched.", "Import them again."
        )
    _tell_other_base(context, owners.values())
    parameters = 0
    for persona, source in owners.items():
        lora = load_lora(source)
        _refuse_misfit(lora, base, source)
        parameters += lora.parameters
        save_lora(lora, _shape_of(lora), context.adapters / folder_name(persona), base=context.spec.base)
    write_personas(
        context.workspace, run_id, {persona: [Weights(run_id, folder_name(persona))] for persona in owners}
    )
    recipe = Recipe((Own(run_id),))
    context.variant(given["variant"], recipe.as_json(), family="imported", parameters_trained=parameters)
    context.summary(adapters=len(owners), parameters_trained=parameters)
    score_variants(context, {given["variant"]: recipe}, base=base, shelf=Shelf(context.workspace))


def _tell_other_base(context: RunContext, folders: Iterable[Path]) -> None:
    """Say which other bases the adapters were trained over, by their own word: a name proves nothing, but the
    same sizes are no sign of the same base.
    """
    ours, _ = peft_base(context.spec.base)
    told = {
        str(read_json(one / "adapter_config.json").get("base_model_name_or_path") or "") for one in folders
    }
    others = sorted(one for one in told - {""} if Path(one).name != Path(str(ours)).name)
    if others:
        context.summary(trained_over=others)
        context.log(f"They say that they were trained over {', '.join(others)}; this base is {ours}.")


def _refuse_misfit(lora: Lora, base: Base, folder: Path) -> None:
    layers = linear_layers(base.model)
    for path, (a, b) in lora.factors.items():
        if path not in layers:
            raise EngineError(
                f"The adapter in {folder} changes {path}, which is no linear layer of {base.name}.",
                "Use the base that it was trained over: python -m engine base use NAME",
            )
        if (a.shape[1], b.shape[0]) != sizes(layers[path]):
            raise EngineError(
                f"The adapter in {folder} is of another size than {base.name} in {path}.",
                "Use the base that it was trained over: python -m engine base use NAME",
            )


def _shape_of(lora: Lora) -> LoraShape:
    """Return the shape under which PEFT gives the adapter the same scale."""
    rank = next(iter(lora.factors.values()))[0].shape[0]
    names = sorted({path.rsplit(".", 1)[-1] for path in lora.factors})
    return LoraShape.model_construct(rank=rank, alpha=lora.scale * rank, dropout=0.0, target_modules=names)
