"""What a run would refuse once it works, and is known before: from what it is asked, its base, and the runs
that it stands on. A plan asks it of every run that is still to be done; strategies add their own (`fits`).

Launches nothing, loads no model, and lets pass what only the run can know.
"""

from engine.lm.layers import refuse_prefix
from engine.lm.lengths import POSITIONS, no_room
from engine.strategies.room import base_config
from engine.strategies.spec import ChosenOnVal, Experiment, Wish, no_val


def refuse_hopeless(entry: Experiment, wish: Wish) -> None:
    """Raise EngineError where a run could only fail."""
    _refuse_choices_without_val(entry, wish)
    _refuse_what_its_base_cannot(entry, wish)
    entry.fits(wish)


def _refuse_choices_without_val(entry: Experiment, wish: Wish) -> None:
    asked = wish.spec.parameters
    open_ = [
        name
        for name, field in entry.parameters.model_fields.items()
        if any(isinstance(mark, ChosenOnVal) for mark in field.metadata) and len(asked.get(name) or ()) > 1
    ]
    if open_ and not wish.judges_on_val:
        raise no_val(", ".join(open_))


def _refuse_what_its_base_cannot(entry: Experiment, wish: Wish) -> None:
    config = base_config(wish.ground.base)
    length = int(wish.spec.parameters.get("length") or 0)
    if length:
        refuse_prefix(config.get("layer_types"))
    window = next((config[name] for name in POSITIONS if isinstance(config.get(name), int)), 0)
    most = int(wish.spec.protocol["max_new_tokens"])
    if "generate" in entry.stages and 0 < window <= most + length:
        raise no_room(most, window, length)
