"""Looks at test: which verdicts were read off a set of test dialogues, and when first.

Owns data/looks.jsonl, which is only ever appended to: a rebuilt database forgets no look. A look is one
variant in one metric on one set of test dialogues, under however many protocols (another number of examples,
another length of replies): showing the same verdict again is none.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.core.machine import read_only
from engine.core.paths import Workspace
from engine.core.wording import count
from engine.data.splits import UNSEEN
from engine.runs.ledger import Ledger
from engine.runs.protocol import WRITTEN_AS
from engine.runs.runfolder import declared, fingerprint, now

_DIALOGUES = ("data_hash", "split_hash")
_TOLD_BY_RUN = "gain_test"  # in the summary of routing runs that judged themselves on test, in their own log


@dataclass(frozen=True, slots=True)
class Look:
    """The first time that somebody saw a variant's test scores in a metric. `at` is for people.

    Looks of earlier versions name a protocol alone: they were at the study's primary metric.
    """

    at: str
    protocol: str
    variant_id: str
    variant: str
    metric: str = ""
    test_set: str = ""


_LOOKS = Ledger("looks", "looks at test", Look)
path, size = _LOOKS.path, _LOOKS.size


@dataclass(frozen=True, slots=True)
class TestSet:
    """One set of test dialogues: its name, the hashes of all protocols that score on it, and the metric that
    looks of earlier versions were at."""

    name: str
    protocols: frozenset[str] = frozenset()
    primary: str = ""


def test_set(protocol: str, fields: Mapping[str, Mapping[str, Any]], primary: str, *, split: str) -> TestSet:
    """Return the test dialogues that a protocol scores on; `fields` are those of every protocol known.

    Those of unseen personas are a set of their own. Published scores say nothing of their dialogues: their
    protocol stands for them.
    """
    name = _name(protocol, fields.get(protocol, {}))
    named = f"{name} {UNSEEN}" if split == UNSEEN else name
    same = [other for other, told in fields.items() if _name(other, told) == name]
    older = [written for other in same for written in fields[other].get(WRITTEN_AS, ())]
    return TestSet(named, frozenset((protocol, *same, *older)), primary)


def at(found: Mapping[str, Any]) -> TestSet:
    """Return the test dialogues that a comparison (of `compare_variants`) is about."""
    told = found["test_set"]
    return TestSet(told["name"], frozenset(told["protocols"]), told["primary"])


def _name(protocol: str, fields: Mapping[str, Any]) -> str:
    told = [fields.get(name) for name in _DIALOGUES]
    return f"protocol {protocol}" if None in told else fingerprint(told, 12)


def seen(ws: Workspace, of: TestSet) -> list[Look]:
    """Return the looks at these test dialogues, first to last."""
    found: dict[tuple[str, str], Look] = {}
    for look in _LOOKS.read(ws):  # one of another form is written again at the next look
        if look.test_set == of.name or (not look.test_set and look.protocol in of.protocols):
            whole = replace(look, metric=look.metric or of.primary, test_set=of.name)
            found.setdefault((whole.variant_id, whole.metric), whole)
    return list(found.values())


def record(
    ws: Workspace, of: TestSet, protocol: str, variants: Mapping[str, str], metrics: Iterable[str]
) -> int:
    """Note that these variants (id -> name) are seen on test in these metrics; return how many verdicts on it
    there are by now.

    Side effect: appends what is new to data/looks.jsonl; in a read-only workspace nothing is written.
    """
    asked = {(one, metric) for one in variants for metric in metrics}
    known = {(look.variant_id, look.metric) for look in seen(ws, of)}
    if not asked <= known and not read_only(ws):
        with _LOOKS.lock(ws):
            known = {(look.variant_id, look.metric) for look in seen(ws, of)}
            for one, metric in sorted(asked - known):
                _LOOKS.append(ws, Look(now(), protocol, one, variants[one], metric, of.name))
    return len(known | asked)


def told_by_runs(ws: Workspace, runs: Mapping[str, str]) -> set[str]:
    """Return which of these variants (id -> run) were judged on test by their own run, in its log."""
    return {one for one, run in runs.items() if _TOLD_BY_RUN in declared(ws.run_folder(run), "summary", {})}


def words(looks: Collection[Look]) -> str:
    """Word how often test was seen: "Test seen: 6 verdicts on 2 variants"; "" for never."""
    variants = {look.variant_id for look in looks}
    if not variants:
        return ""
    return f"Test seen: {count(len(looks), 'verdict')} on {count(len(variants), 'variant')}"
