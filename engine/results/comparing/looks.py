"""Looks at test: which variants were judged on the test split, under which protocol, and when first.

Owns data/looks.jsonl, which is only ever appended to: a rebuilt database forgets no look. A look is one
variant under one protocol; showing the same verdict again is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.core.locks import locked
from engine.core.machine import read_only
from engine.core.paths import Workspace, read_rows
from engine.runs.runfolder import append_line, now

_FILE = "looks.jsonl"


@dataclass(frozen=True, slots=True)
class Look:
    """The first time that somebody saw a variant's test scores under a protocol. `at` is for people."""

    at: str
    protocol: str
    variant_id: str
    variant: str


def seen(ws: Workspace, protocol: str, older: Sequence[str] = ()) -> list[Look]:
    """Return the looks under one protocol, first to last; `older` are hashes of older forms of it."""
    return [look for look in _read(_path(ws)) if look.protocol in (protocol, *older)]


def record(ws: Workspace, protocol: str, variants: Mapping[str, str], older: Sequence[str] = ()) -> int:
    """Note that these variants (id -> name) are seen on test; return how often test was seen by now.

    `older` are the hashes under which the protocol was written in older forms.

    Side effect: appends what is new to data/looks.jsonl; in a read-only workspace nothing is written.
    """
    known = {look.variant_id for look in seen(ws, protocol, older)}
    if not variants.keys() <= known and not read_only(ws):
        with locked(_path(ws).with_name(".looks.lock"), what="The record of looks at test"):
            known = {look.variant_id for look in seen(ws, protocol, older)}
            for variant_id in sorted(variants.keys() - known):
                look = Look(now(), protocol, variant_id, variants[variant_id])
                append_line(_path(ws), json.dumps(asdict(look), ensure_ascii=False))
    return len(known | variants.keys())


def _path(ws: Workspace) -> Path:
    return ws.data / _FILE


def _read(path: Path) -> list[Look]:
    """Every look once; a line torn by a kill or of another form is left out."""
    found: dict[tuple[str, str], Look] = {}
    for row in read_rows(path):
        try:
            look = Look(**row)
        except TypeError:
            continue  # written again at the next look
        found.setdefault((look.protocol, look.variant_id), look)
    return list(found.values())
