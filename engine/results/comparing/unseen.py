"""The second table of a comparison on test: the same question asked of personas kept out of all training.

Owns which variants stand in it and which are said to serve no such persona. Its verdicts and Holm's family
are over what serves them, and seeing it is a look at test dialogues of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.core.paths import Workspace
from engine.core.wording import count
from engine.data.splits import UNSEEN
from engine.results import store
from engine.results.comparing import leakage, row_role
from engine.results.comparing.scene import Scene
from engine.results.store.statistics import DEFAULT_REFERENCES

CANNOT = "cannot serve unseen personas"
SEEN_ONLY = "This speaks of seen personas only: none was kept out of training."
UNSEEN_ONLY = "Unseen personas only: none has dialogues to train on."
Found = Mapping[str, Any]


def beside_test(
    ws: Workspace, scene: Scene, compared: Callable[..., dict[str, Any]], **asked: Any
) -> dict[str, Any] | None:
    """Return the table (of `compare_variants`) over unseen personas, None where nobody was scored on them.

    It holds beside its other keys `cannot_serve`, the contenders of the seen personas' table without a
    score there. `asked` is what that table was asked; its reference is kept where it serves them.
    """
    scored = store.overview(ws).coverage
    here = scored[(scored["split"] == UNSEEN) & (scored["protocol"] == scene.protocol)]
    served = [str(name) for name in here["variant"]]
    default = next((name for name in DEFAULT_REFERENCES if name in served), None)
    reference = scene.reference.variant if scene.reference.variant in served else default
    if reference is None:
        return None
    names: Sequence[str] = asked.pop("variants")
    kept = [name for name in names if name in served] or ([reference] if names else [])
    table = compared(
        ws,
        **asked,
        split=UNSEEN,
        protocol=scene.protocol,
        reference=reference,
        variants=kept,
        bands=False,
        metric=scene.metric.name,
    )
    held = [
        one.variant
        for one in scene.under(scene.protocol)
        if one.variant not in served
        and scene.role(one) not in row_role.CONTROLS
        and (not names or one.variant in names)
    ]
    return {**table, "cannot_serve": held}


def words(ws: Workspace, found: Found) -> str:
    """Say of whom a table speaks, in a line; "" on val and for the second table itself."""
    if found["split"] != "test":
        return ""
    table = found.get("unseen")
    if table is None:
        seen, unseen = leakage.strangers(ws, "test")
        both = f"{count(len(seen), 'persona')} have dialogues to train on, {len(unseen)} are unseen."
        return both if seen and unseen else UNSEEN_ONLY if unseen else SEEN_ONLY
    people = max((row["n_paired"] for row in table["rows"]), default=0)
    told = f"Seen personas; below, {count(people, 'persona')} kept out of all training."
    return f"{told} {', '.join(table['cannot_serve'])}: {CANNOT}." if table["cannot_serve"] else told
