"""LoRA adapters from elsewhere, one a persona, made a variant of this workspace."""

from pathlib import Path

from pydantic import Field

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.parameters import Parameters
from engine.core.paths import Workspace, folder_name, plain_name, read_json
from engine.data.dataset import load_dataset
from engine.lm.layers import refuse_misfit
from engine.lm.shape import refuse_more
from engine.runs.runfolder import fingerprint
from engine.strategies.ground import Ground
from engine.strategies.room import base_folder
from engine.strategies.spec import Experiment, StepOf, Traits, Wish

_FILES = ("adapter_config.json", "adapter_model.safetensors")


class ImportedParameters(Parameters):
    """Where the adapters lie, and what the variant is called."""

    folder: str = Field("", description="The folder with one folder a persona, each in PEFT's format.")
    variant: str = Field("adapters", min_length=1, max_length=60, description="The name of the variant.")
    contents: str = Field(
        "", description="The hash of the adapters; left out, it is taken, and a run holds to it."
    )


def _with_contents(parameters: ImportedParameters, _: Ground) -> ImportedParameters:
    """Return the parameters with the hash of what lies in the folder.

    Raises EngineError where there are no adapters, and for one that is more than A and B.
    """
    plain_name(parameters.variant, what="a variant")
    for one in adapter_folders(Path(parameters.folder).expanduser()):
        refuse_more(one, read_json(one / _FILES[0]))
    return parameters.model_copy(update={"contents": contents_of(Path(parameters.folder).expanduser())})


def contents_of(folder: Path) -> str:
    """Return the hash of all adapters in a folder. Raises EngineError where there are none."""
    found = adapter_folders(folder)
    return fingerprint({one.name: [integrity.sha256(one / name) for name in _FILES] for one in found}, 16)


def adapter_folders(folder: Path) -> list[Path]:
    """Return the folders of adapters in a folder, by name. Raises EngineError where there are none, and for
    one without its weights.
    """
    inside = sorted(folder.iterdir()) if str(folder) not in ("", ".") and folder.is_dir() else []
    bare = [one for one in inside if (one / _FILES[0]).is_file() and not (one / _FILES[1]).is_file()]
    if bare:
        raise EngineError(
            f"{bare[0]} holds {_FILES[0]} and no {_FILES[1]}"
            f"{f' ({len(bare)} folders do)' if len(bare) > 1 else ''}.",
            "Save it again as safetensors: pickled weights (adapter_model.bin) are not opened.",
        )
    found = [one for one in inside if all((one / name).is_file() for name in _FILES)]
    if not found:
        raise EngineError(
            f"{folder if str(folder) != '.' else 'The folder'} holds no adapters.",
            "Name the folder with one folder a persona, each with " + " and ".join(_FILES) + ".",
        )
    return found


def owners_of(ws: Workspace, folder: Path) -> dict[str, Path]:
    """Return whose adapter is whose: a folder has its persona's name. Raises EngineError for unknown ones."""
    found = adapter_folders(folder)
    known = {
        name: persona.persona_id
        for persona in load_dataset(ws).personas
        for name in (persona.persona_id, folder_name(persona.persona_id))
    }
    strangers = [one.name for one in found if one.name not in known]
    if strangers:
        raise EngineError(
            f"{len(strangers)} folders are named as no persona here, {strangers[0]!r} among them.",
            f"Name each as its persona, such as {min(known.values())!r}.",
        )
    return {known[one.name]: one for one in found}


def _belongs_here(wish: Wish) -> None:
    """Raise EngineError for adapters of nobody here, and for one that this base cannot wear."""
    base = base_folder(wish.ground.base)
    for one in owners_of(wish.ws, Path(wish.spec.parameters["folder"]).expanduser()).values():
        if base is not None:
            refuse_misfit(one / _FILES[1], base)


STRATEGY = Experiment(
    name="imported-adapters",
    title="Adapters from elsewhere",
    family="imported",
    group="Adapters",
    question="How do adapters that were trained elsewhere answer here, each for its persona?",
    makes="the variant that `variant` names",
    step=StepOf("take_in", "take_in"),
    parameters=ImportedParameters,
    settle=_with_contents,
    settles=("contents",),
    fits=_belongs_here,
    stages={"load": 5.0, "generate": 88.0, "score": 7.0},
    beside=("base",),
    traits=Traits(personal=True, readable=True, mixable=True, divides=("replies",)),
)
