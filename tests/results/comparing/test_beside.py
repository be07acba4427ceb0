"""A table of the domain's primary metric: nothing is better that acts worse."""

from __future__ import annotations

import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains.metrics import METRICS
from engine.domains.smart_home import SMART_HOME
from engine.results import store
from engine.results.comparing.beside import beside
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.freezing import freeze
from engine.results.comparing.pairings import compare_within
from engine.runs import answers
from engine.stats.co_primary import HELD, OPEN, standing
from engine.stats.compare import compare
from engine.stats.pairing import pair
from tests.steps_for_tests import PERSONAS
from tests.workspaces import finish

ACTS = METRICS["exact_action_match"]


@pytest.fixture
def ws(ws: Workspace) -> Workspace:
    """A workspace where "gain" is worded better than "count", for every persona."""
    finish(ws, "gain")
    return ws


def act(ws: Workspace, shares: dict[str, float], *, more: dict[str, float] | None = None) -> None:
    """Let every reply of a variant do just what is right with the given value, one persona a little less;
    with that persona `more`."""
    for folder in ws.runs.iterdir():
        said = answers.read(ws, folder.name).answers.to_pandas()
        first = (said["persona_id"] == PERSONAS[0]) * 0.01
        scores = said[list(answers.KEY_COLUMNS)].assign(
            metric=ACTS.name,
            version=ACTS.version,
            value=said["variant"].map(shares)
            - first
            + (said["persona_id"] == PERSONAS[0]) * said["variant"].map(more or {}).fillna(0.0),
        )
        answers.write_later(ws, folder.name, ACTS.name, scores)
    store.refresh(ws)


def word(ws: Workspace) -> str:
    rows = compare_variants(ws, reference="count")["rows"]
    return str(next(row["verdict"] for row in rows if row["variant"] == "gain"))


def test_worded_better_and_acting_better_is_better(ws: Workspace) -> None:
    act(ws, {"count": 0.6, "gain": 0.61})
    assert word(ws) == "better"


@pytest.mark.parametrize(("personas", "examples", "stands"), [(6, 4, OPEN), (20, 5, HELD)])
def test_that_nobody_acts_otherwise_shows_as_much_as_there_are_examples(
    ws: Workspace, personas: int, examples: int, stands: str
) -> None:
    same = [(f"{who}/{one}", f"p{who}", 1.0) for who in range(personas) for one in range(examples)]
    told = beside(ws, ACTS, compare(pair(same, same)))
    assert told is not None
    assert (told["delta"], standing(told)) == (0.0, stands)
    assert told["ci_low"] == pytest.approx(0.025 ** (1 / len(same)) - 1)


def test_worded_better_and_acting_worse_is_said(ws: Workspace) -> None:
    act(ws, {"count": 0.9, "gain": 0.6})
    assert word(ws) == "wording up, actions down"
    found = compare_variants(ws, reference="count")
    gain = next(row for row in found["rows"] if row["variant"] == "gain")
    assert gain["co_primary"]["delta"] == pytest.approx(-0.3)
    assert SMART_HOME.co_primary is not None
    assert gain["co_primary"]["margin"] == SMART_HOME.co_primary.margin
    within = compare_within(ws, found, PERSONAS[:4])
    assert next(row["co_primary"]["n_paired"] for row in within["rows"] if row["variant"] == "gain") == 4


def test_another_metric_is_judged_alone(ws: Workspace) -> None:
    act(ws, {"count": 0.9, "gain": 0.6})
    rows = compare_variants(ws, reference="count", metric="device_f1")["rows"]
    assert [row["co_primary"] for row in rows] == [None, None]


def test_where_actions_are_not_scored_the_table_says_that_wording_alone_speaks(ws: Workspace) -> None:
    assert any("wording alone" in line for line in compare_variants(ws, reference="count")["warnings"])
    act(ws, {"count": 0.6, "gain": 0.6})
    assert not any("wording alone" in line for line in compare_variants(ws, reference="count")["warnings"])


def test_the_command_line_shows_it(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    act(ws, {"count": 0.9, "gain": 0.6})
    assert main(["compare", "--reference", "count", "-w", str(ws.root)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "wording up, actions down" in said
    assert "Exact action match −30.0" in said


def test_why_a_better_wording_is_not_better_is_told_in_the_row(ws: Workspace) -> None:
    act(ws, {"count": 0.9, "gain": 0.6})
    rows = compare_variants(ws, reference="count")["rows"]
    assert next(row["why"] for row in rows if row["variant"] == "gain").startswith("Exact action match")


def test_what_few_lose_is_bounded_by_how_few_and_what_nobody_does_by_how_many_examples(ws: Workspace) -> None:
    act(ws, {"count": 0.6, "gain": 0.6}, more={"gain": 0.2})  # for one persona
    found = compare_variants(ws, reference="count")
    gain = next(row for row in found["rows"] if row["variant"] == "gain")
    assert gain["co_primary"]["delta"] == pytest.approx(0.2 / 6)
    assert gain["co_primary"]["ci_low"] == pytest.approx(0.025 ** (1 / gain["n_examples"]) - 1)
    act(ws, {"count": 0.6, "gain": 0.6}, more={"gain": -0.2})
    found = compare_variants(ws, reference="count")
    gain = next(row for row in found["rows"] if row["variant"] == "gain")
    assert gain["co_primary"]["ci_low"] < -0.5  # one of six loses: that is bounded by persons
    assert gain["verdict"] == "not clear"


def test_what_a_table_showed_beside_its_metric_can_be_planned_no_longer(ws: Workspace) -> None:
    act(ws, {"count": 0.6, "gain": 0.6})
    freeze(ws, reference="count", primary=ACTS.name)
    compare_variants(ws, reference="count")
    with pytest.raises(EngineError, match="gain in Embedding similarity"):
        freeze(ws, reference="count", primary=ACTS.name)
