"""A look at what augmentation would do to one persona, before anything is run. Writes nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.data.augment.growing import TAKEN, Growing, grow, training_sources
from engine.data.augment.methods import ALL_RULES, chosen_methods, make_methods
from engine.data.augment.records import Attempt, Nearness
from engine.data.dataset import load_dataset, load_splits
from engine.domains.registry import domain_of


@dataclass(frozen=True, slots=True)
class Preview:
    """Some pairs of a persona, how many candidates each reason refused, and a few of those."""

    persona_id: str
    sources: int
    pairs: tuple[Attempt, ...]
    rejected: dict[str, int]
    refused: tuple[Attempt, ...]


def preview(
    ws: Workspace,
    persona_id: str,
    n: int = 3,
    *,
    methods: Sequence[str] = (ALL_RULES,),
    growing: Growing | None = None,
    nearness: Nearness | None = None,
) -> Preview:
    """Return `n` augmented dialogues of a persona, made by rules from her train dialogues.

    Without `nearness` (which needs the scorer's model) the likeness to the source is not judged. Raises
    EngineError for a persona who does not exist or has no train dialogue.
    """
    dataset, splits = load_dataset(ws), load_splits(ws)
    persona = next((one for one in dataset.personas if one.persona_id == persona_id), None)
    if persona is None:
        raise unknown_name("persona", persona_id, [one.persona_id for one in dataset.personas])
    sources = training_sources(dataset, splits)
    own = sources.get(persona_id)
    if not own:
        raise EngineError(
            f"{persona_id} has no train dialogue, so there is nothing to augment.",
            "With a split by persona, choose a persona of the train split.",
        )
    domain = domain_of(ws)
    rules = domain.augmenting.make([dialogue for some in sources.values() for dialogue in some])(persona)
    made = make_methods(chosen_methods(domain, methods), rules=rules)
    base = growing or Growing(seed=int(ws.read_config()["seed"]))
    limited = replace(base, target=len(own) + n, multiple=None)
    grown = grow(own, made, limited, keeps=domain.augmenting.keeps, nearness=nearness)
    by_id = {dialogue.dialogue_id: dialogue for dialogue in own}
    pairs = tuple(
        Attempt(by_id[one.source_id], one.dialogue, one.method, nearness=one.nearness) for one in grown.made
    )
    rejected: Counter[str] = Counter()
    for (_, outcome), count in grown.counts.items():
        rejected[outcome] += count
    del rejected[TAKEN]
    return Preview(persona_id, len(own), pairs, dict(sorted(rejected.items())), tuple(grown.refused))
