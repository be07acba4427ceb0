"""A study of ratings (LaMP_3), where lower is better: one verdict in every table, gate, choice and page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cli import main
from engine.core.parameters import Parameters
from engine.core.paths import Workspace, read_json
from engine.data import examples, load_dataset, load_splits, prepare
from engine.domains import metrics
from engine.domains.registry import domain_of
from engine.lm.respond import respond_to_all
from engine.results.comparing import freezing, frozen, looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.headline import headline
from engine.results.comparing.pairings import pairings
from engine.results.comparing.pilots import pilots
from engine.results.study import standing
from engine.results.trees.tree_check import read_tree
from engine.runs import answers
from engine.runs.context import RunContext
from engine.show.for_whom import single
from engine.show.persona.charts import route_chart
from engine.show.persona.route import Candidate, Route
from engine.show.report import compose
from engine.show.report.rendering import as_markdown
from engine.strategies import registry
from engine.strategies.spec import Experiment, Traits
from pages.persona import scores
from tests import in_process
from tests.pages.conftest import Open, open_page, texts

__all__ = ["open_page"]
PEOPLE, ITEMS = 12, 10
WRONG = {"unified": 2, "closer": 1, "farther": 3}
"""How far each stand-in is off; unreadable where the reference leaves no room."""
TREE = """
title: Ratings
gate: {over_reference: 0.2}
nodes:
  - {id: start, experiment: unified, then: closer}
  - {id: closer, experiment: closer, passed: use, failed: none}
  - {id: use, result: Use it, use: [closer]}
  - {id: none, result: Nothing, outcome: open, use: [unified]}
"""


def rate(context: RunContext) -> None:
    """Answer every example with a rating that is as far off as the experiment's name says, in most cases."""
    from engine.lm.generate import Reply
    from engine.lm.load import load_base
    from engine.lm.scorer import Scorer
    from engine.strategies.steps.scoring import Answer, declare_protocol, example_set, write_scores

    name = context.spec.experiment
    chosen = example_set(context)
    protocol = declare_protocol(context, chosen, load_base(context.spec.base))
    context.variant(name, {"adapters": [{"run": name, "name": name}]}, family="test")
    draw = np.random.default_rng(len(name))
    answers = []
    for split, example in chosen.all:
        held, off = int(example.reference), WRONG[name] - int(draw.random() < 0.3)
        said = str(held + off if held + off <= 5 else held - off)
        answers.append(Answer(name, split, example, Reply(said, 1, 1, 0.0)))
    write_scores(context, answers, protocol, Scorer())


def written(folder: Path) -> Path:
    draw = np.random.default_rng(0)
    asked = "What is the score of the following review on a scale of 1 to 5? review: {}"
    people, golds = [], []
    for person in range(PEOPLE):
        profile = [
            {"id": f"{n}", "text": f"Review {n} of {person}.", "score": str(draw.integers(1, 6))}
            for n in range(ITEMS)
        ]
        query = [{"id": f"{person}{n}", "input": asked.format(f"query {n}")} for n in range(3)]
        golds += [{"id": one["id"], "output": str(draw.integers(1, 6))} for one in query]
        people.append({"user_id": f"u{person:02d}", "profile": profile, "query": query})
    folder.mkdir()
    (folder / "user_top_100_history.json").write_text(json.dumps(people))
    (folder / "user_top_100_history_label.json").write_text(json.dumps({"task": "LaMP_3", "golds": golds}))
    return folder


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    root = tmp_path_factory.mktemp("ratings")
    ws = Workspace(root / "study")
    with pytest.MonkeyPatch.context() as patch:
        for name in WRONG:
            entry = Experiment(
                name=name,
                title=name.capitalize(),
                family="test",
                question="How far off is it?",
                makes=name,
                step=rate,
                stages={"score": 1.0},
                parameters=Parameters,
                traits=Traits(),
            )
            patch.setitem(registry.EXPERIMENTS, name, entry)
        prepare(ws, dataset=written(root / "lamp-3"), base=str(tiny_base))
        for name in WRONG:
            in_process.do(ws, name, {})
        yield ws


def verdicts(found: Mapping[str, Any]) -> dict[str, str]:
    return {row["variant"]: row["verdict"] for row in found["rows"]}


def test_the_data_tells_its_domain_and_the_domain_its_metrics(ws: Workspace) -> None:
    assert domain_of(ws).name == "tasks-ratings"
    assert list(metrics.of_study(ws)) == ["rating_mae", "rating_rmse", "label_accuracy", "length_ratio"]
    assert metrics.primary(ws).sign == -1


@pytest.mark.parametrize("metric", ["rating_mae", "rating_rmse"])
def test_less_error_is_better_in_every_table(ws: Workspace, metric: str) -> None:
    found = compare_variants(ws, metric=metric, split="val")
    assert [row["variant"] for row in found["rows"]] == ["unified", "closer", "farther"]
    assert verdicts(found) == {"unified": "reference", "closer": "better", "farther": "worse"}
    closer, farther = found["rows"][1:]
    assert closer["delta"] < 0 < farther["delta"]
    assert (closer["wins"], farther["wins"]) == (PEOPLE, 0)
    assert closer["share_improved"] == 1
    top = headline(ws, found)
    assert top.chosen is not None
    assert top.chosen["variant"] == "closer"
    assert "−" in top.choice_words or "-" in top.choice_words


def test_nobody_gains_where_neither_direction_is_better(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "--metric", "length_ratio", "--workspace", str(ws.root)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Length ratio on val")  # nothing is chosen by it
    rows = [line.split() for line in said.out.splitlines() if line.startswith(("closer", "farther"))]
    assert [[*row[1:3], row[-1]] for row in rows] == [["1.00", "0.00", f"{PEOPLE}"]] * 2
    assert "Improved" not in said.err
    assert "p (Holm) answers" not in said.err


def test_a_plan_counts_by_a_margin_in_its_metrics_own_unit(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Workspace(Path(shutil.copytree(ws.root, tmp_path / "study", symlinks=True)))
    asked = ["freeze", "--variant", "closer", "--margin", "1", "--json", "--workspace", str(copy.root)]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out)["margins"]["better"] == 1
    found = compare_variants(copy, split="test")
    (plan,) = frozen.plans(copy, looks.at(found))
    (planned,) = freezing.outcomes(copy, plan)
    assert planned.row is not None
    gains = -pairings(copy, found)["closer"].differences
    assert 0 < planned.row["wins"] == (gains > 1 + 1e-9).sum() < (gains > 0.01).sum()


def test_a_pilot_says_what_a_point_of_it_is(ws: Workspace, tmp_path: Path) -> None:
    copy = Workspace(Path(shutil.copytree(ws.root, tmp_path / "study", symlinks=True)))
    in_process.do(copy, "per-persona", {"personas": 5, "epochs": 1, "max_new_tokens": 2})
    (pilot,) = pilots(copy)
    assert pilot.forecast is not None, pilot.reason
    assert pilot.forecast.words[-1] == "A point is one percent of unified's MAE; less of it is a gain."


def test_a_metric_that_few_personas_have_is_no_headline(ws: Workspace) -> None:
    found = compare_variants(ws, split="val")
    assert found["defined"] == {"personas": PEOPLE, "of": PEOPLE}
    few = headline(ws, {**found, "defined": {"personas": 5, "of": PEOPLE}})
    assert (few.chosen, few.highest, few.verdict) == (None, None, "")
    assert few.words == ["MAE is defined for 5 of 12 personas, fewer than half: it decides nothing."]
    assert headline(ws, {**found, "defined": {"personas": 6, "of": PEOPLE}}).chosen is not None


def test_a_gate_passes_on_less_error_as_a_share_of_the_reference(ws: Workspace) -> None:
    stood = standing.stand(ws, read_tree(TREE, name="ratings"))
    measured = stood.walk.findings["closer"].measured
    assert measured is not None
    row = next(row for row in compare_variants(ws, split="val")["rows"] if row["variant"] == "closer")
    assert measured.delta == pytest.approx(-row["delta"] / row["reference_mean"])
    assert measured.ci_low is not None
    assert measured.ci_high is not None
    assert 0 < measured.ci_low < measured.delta < measured.ci_high
    assert stood.walk.result == "use"
    assert stood.verdict is not None
    assert stood.verdict.variant == "closer"


def test_the_pages_and_the_terminal_say_the_same(
    open_page: Open, ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    app = open_page(ws, "compare", split="val")
    assert not app.exception
    assert "closer" in texts(app)
    assert "on these very scores would gain −" in texts(app)
    point = "A point is one percent of unified's MAE; less of it is a gain."
    assert point in texts(open_page(ws, "home"))
    assert main(["tree", "quick-wins", "--workspace", str(ws.root)]) == 0
    assert point in capsys.readouterr().out
    for page, asked in (("persona", {"persona": "u03", "variant": "closer", "split": "val"}), ("data", {})):
        assert not open_page(ws, page, **asked).exception
    row = compare_variants(ws, split="val")["rows"][1]
    badge = f":green-badge[:material/trending_up: −{abs(row['delta']):.2f} over unified on validation]"
    assert badge in texts(open_page(ws, "experiments", show="done", order="time"))
    assert main(["compare", "--workspace", str(ws.root), "--split", "val"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "better" in line or "worse" in line]
    assert any("closer" in line and "better" in line for line in lines)
    assert any("farther" in line and "worse" in line for line in lines)
    assert main(["compare", "--workspace", str(ws.root), "--criteria"]) == 0
    assert (
        "The criteria are of embedding similarity, which this study does not score" in capsys.readouterr().err
    )


def test_a_gain_is_worded_as_the_difference_that_stands_beside_it() -> None:
    mae = metrics.METRICS["rating_mae"]
    assert single(mae, 0.3, -0.1, 0.7, 0.9) == "−0.30 (−0.70 to +0.10), a gain with a chance of 90 %"
    known = (
        Candidate("closer", 0.5, 0.4, 9),
        Candidate("unified", 0.9, 0.0, 9),
        Candidate("base", 2, -1.1, 9),
    )
    route = Route("routing-0", "closer", "unified", 0.02, "rating_mae", known)
    told = scores._reason(route, mae)
    assert told.startswith("Goes to **closer**: −0.40 over unified")
    assert told.endswith("more than the margin of 0.02.")
    drawn = route_chart(route)["datasets"]
    assert list(drawn["rows"]["gain"]) == [-0.4, 0.0, 1.1]
    assert list(drawn["rows"]["words"]) == ["−0.40, chosen", "0.00", "+1.10"]
    assert list(drawn["edges"]["margin"]) == [-0.02]
    on_test = {"closer": -0.3, "unified": 0.0, "base": 1.2}
    told = scores._worth(route, mae, on_test, ())
    assert told.startswith("Chosen on MAE from validation alone. On test the choice came to −0.30;")
    assert told.endswith("; hindsight would have chosen no better.")
    assert "have chosen unified (0.00), which" in scores._worth(route, mae, {**on_test, "closer": 0.1}, ())


def test_the_report_tells_errors_on_their_own_scale_and_less_as_better(ws: Workspace) -> None:
    found = {row["variant"]: row for row in compare_variants(ws, split="test")["rows"]}
    closer = found["closer"]
    said = as_markdown(compose(ws))
    assert "MAE on test, as a number, against unified." in said
    (line,) = [line for line in said.splitlines() if line.startswith("| closer | ") and "| better |" in line]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[1:3] == [f"{closer['mean']:.2f}", f"−{abs(closer['delta']):.2f}"]
    assert "lost more than 10 points" not in said
    assert said.index("closer against unified: 12 better") < said.index("farther against unified")
    assert "Mean −" in said
    gain, loss = said.index("Largest gain:"), said.index("Made with")
    assert "points" not in said[gain:loss].partition("\n")[0]
    assert "word for word" not in said  # a rating stands in everybody's history: to say it is no memory


def test_predictions_are_written_for_the_official_evaluator(ws: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ["export-predictions", "--workspace", str(ws.root), "--variant", "closer", "--output", str(out)]
    assert main(given) == 0
    said, held = read_json(out / "predictions.json"), read_json(out / "golds.json")
    assert said["task"] == held["task"] == "LaMP_3"
    assert [one["id"] for one in said["golds"]] == [one["id"] for one in held["golds"]]
    assert {one["id"] for one in held["golds"]} == {
        f"{person}{n}" for person in range(PEOPLE) for n in range(3)
    }
    assert all(one["output"] in "12345" for one in said["golds"])
    assert main([*given[:-3], "nobody", "--output", str(out)]) == 1


def test_queries_without_a_known_answer_are_answered_and_never_scored(
    tmp_path: Path, tiny_base: Path
) -> None:
    folder = written(tmp_path / "lamp-3")
    label = folder / "user_top_100_history_label.json"
    known = json.loads(label.read_text())
    label.write_text(json.dumps({**known, "golds": [one for one in known["golds"] if one["id"][-1] != "2"]}))
    ws = Workspace(tmp_path / "study")
    card = prepare(ws, dataset=folder, base=str(tiny_base))
    assert (
        f"{PEOPLE} queries without a known answer: never scored, answered by export-predictions."
        in card["notes"]
    )
    spec = in_process.do(ws, "base", {"examples_per_persona": 5, "max_new_tokens": 4, "splits": ["test"]})
    scored = answers.read(ws, spec.run_id).answers.to_pandas()
    assert len(scored) == 2 * PEOPLE
    assert not any(one.endswith("2") for one in scored["dialogue_id"])
    out = tmp_path / "out"
    asked = ["export-predictions", "--workspace", str(ws.root), "--variant", "base", "--output", str(out)]
    assert main(asked) == 0
    for name in ("predictions.json", "golds.json"):
        assert len(read_json(out / name)["golds"]) == 2 * PEOPLE
    hidden = read_json(out / "predictions-hidden.json")
    assert hidden["task"] == "LaMP_3"
    assert {one["id"] for one in hidden["golds"]} == {f"{person}2" for person in range(PEOPLE)}
    assert all(isinstance(one["output"], str) for one in hidden["golds"])
    # What is answered now is what scoring answers: the same prompt, kernel and plan.
    first = scored.iloc[0]
    example = next(
        one
        for one in examples(load_dataset(ws), load_splits(ws), "test")
        if one.example_id == first["example_id"]
    )
    said = respond_to_all(ws, {"effects": []}, [replace(example, reference="")], max_new_tokens=4)
    assert said == {example.example_id: first["reply"]}
