"""What makes two protocols different, in words. Owns the refusal to compare across them unasked.

Scores are comparable under one protocol only. Under two they are refused with the fields that differ, or
shown, where the user asks for it, beside the same words.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.errors import EngineError
from engine.runs.protocol import BASE, BASE_NAME, WRITTEN_AS

WORDS: Mapping[str, str] = {
    "data_hash": "data",
    "split": "way of splitting",
    "split_hash": "dialogues of each split",
    "splits": "splits scored",
    "examples_per_persona": "examples a persona",
    "examples_hash": "examples",
    "max_new_tokens": "longest reply in tokens",
    "decoding": "decoding",
    "domain": "domain",
    "base": "base model",
    "prompt_version": "prompt",
    "scorer": "scorer",
    "metrics_version": "metrics",
    "dtype": "number format",
    "device": "device",
    "kernel": "kernel",
    "batch_plan": "batches",
    "imported": "scores published elsewhere",
    "paired_by": "paired by",
    "scored_on": "examples of each variant",
}
_REMARKS = frozenset({"warnings", "files", BASE_NAME, WRITTEN_AS})  # they follow from the other fields
_LONGEST = 40
_HASH = 8


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which two protocols differ; a value is None where a protocol lacks the field."""

    field: str
    here: Any
    there: Any

    def __str__(self) -> str:
        here, there = _spelled(self.field, self.here), _spelled(self.field, self.there)
        words = WORDS.get(self.field, self.field.replace("_", " "))
        return f"{words} ({here} here, {there} there)" if here != there else words


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[Difference]:
    """Return the fields in which two protocols differ, those with words first."""
    order = {name: place for place, name in enumerate(WORDS)}
    names = sorted((here.keys() | there.keys()) - _REMARKS, key=lambda name: (order.get(name, 99), name))
    return [
        Difference(name, _told(name, here), _told(name, there))
        for name in names
        if here.get(name) != there.get(name)
    ]


def _told(name: str, fields: Mapping[str, Any]) -> Any:
    return base_words(fields) if name == BASE and name in fields else fields.get(name)


def base_words(fields: Mapping[str, Any]) -> str:
    """Word the base a protocol stands on: its name and the beginning of what tells its contents apart."""
    name = str(fields.get(BASE_NAME, "")).partition("@")[0].rstrip("/").rpartition("/")[2]
    mark = str(fields.get(BASE, ""))
    return f"{name} {mark[:_HASH] if mark.isalnum() else mark}".strip() or "not said"


def older_words(older: Sequence[str]) -> str:
    """Word what stands in a table from runs that wrote its protocol in an older form."""
    names = ", ".join(older)
    return (
        f"Runs made before protocols named their base model count too (written then as {names}): the base is "
        "the one that their specs name."
    )


def told(found: Sequence[Difference]) -> str:
    """Word the differences in one line: "examples a persona (10 here, 20 there); examples"."""
    return "; ".join(str(one) for one in found) or "nothing that is written down"


def refusal(variant: str, reference: str, found: Sequence[Difference]) -> EngineError:
    """Return the error for two variants that were never scored alike."""
    return EngineError(
        f"{variant} and {reference} were not scored under one protocol. What differs: {told(found)}.",
        "Score both alike (run the experiment again with the same evaluation settings), or ask for the "
        "comparison all the same: compare --across-protocols.",
    )


def _spelled(field: str, value: Any) -> str:
    if value is None:
        return "not said"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value[:_HASH] if field.endswith("_hash") else value[:_LONGEST]
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{len(value)} entries" if hasattr(value, "__len__") else text
