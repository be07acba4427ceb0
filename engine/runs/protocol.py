"""A protocol: all that makes replies comparable, written down and hashed. Owns its form, and older ones.

A protocol written before a field existed is completed from the spec of its run, so that results made then
stand beside those of today exactly where nothing else changed, and apart where something did.
"""

from collections.abc import Mapping
from typing import Any

from engine.runs.runfolder import RunSpec, fingerprint

BASE, BASE_NAME, WRITTEN_AS = "base", "base_name", "written_as"
_SAID_BESIDE = frozenset({BASE_NAME, WRITTEN_AS})  # for people: another name of the same is the same
_SPLITS = ("val", "test", "unseen")
_UNKNOWN = "not written down"
_METRICS = "metrics_version"
"""Told by older protocols of all metrics at once. It makes scores of a metric comparable, not replies."""


def protocol_id(fields: Mapping[str, Any]) -> str:
    """Return the hash that two protocols share when replies under them are comparable."""
    return fingerprint({name: value for name, value in fields.items() if name not in _SAID_BESIDE}, 12)


def base_fields(spec: RunSpec) -> dict[str, Any]:
    """Return what a protocol says of the base: what tells its contents apart, and its name."""
    return {BASE: spec.base_fingerprint or _UNKNOWN, BASE_NAME: spec.base}


def without_remarks(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a protocol to declare anew: without the hash under which it was written once."""
    return {name: value for name, value in fields.items() if name != WRITTEN_AS}


def in_todays_form(
    declared: Mapping[str, Mapping[str, Any]], spec: RunSpec
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return for each hash under which a run declared a protocol: today's hash, and it completed."""
    known = {name: completed(fields, spec) for name, fields in declared.items()}
    return {name: (protocol_id(fields) if fields else name, fields) for name, fields in known.items()}


def completed(fields: Mapping[str, Any], spec: RunSpec) -> dict[str, Any]:
    """Return a protocol in today's form; one of an older form says under which hash it was written.

    Published scores and those of remote models stand on no base of ours.
    """
    found = dict(fields)
    if not found or found.get("imported"):
        return found
    found.pop(_METRICS, None)
    if isinstance(found.get("splits"), list):
        found["splits"] = [name for name in _SPLITS if name in found["splits"]]
    if BASE not in found and found.get("device") != "remote":
        found |= base_fields(spec)
    written = protocol_id(fields)
    return found if protocol_id(found) == written else {**found, WRITTEN_AS: written}
