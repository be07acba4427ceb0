"""Looks at test: a count for each set of test dialogues, whatever protocol, metric, database or file's
end."""

from __future__ import annotations

import json

from engine.core.paths import Workspace, write_json
from engine.results import store
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.runs import manifest
from tests.workspaces import finish

ONE, OTHER = looks.TestSet("one", frozenset({"p"}), "similarity"), looks.TestSet("other")
FIRST = {"similarity"}


def here(ws: Workspace) -> list[looks.Look]:
    return looks.seen(ws, looks.at(compare_variants(ws, split="val")))


def test_a_variant_counts_once_a_metric(ws: Workspace) -> None:
    assert looks.record(ws, ONE, "p", {"a": "unified", "b": "base"}, FIRST) == 2
    assert looks.record(ws, ONE, "p", {"a": "unified"}, FIRST) == 2
    assert looks.record(ws, ONE, "q", {"a": "unified"}, FIRST) == 2
    assert looks.record(ws, ONE, "p", {"a": "unified"}, {"similarity", "length"}) == 3
    assert looks.record(ws, OTHER, "p", {"a": "unified"}, FIRST) == 1
    seen = looks.seen(ws, ONE)
    assert [(look.variant, look.metric) for look in seen] == [
        ("unified", "similarity"), ("base", "similarity"), ("unified", "length"),
    ]  # fmt: skip
    assert looks.words(seen) == "Test seen: 3 verdicts on 2 variants"


def test_a_torn_line_costs_nothing_else(ws: Workspace) -> None:
    looks.record(ws, ONE, "p", {"a": "unified"}, FIRST)
    with (ws.data / "looks.jsonl").open("a") as file:
        file.write('{"at": "2024')
    assert looks.record(ws, ONE, "p", {"b": "base"}, FIRST) == 2
    assert {look.variant_id for look in looks.seen(ws, ONE)} == {"a", "b"}


def test_looks_of_earlier_versions_count_as_looks_at_the_primary_metric(ws: Workspace) -> None:
    row = {"at": "2024", "protocol": "p", "variant_id": "a", "variant": "unified"}
    (ws.data / "looks.jsonl").write_text(json.dumps(row) + "\n")
    assert looks.record(ws, ONE, "p", {"a": "unified"}, FIRST) == 1
    assert looks.seen(ws, OTHER) == []


def test_comparing_on_test_is_a_look_and_on_val_is_none(ws: Workspace) -> None:
    finish(ws, "gain")
    assert compare_variants(ws, reference="count", split="val")["test_looks"] == 0
    assert compare_variants(ws, reference="count")["test_looks"] == 1
    assert compare_variants(ws, reference="count")["test_looks"] == 1
    assert [look.variant for look in here(ws)] == ["gain"]


def test_every_metric_is_a_look_of_its_own(ws: Workspace) -> None:
    finish(ws, "gain")
    compare_variants(ws, reference="count")
    assert compare_variants(ws, reference="count", metric="device_f1")["test_looks"] == 2


def test_the_same_dialogues_are_one_count_whatever_the_number_of_examples(ws: Workspace) -> None:
    finish(ws, "gain")
    first = compare_variants(ws, reference="count")
    finish(ws, "gain", {"examples_per_persona": 5, "lift": 0.01})
    second = compare_variants(ws, reference="count")
    assert first["protocol"] != second["protocol"]
    assert (first["test_looks"], second["test_looks"]) == (1, 2)


def test_what_a_run_told_of_test_in_its_own_log_is_a_look(ws: Workspace) -> None:
    run_id = finish(ws, "gain")
    write_json(ws.run_folder(run_id) / "summary.json", {"gain_test": 0.02})
    manifest.write(ws, run_id)
    assert compare_variants(ws, reference="count", split="val")["test_looks"] == 1
    assert [look.variant for look in here(ws)] == ["gain"]


def test_a_rebuilt_database_forgets_no_look(ws: Workspace) -> None:
    finish(ws, "gain")
    compare_variants(ws, reference="count")
    store.rebuild(ws)
    assert len(here(ws)) == 1
