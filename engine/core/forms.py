"""The form of the JSON files of a workspace, by their names, and what is wrong with one of another form.

A form is a type, a tuple of types (any of them), a list of one form (a list of such), or a mapping: its keys
must be there unless they end in "?"; the key "*" is the form of every other value. Owns what every reader may
rely on; a reader that needs more says so itself. Reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTHING = type(None)
TEXT, NUMBER = (str, NOTHING), (int, float, NOTHING)
_WORDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    NOTHING: "null",
}

PROCESS = {"boot_id": str, "pid": int, "start_ticks": int}
_COUNTS = {"personas": int, "dialogues": int, "personas_with_character": int}
_VARIANT = {
    "name": str,
    "family": str,
    "recipe": dict,
    "parameters_trained?": (int, NOTHING),
    "train_seconds?": NUMBER,
    "aliases?": ([str], NOTHING),
}
_STORED = {"run": str, "name": str, "kind?": str, "weight?": (int, float), "scale?": (int, float)}

FORMS: dict[str, Any] = {
    "workspace.json": {
        "dataset": {"source?": str, "data_hash?": str},
        "base": str,
        "split": str,
        "seed": int,
        "files?": {"*": str},
        "base_files?": {"*": str},
    },
    "card.json": {"data_hash": str, "counts": _COUNTS, "source?": str, "notes?": [str], "left_out?": [dict]},
    "splits.json": {
        "scheme": str,
        "assignment": {"*": str},
        "online?": [str],
        "checks?": [{"name": str, "ok": bool, "detail": str}],
        "statistics?": dict,
    },
    "machine.json": dict,
    "references.json": {"*": {"run_id": str, "at": str, "by": str, "instead_of": TEXT}},
    "kernels.json": {"*": dict},
    "spec.json": {
        "experiment": str,
        "version": int,
        "parameters": dict,
        "seed": int,
        "data_hash": str,
        "base": str,
        "upstream?": {"*": str},
        "protocol?": dict,
        "base_fingerprint?": str,
        "stages?": {"*": (int, float)},
        "changed?": [str],
        "created_at?": str,
        "versions?": {"*": str},
        "estimate_seconds?": NUMBER,
        "expected?": {"*": (int, float)},
    },
    "status.json": {
        "state": str,
        "order?": int,
        "attempt?": int,
        "launcher?": str,
        "launch?": dict,
        "device?": str,
        "progress?": (int, float),
        "stage?": str,
        "done?": (int, float),
        "total?": (int, float),
        "unit?": str,
        "eta_seconds?": NUMBER,
        "eta_is_rough?": bool,
        "seconds?": (int, float),
        "stage_seconds?": {"*": (int, float)},
        "supervisor?": (PROCESS, NOTHING),
        "worker?": (PROCESS, NOTHING),
        "heartbeat?": ({"boot_id": str, "monotonic": (int, float), "at": str}, NOTHING),
        "queued_at?": TEXT,
        "started_at?": TEXT,
        "ended_at?": TEXT,
        "error?": TEXT,
        "hint?": TEXT,
        "exit_code?": (int, NOTHING),
        "signal?": TEXT,
        "freed_bytes?": (int, NOTHING),
    },
    "done.json": {
        "run_id?": str,
        "finished_at": str,
        "files": {"*": str},
        "adapters?": {"*": str},
        "protocols": {"*": dict},
        "variants": [_VARIANT],
        "summary?": dict,
    },
    "variants.json": [_VARIANT],
    "protocols.json": {"*": dict},
    "summary.json": dict,
    "cancel.json": {"attempt": int},
    "clusters.json": {
        "assignment": {"*": int},
        "k?": int,
        "sizes?": (list, dict),
        "features?": str,
        "map?": {"*": [(int, float)]},
        "centroids_similarity?": {"*": (int, float)},
        "silhouette?": NUMBER,
        "warning?": TEXT,
    },
    "personas.json": {"*": [_STORED]},
    "weights.json": {
        "assignment": {"*": str},
        "merges": {"*": {"weights": {"*": (int, float)}}},
    },
    "routes.json": {
        "candidates": {"*": {"recipe": dict}},
        "routes": {"*": {"variant": str}},
    },
    "placebo.json": {"donors": {"*": str}},
    "training.json": [{"name": str, "personas": [str]}],
    "augmentation.json": {
        "sources": int,
        "made": int,
        "total": int,
        "rejected": {"*": int},
        "by_method": dict,
    },
    "adapter_config.json": dict,
    ".standby.json": dict,
    ".results-stamp.json": dict,
}

WHOLE_CARD = {
    **FORMS["card.json"],
    "source": str,
    "split": str,
    "counts": {**_COUNTS, "messages": int, "examples": int, "personas_with_routines": int},
    "statistics": dict,
}
"""What pages and the report need of card.json."""


def fault(form: Any, value: Any, where: str = "") -> str:
    """Return what is wrong with `value` where a form is wanted, "" when nothing is."""
    if isinstance(form, tuple):
        found = [fault(one, value, where) for one in form]
        return "" if "" in found else _nearest(form, found, value, where)
    if isinstance(form, type):
        return "" if _is(value, form) else _other(where, _WORDS[form], value)
    if isinstance(form, list):
        if not isinstance(value, list):
            return _other(where, _WORDS[list], value)
        places = ((form[0], entry, f"{where}[{place}]") for place, entry in enumerate(value))
        return next((wrong for one in places if (wrong := fault(*one))), "")
    if not isinstance(value, dict):
        return _other(where, _WORDS[dict], value)
    return _fault_of_keys(form, value, where)


def _fault_of_keys(form: Mapping[str, Any], value: Mapping[str, Any], where: str) -> str:
    named = {name.removesuffix("?"): wanted for name, wanted in form.items()}
    for name in form:
        if not name.endswith("?") and name != "*" and name not in value:
            return f"{_at(where, name)} is missing"
    for name, entry in value.items():
        wanted = named.get(name, named.get("*"))
        if wanted is not None and (wrong := fault(wanted, entry, _at(where, name))):
            return wrong
    return ""


def _nearest(form: tuple[Any, ...], found: list[str], value: Any, where: str) -> str:
    """The fault by the alternative that `value` was meant as; where it is none of them, all of them."""
    for one, wrong in zip(form, found, strict=True):
        if (isinstance(one, Mapping) and isinstance(value, dict)) or (
            isinstance(one, list) and isinstance(value, list)
        ):
            return wrong
    return _other(where, " or ".join(_word(one) for one in form), value)


def _word(form: Any) -> str:
    return _WORDS[form if isinstance(form, type) else list if isinstance(form, list) else dict]


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _other(where: str, wanted: str, value: Any) -> str:
    return f"{where or 'it'} must be {wanted}, is {_WORDS.get(type(value), type(value).__name__)}"
