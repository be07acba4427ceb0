"""Replies that have been paid for: kept as they come, found again by every later run that would ask the same.

Owns remote-replies.jsonl in a run's folder. A run that failed, was cancelled, or had another budget or pace
has not paid in vain. Another seed asks anew: that is how the noise of an endpoint is measured.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine.core.paths import Workspace, read_rows
from engine.lm.prompts import PROMPT_VERSION
from engine.lm.remote.endpoint import Said
from engine.runs.records import scan
from engine.runs.runfolder import RunSpec, append_line

REPLIES = "remote-replies.jsonl"
_ASKED = ("provider", "model", "base_url", "temperature", "profile", "memories")


@dataclass(frozen=True, slots=True)
class _Paid:
    """One line: what was said to an example, and the version of the prompt that asked."""

    example: str
    prompt: int
    said: Said


def keep(folder: Path, example_id: str, said: Said) -> None:
    """Append one reply to those that a run has paid for."""
    line = _Paid(example_id, PROMPT_VERSION, said)
    append_line(folder / REPLIES, json.dumps(asdict(line), ensure_ascii=False))


def read(folder: Path) -> dict[str, Said]:
    """Return example id -> reply of one run; torn lines and those to another prompt version are left out."""
    kept: list[_Paid] = read_rows(folder / REPLIES, _Paid)  # one torn by a kill is asked again
    return {one.example: one.said for one in kept if one.prompt == PROMPT_VERSION}


def elsewhere(ws: Workspace, spec: RunSpec, wanted: Iterable[str]) -> dict[str, Said]:
    """Return example id -> reply of other runs that asked the very same, the newest first."""
    missing, found = set(wanted), dict[str, Said]()
    for record in sorted(scan(ws), key=lambda one: -one.order):
        theirs = record.spec
        if theirs is None or record.run_id == spec.run_id or _question(theirs) != _question(spec):
            continue
        known = read(ws.run_folder(record.run_id))
        for one in missing & known.keys() - found.keys():
            found[one] = replace(known[one], taken_from=known[one].taken_from or record.run_id)
    return found


def longest_reply(parameters: Mapping[str, Any], protocol: Mapping[str, Any]) -> int:
    """Return how many tokens a reply may have: as asked for, else as every variant's."""
    return int(parameters.get("max_output_tokens") or protocol["max_new_tokens"])


def _question(spec: RunSpec) -> tuple[Any, ...]:
    """All that decides what is asked, the examples apart."""
    asked = tuple(spec.parameters.get(name) for name in _ASKED)
    split = spec.protocol.get("split_hash")
    longest = longest_reply(spec.parameters, {"max_new_tokens": 0, **spec.protocol})
    return spec.experiment, spec.version, spec.seed, spec.data_hash, split, longest, asked
