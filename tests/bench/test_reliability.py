"""The reliability benches themselves, in small: what they count is what happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import fuzz, reliability, storm
from engine.core.paths import Workspace
from tests.workspaces import finish


@pytest.mark.parametrize("door", list(fuzz.DOORS))
def test_damaged_files_are_refused_in_words_and_leave_nothing(door: str) -> None:
    found = fuzz.fuzz(door, range(30), seed=1)
    assert (found.faults, found.changed) == ((), ())
    assert found.inputs == found.taken + found.refused == 30
    assert door in ("run folders", "words") or found.refused > 5


def test_the_fuzz_sees_a_traceback_and_a_changed_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    make, _, stays = fuzz.DOORS["trees"]

    def broken(ws: Workspace, files: fuzz.Files) -> None:
        raise KeyError("nobody caught this")

    def leaky(ws: Workspace, files: fuzz.Files) -> None:
        (ws.data / "leftover").write_text("x")
        raise fuzz.EngineError("refused")

    monkeypatch.setitem(fuzz.DOORS, "trees", (make, broken, stays))  # type: ignore[arg-type]
    assert "nobody caught this" in fuzz.fuzz("trees", range(1), seed=1).faults[0]
    monkeypatch.setitem(fuzz.DOORS, "trees", (make, leaky, stays))  # type: ignore[arg-type]
    assert fuzz.fuzz("trees", range(1), seed=1).changed == ("trees 0: data/leftover",)


def test_a_storm_in_one_process_counts_what_it_did(ws: Workspace) -> None:
    template = finish(ws, "count")
    run_id = reliability.copy_finished(ws, template, reliability.spec_like(ws, template, seed=7))
    assert run_id != template
    done = [storm._timed("status", lambda _: storm._status(ws), 0)]
    done.append(storm._timed("cancel", lambda _: 1 / 0, 1))  # type: ignore[arg-type, return-value]
    rows = {row["operation"]: row for row in storm._rows(done)}
    assert (rows["status"]["times"], rows["status"]["errors"]) == (1, 0)
    assert (rows["cancel"]["times"], rows["cancel"]["errors"]) == (1, 1)
    assert storm._in_the_end(ws)["finished"] == 2
    assert storm._in_the_end(ws)["missing"] == 0


def test_a_part_of_the_page_is_replaced_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- storm -->\nold\n<!-- end of storm -->\nb\n<!-- fuzz -->\nc\n<!-- end of fuzz -->\n"
    )
    monkeypatch.setattr(reliability, "PAGE", page)
    reliability.write_part("storm", "new")
    assert page.read_text().startswith("a\n<!-- storm -->\nnew\n<!-- end of storm -->\nb\n<!-- fuzz -->\nc")
    with pytest.raises(SystemExit):
        reliability.write_part("faults", "x")
