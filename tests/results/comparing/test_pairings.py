"""The personas behind a table: the same pairs, some personas only, and wins with a margin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results.comparing import pairings
from engine.results.comparing.comparison import compare_variants
from engine.results.imported import import_study
from engine.stats.paired_tests import paired_t
from engine.stats.verdicts import UNCLEAR
from tests.results.imported.published import CLUSTERED, PERSONAS, write_study

EVERY_FOURTH = PERSONAS[::4]


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder: Path = tmp_path_factory.mktemp("pairings")
    ws = Workspace(folder / "ws")
    import_study(ws, write_study(folder / "study"))
    return ws


@pytest.fixture(scope="module")
def found(ws: Workspace) -> dict[str, Any]:
    return compare_variants(ws)


def by_name(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["variant"]: row for row in table["rows"]}


def test_pairings_are_those_of_the_table(ws: Workspace, found: dict[str, Any]) -> None:
    paired = pairings.pairings(ws, found)
    assert list(paired) == [row["variant"] for row in found["rows"]]
    for row in found["rows"]:
        one = paired[row["variant"]]
        assert one.n_paired == row["n_paired"]
        assert float(one.differences.mean()) == pytest.approx(row["delta"], abs=1e-12)
    assert paired["cluster_lora"].personas == CLUSTERED
    frame = pairings.differences(paired)
    assert len(frame) == sum(row["n_paired"] for row in found["rows"])


def test_all_personas_are_the_table_itself(ws: Workspace, found: dict[str, Any]) -> None:
    again = pairings.compare_within(ws, found, PERSONAS)
    before = by_name(found)
    for name, row in by_name(again).items():
        for field in (
            "mean",
            "delta",
            "ci_low",
            "ci_high",
            "p",
            "p_holm",
            "wins",
            "losses",
            "verdict",
            "role",
        ):
            assert row[field] == before[name][field], (name, field)


def test_some_personas_are_paired_and_corrected_among_themselves(
    ws: Workspace, found: dict[str, Any]
) -> None:
    within = pairings.compare_within(ws, found, EVERY_FOURTH)
    json.dumps(within, allow_nan=False)
    rows = by_name(within)
    assert within["criteria"] == {}
    assert within["rows"][0]["variant"] == found["reference"]
    paired = pairings.pairings(ws, found, personas=EVERY_FOURTH)
    hybrid = rows["hybrid"]
    assert (hybrid["n_paired"], paired["hybrid"].personas) == (len(EVERY_FOURTH), EVERY_FOURTH)
    assert hybrid["p"] == pytest.approx(paired_t(paired["hybrid"].differences))
    assert hybrid["p_holm"] >= hybrid["p"]
    bounds = [row for row in within["rows"] if row["role"] == "bound"]
    assert [(row["p_holm"], row["verdict"]) for row in bounds] == [(None, "bound")]
    alone = pairings.compare_within(ws, found, EVERY_FOURTH[:1])
    assert by_name(alone)["hybrid"]["verdict"] == UNCLEAR
    assert pairings.compare_within(ws, found, ["nobody"])["rows"] == []


def test_a_margin_moves_outcomes_and_nothing_else(ws: Workspace, found: dict[str, Any]) -> None:
    plain, wide = by_name(found)["hybrid"], by_name(compare_variants(ws, margin=0.05))["hybrid"]
    differences = pairings.pairings(ws, found, variants=["hybrid"])["hybrid"].differences
    assert wide["wins"] == int(np.sum(differences > 0.05))
    assert wide["losses"] == int(np.sum(differences < -0.05))
    assert wide["wins"] + wide["ties"] + wide["losses"] == wide["n_paired"]
    changed = {name for name in plain if plain[name] != wide[name]}
    assert changed <= {"wins", "ties", "losses", "share_improved", "share_low", "share_high"}
    assert {"ties", "losses"} <= changed


def test_a_negative_margin_is_refused(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="The margin is -0.1"):
        compare_variants(ws, margin=-0.1)
