"""Files of a workspace of another form: every reader says which file, where in it, what, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import TornFile, Workspace, read_json, read_record, read_rows
from engine.results import tuning
from engine.results.comparing import frozen, looks
from engine.results.study import autopilot
from engine.runs.runfolder import read_spec, read_status
from engine.serve import folder
from engine.show.persona.route import merge_of, read_routes
from engine.strategies.reference import references

QUESTION = "0123456789ab"


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Whole:
    count: int
    parts: tuple[Part, ...] = ()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"count": "3"}, 'count needs a whole number, not "3"'),
        ({"count": True}, "count needs a whole number, not true"),
        ({}, "count is missing"),
        ([], "it must be an object"),
        ({"count": 1, "parts": {}}, "parts must be a list"),
        ({"count": 1, "parts": [{"name": "a"}, {"name": 7}]}, "parts[1].name must be text, not 7"),
        ({"count": 1, "parts": [{"name": "a", "share": None}]}, "parts[0].share needs a number"),
    ],
)
def test_a_file_of_another_form_is_told_by_place_and_value(tmp_path: Path, value: Any, told: str) -> None:
    path = tmp_path / "whole.json"
    path.write_text(json.dumps(value))
    with pytest.raises(TornFile) as caught:
        read_record(path, Whole, hint="Mend it.")
    assert caught.value.message == f"{path} is of another form: {told}."
    assert caught.value.hint == "Mend it."


def test_what_a_later_version_adds_is_passed_over_and_lines_of_another_form_are_left_out(
    tmp_path: Path,
) -> None:
    whole = Whole(2, (Part("a", 0.5),))
    path = tmp_path / "lines.jsonl"
    lines = [json.dumps({**asdict(whole), "later": 1}), '{"count": "2"}', "[]", '{"count": 2, "pa']
    path.write_text("\n".join(lines))
    assert read_rows(path, Whole) == [whole]
    assert read_rows(path)[1:] == [{"count": "2"}, []]
    assert read_rows(tmp_path / "none.jsonl", Whole) == []


LINES: list[tuple[str, Callable[[Workspace], Any], dict[str, Any]]] = [
    ("looks.jsonl", lambda ws: looks.seen(ws, looks.TestSet("t")), {
        "at": "now", "protocol": "p", "variant_id": "v", "variant": "unified", "metric": "m", "test_set": "t",
    }),
    ("tuned.jsonl", tuning.tuned, {
        "at": "now", "experiment": "hybrid", "budget": 6, "spent": 5.5, "settings": 4, "kept": {"rank": 8},
        "run_id": "hybrid-1",
    }),
    ("frozen.jsonl", lambda ws: frozen.plans(ws, looks.TestSet("t")), {
        "at": "now", "test_set": "t", "protocol": "p", "reference": "unified", "primary": "m",
        "further": ["n"], "variants": {"v": "hybrid"}, "margins": {"persona": 0.0}, "tests": {}, "looks": 0,
    }),
    ("autopilot/log.jsonl", lambda ws: autopilot.log(ws, 1), {
        "flight": 1, "at": "now", "seconds": 2, "text": "It walks.",
    }),
]  # fmt: skip


@pytest.mark.parametrize(("name", "read", "line"), LINES, ids=[name for name, *_ in LINES])
def test_of_a_growing_file_the_lines_of_another_form_alone_are_left_out(
    tmp_path: Path, name: str, read: Callable[[Workspace], Any], line: dict[str, Any]
) -> None:
    ws = Workspace(tmp_path)
    assert not read(ws)
    path = ws.data / name
    path.parent.mkdir(parents=True)
    wrong = [{**line, key: [value]} for key, value in line.items() if not isinstance(value, list | dict)]
    path.write_text("\n".join(map(json.dumps, [*wrong, line, 3, None])) + '\n{"at": "n')
    (found,) = read(ws)
    assert json.loads(json.dumps(asdict(found))).items() >= line.items()


FILES: list[tuple[str, Callable[[Workspace], Any], Any, str]] = [
    ("data/references.json", references, {"ground": {"run_id": "r"}}, "ground.at is missing"),
    ("data/autopilot/state.json", autopilot.status, {"tree": 3}, "tree must be text, not 3"),
    ("data/runs/r-1/spec.json", lambda ws: read_spec(ws.run_folder("r-1")), {
        "experiment": "r", "version": 1, "parameters": {}, "seed": "1", "data_hash": "d", "base": "b",
    }, 'seed needs a whole number, not "1"'),
    ("data/runs/r-1/routes.json", lambda ws: read_routes(ws, "r-1", ()), {
        "metric": "m", "margin": 0, "fallback": "unified", "candidates": {}, "routes": {"p": {}},
    }, "routes.p.variant is missing"),
    ("data/runs/r-1/weights.json", lambda ws: merge_of(ws, "merge", "r-1", "p"), {
        "method": "moe", "combine": "exact", "assignment": [], "merges": {},
    }, "assignment must be an object"),
    (f"data/talk/questions/{QUESTION}.json", lambda ws: folder.find_question(ws, QUESTION), {
        "question_id": QUESTION, "persona_id": "p", "message": "Hi", "speakers": [{"variant": "base"}],
    }, "speakers[0].variant_id is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "read", "value", "told"), FILES, ids=[name for name, *_ in FILES])
def test_a_file_is_refused_with_its_place_its_fault_and_a_way_on(
    tmp_path: Path, name: str, read: Callable[[Workspace], Any], value: Any, told: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(value))
    with pytest.raises(EngineError) as caught:
        read(Workspace(tmp_path))
    assert f"{path} " in caught.value.message
    assert told in caught.value.message
    assert caught.value.hint


def test_a_status_of_another_form_reads_as_lost_by_its_fault(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text('{"state": "dancing"}')
    found = read_status(tmp_path)
    assert (found.state, "state must be" in (found.error or "")) == ("lost", True)


def test_a_card_without_its_counts_is_named(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text('{"data_hash": "d", "counts": {"personas": 1, "dialogues": "2"}}')
    with pytest.raises(TornFile, match=r"counts.dialogues needs a whole number, not \"2\""):
        read_json(tmp_path / "card.json")
