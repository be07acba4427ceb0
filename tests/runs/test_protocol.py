"""Protocols: what makes replies comparable, and what those of older forms meant."""

from __future__ import annotations

from dataclasses import replace

from engine.runs.protocol import WRITTEN_AS, completed, in_todays_form, protocol_id
from engine.runs.runfolder import RunSpec

SPEC = RunSpec(
    experiment="unified",
    version=1,
    parameters={},
    seed=0,
    data_hash="data",
    base="embedded",
    base_fingerprint="abcd",
)
OLDER = {
    "data_hash": "data",
    "metrics_version": "1-1.1",
    "splits": ["val", "test"],
    "decoding": "greedy",
    "device": "cpu",
}


def test_an_older_protocol_is_completed_from_its_runs_spec() -> None:
    found = completed(OLDER, SPEC)
    assert (found["base"], found["base_name"]) == ("abcd", "embedded")
    assert "metrics_version" not in found
    assert found[WRITTEN_AS] == protocol_id(OLDER)
    assert completed(found, SPEC) == found


def test_two_bases_are_two_protocols_and_two_names_of_one_are_one() -> None:
    told = completed(OLDER, SPEC)
    other = completed(OLDER, replace(SPEC, base_fingerprint="beef"))
    moved = completed(OLDER, replace(SPEC, base="/elsewhere"))
    assert len({protocol_id(told), protocol_id(other), protocol_id(OLDER)}) == 3
    assert protocol_id(moved) == protocol_id(told)


def test_the_order_of_splits_is_none() -> None:
    turned = {**OLDER, "splits": ["test", "val", "val"]}
    assert protocol_id(completed(turned, SPEC)) == protocol_id(completed(OLDER, SPEC))


def test_published_scores_and_remote_replies_stand_on_no_base_of_ours() -> None:
    for fields in ({"imported": True, "splits": ["test"], "metrics_version": "as published"}, {}):
        assert completed(fields, SPEC) == fields
    assert "base" not in completed({**OLDER, "device": "remote"}, SPEC)
    assert in_todays_form({"name": {}}, SPEC) == {"name": ("name", {})}
