"""The worlds of headlines: files of the LaMP family, with a truth for every example."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

from engine.core.paths import Workspace
from engine.data import load_dataset, load_splits, prepare
from engine.data.dataset import TRUTH, examples
from engine.data.lines import read_lines
from engine.data.worlds import write_world
from engine.data.worlds.headlines import SUBJECTS, draw_headlines
from engine.domains.metrics import METRICS


def rouge_l(said: str, held: str) -> float:
    return float(METRICS["rouge_l"].values_of(said, held)[""] or 0)


def test_the_same_world_is_the_same_bytes_and_another_seed_is_not(tmp_path: Path) -> None:
    for folder, seed in (("one", 1), ("same", 1), ("other", 2)):
        write_world(tmp_path / folder, name="headlines", personas=3, dialogues=6, seed=seed)
    one, same, other = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        for folder in ("one", "same", "other")
    )
    assert one == same
    assert one.keys() == other.keys()
    assert one["user_top_100_history.json"] != other["user_top_100_history.json"]


def test_it_is_taken_in_as_tasks_with_a_truth_for_every_example(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "w")
    card = prepare(ws, dataset="world:headlines", personas=3, dialogues=10)
    assert (card["importer"], card["domain"], card["split"]) == ("lamp", "tasks", "by-time")
    assert not any("replies will be poor" in note for note in card["notes"])
    told = {line.value["example_id"] for line in read_lines(ws.dataset / TRUTH) if line.value}
    asked = [
        example
        for split in ("train", "val", "test")
        for example in examples(load_dataset(ws), load_splits(ws), split)
    ]
    assert told == {example.example_id for example in asked}
    queries = [one for one in asked if "/query-" in one.example_id]
    assert len(queries) == 3 * 2
    assert all(one.context[0].text.startswith("Generate a headline for") for one in asked)
    assert load_dataset(ws).personas[0].character


def test_who_knows_the_author_is_far_above_who_knows_all_and_in_the_uniform_world_is_not() -> None:
    def gap(name: str) -> float:
        drawn = draw_headlines(name, personas=20, dialogues=20, seed=0)
        rows = [article for _, articles in drawn for article in articles]
        return fmean(rouge_l(row.knows_persona, row.headline) for row in rows) - fmean(
            rouge_l(row.knows_population, row.headline) for row in rows
        )

    assert gap("headlines") > 0.2
    assert gap("headlines-uniform") == 0


def test_articles_of_a_subject_tell_its_word_and_others_do_not() -> None:
    """What sets retrieval by likeness apart from retrieval by chance."""
    ((author, articles),) = draw_headlines("headlines", personas=1, dialogues=200, seed=5)
    heads = {
        name: [row.headline for row in articles if any(one in row.text for one in subject["told"])]
        for name, subject in SUBJECTS.items()
    }
    own = {name: author.way[name] for name in SUBJECTS if name in author.way}
    assert own
    for name, word in own.items():
        begins = [head.startswith(word) for head in heads[name]]
        elsewhere = [head.startswith(word) for other in heads if other != name for head in heads[other]]
        assert fmean(begins) > 0.8
        assert not any(elsewhere)


def test_truth_and_answers_are_of_the_same_queries(tmp_path: Path) -> None:
    write_world(tmp_path, name="headlines", personas=2, dialogues=10, seed=0)
    golds = json.loads((tmp_path / "user_top_100_history_label.json").read_text())
    people = json.loads((tmp_path / "user_top_100_history.json").read_text())
    assert golds["task"] == "LaMP_4"
    assert [one["id"] for one in golds["golds"]] == [one["id"] for row in people for one in row["query"]]
