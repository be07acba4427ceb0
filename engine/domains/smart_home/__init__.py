"""The domain of smart homes: devices, settings, and what a reply does to them (EdgeWisePersona's subject).

Owns the record; grammar, behaviour and augmentation are loaded when they are first asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from engine.core.types import Dataset, Dialogue, Message, Persona
from engine.domains.domain import Augmenting, CoPrimary, Domain, Interaction, Method
from engine.domains.smart_home.actions import acts
from engine.domains.smart_home.routines import FACTS, in_words, word

if TYPE_CHECKING:
    from engine.domains.domain import Matrix

RULES: Final[Mapping[str, str]] = {
    "paraphrase": "Paraphrase",
    "synonyms": "Synonyms",
    "context-variation": "Other time or weather",
    "context-noise": "Noise",
}


def _habits(interactions: Mapping[str, Sequence[Interaction]]) -> "Matrix":
    from engine.domains.smart_home.behaviour import habits, standardised

    return standardised(habits(interactions))


def _methods(sources: Sequence[Dialogue]) -> Callable[[Persona], Mapping[str, Method]]:
    from engine.domains.smart_home.augment.methods import make_rules

    return make_rules(sources)


def _keeps(before: Message, after: Message) -> bool:
    from engine.domains.smart_home.augment.methods import does_the_same

    return does_the_same(before, after)


def _recognises(dataset: Dataset) -> bool:
    """EdgeWisePersona's circumstances in the metadata, or a quarter of the replies that set a device."""
    known = [dialogue for dialogue in dataset.dialogues if set(dialogue.meta) & {"sun_phase", "outdoor_temp"}]
    if known:
        return 2 * len(known) >= len(dataset.dialogues)
    replies = [one.text for row in dataset.dialogues[:200] for one in row.messages if one.role == "assistant"]
    setting = sum(any(act.aspect for act in acts(text)) for text in replies)
    return bool(replies) and 4 * setting >= len(replies)


OF_ACTS: Final = (
    "device_precision",
    "device_recall",
    "device_f1",
    "param_precision",
    "param_recall",
    "param_f1",
    "numerical_precision",
    "numerical_recall",
    "numerical_mae",
    "exact_action_match",
)

SMART_HOME: Final = Domain(
    name="smart-home",
    title="Smart home",
    about="People who ask the assistant of their home to set its devices.",
    instruction="You are the assistant of a smart home.",
    metrics=("embedding_similarity", *OF_ACTS, "length_ratio"),
    shown=FACTS,
    word=word,
    also_up=("param_f1", "numerical_precision"),
    # A wrong number in the same words has a cosine of 0.98: what is done must hold beside what is said.
    co_primary=CoPrimary("exact_action_match", margin=0.05, words=("wording", "actions")),
    acts=acts,
    acts_title="Devices named in replies",
    topic="Device",
    of_acts=OF_ACTS,
    habits=_habits,
    augmenting=Augmenting(
        rules=RULES,
        make=_methods,
        keeps=_keeps,
        rewording=(
            "Reword what a user says to a smart home. Keep its meaning and every device, room, name, setting"
            " and number. Answer with the new wording alone."
        ),
    ),
    embedded_base_fits=True,
    routines=in_words,
    assistant="Home",
    recognises=_recognises,
)
