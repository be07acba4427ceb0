"""`init`'s main door: what is written, what is refused, what changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core import integrity
from engine.core.errors import DataError, EngineError
from engine.core.paths import Workspace, read_json
from engine.data import examples, load_dataset, load_splits, prepare

Rewrite = Callable[[Path, Callable[[list[dict[str, Any]]], Any]], None]


def test_everything_is_written(ws: Workspace, edgewise: Path) -> None:
    card = prepare(ws, dataset=edgewise, seed=3)
    assert sorted(str(path.relative_to(ws.root)) for path in ws.root.rglob("*") if path.is_file()) == [
        "data/cache/repeats.kept",
        "data/dataset/card.json",
        "data/dataset/dialogues.jsonl",
        "data/dataset/personas.jsonl",
        "data/splits/edgesplits.json",
        "data/splits/splits.json",
        "data/workspace.json",
    ]
    config = ws.read_config()
    assert config["dataset"] == {
        "source": str(edgewise),
        "data_hash": card["data_hash"],
        "personas": 6,
        "dialogues": 60,
    }
    assert (config["base"], config["split"], config["seed"]) == ("embedded", "by-time", 3)
    assert read_json(ws.dataset / "card.json") == {key: card[key] for key in card if key != "unchanged"}
    assert card["counts"]["examples_by_split"] == {"train": 72, "val": 24, "test": 24}
    assert (card["importer"], card["left_out"], card["unchanged"]) == ("edgewise", [], False)
    splits = read_json(ws.splits / "splits.json")
    assert all(check["ok"] for check in splits["checks"])
    assert splits["statistics"]["train"]["dialogues"] == 36
    digest = hashlib.sha256()
    for name in ("personas.jsonl", "dialogues.jsonl"):
        digest.update(hashlib.sha256((ws.dataset / name).read_bytes()).digest())
    assert digest.hexdigest() == card["data_hash"]


def test_the_same_again_changes_nothing(ws: Workspace, edgewise: Path, made: SimpleNamespace) -> None:
    first = prepare(ws, dataset=edgewise)
    (ws.runs / "unified-1").mkdir(parents=True)
    before = made.snapshot(ws.root)
    again = prepare(ws, dataset=edgewise)
    assert again == first | {"unchanged": True}
    assert made.snapshot(ws.root) == before


@pytest.mark.parametrize(
    "change",
    [
        {"personas": 4},
        {"seed": 1},
        {"dialogues": 8},
        {"split": "by-persona"},
        {"base": f"some/model@{'a' * 40}"},
    ],
)
def test_other_data_are_replaced_only_with_force_and_never_under_runs(
    ws: Workspace, edgewise: Path, made: SimpleNamespace, change: dict[str, Any]
) -> None:
    prepare(ws, dataset=edgewise)
    before = made.snapshot(ws.root)
    with pytest.raises(EngineError, match="holds other data already") as caught:
        prepare(ws, dataset=edgewise, **change)
    assert "--force" in caught.value.hint
    assert made.snapshot(ws.root) == before
    (ws.runs / "unified-1").mkdir(parents=True)
    before = made.snapshot(ws.root)
    with pytest.raises(EngineError, match="a run was made with it") as caught:
        prepare(ws, dataset=edgewise, force=True, **change)
    assert "--workspace" in caught.value.hint
    assert made.snapshot(ws.root) == before
    (ws.runs / "unified-1").rmdir()
    assert prepare(ws, dataset=edgewise, force=True, **change)["unchanged"] is False
    assert made.snapshot(ws.root) != before


def test_a_base_given_as_a_path_is_kept_absolute(
    ws: Workspace, edgewise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_folder(tmp_path / "my-base")
    monkeypatch.chdir(tmp_path)
    prepare(ws, dataset="edgewise", base="my-base")
    assert ws.read_config()["base"] == str(tmp_path / "my-base")


def model_folder(folder: Path, **content: str | None) -> Path:
    """A folder that looks like a model; `content` replaces a file's text, None leaves the file out."""
    files = {"config.json": "{}", "tokenizer.json": "{}", "model.safetensors": ""}
    folder.mkdir()
    for name, text in (files | {name.replace("__", "."): text for name, text in content.items()}).items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"model__safetensors": None, "pytorch_model__bin": "x"}, "pickled weights only"),
        ({"config__json": '{"auto_map": {"AutoModel": "modeling.Model"}}'}, "code that came with the model"),
        ({"config__json": '{"auto_map"'}, "is not valid JSON"),
        ({"config__json": "[]"}, "config.json is of another form: it must be an object"),
        ({"config__json": None}, "no config.json"),
        ({"model__safetensors": None}, "no weights"),
        ({"tokenizer__json": None}, "no tokenizer"),
    ],
)
def test_a_base_that_no_run_could_load_is_refused_at_once(
    ws: Workspace, edgewise: Path, tmp_path: Path, content: dict[str, str | None], words: str
) -> None:
    base = model_folder(tmp_path / "my-base", **content)
    with pytest.raises(EngineError, match=words):
        prepare(ws, dataset=edgewise, base=str(base))
    with pytest.raises(EngineError, match="no base model at"):
        prepare(ws, dataset=edgewise, base=str(tmp_path / "nowhere"))
    assert not ws.root.exists()


def test_subsets_of_personas_and_of_dialogues(ws: Workspace, edgewise: Path) -> None:
    card = prepare(ws, dataset=edgewise, personas=4, dialogues=6)
    assert (card["counts"]["personas"], card["counts"]["dialogues"]) == (4, 24)
    assert {row.order for row in load_dataset(ws).dialogues} == set(range(6))


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"personas": 7}, "7 personas were asked for; there are 6"),
        ({"personas": 0}, "--personas must be 1 or more"),
        ({"dialogues": -1}, "--dialogues must be 1 or more"),
        ({"dialogues": 4, "split": "by-time"}, "at least 5 dialogues"),
        ({"personas": 2, "split": "by-persona"}, "at least 3 personas"),
        ({"split": "by-tim"}, "Did you mean 'by-time'"),
    ],
)
def test_choices_that_cannot_be_met(
    ws: Workspace, edgewise: Path, choices: dict[str, Any], words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        prepare(ws, dataset=edgewise, **choices)
    assert not ws.root.exists()


def test_faults_refuse_all_or_are_left_out_on_request(
    ws: Workspace, flattened: Path, rewrite: Rewrite
) -> None:
    rewrite(flattened, lambda rows: [rows[14]["messages"][1].update(role="cat"), rows[31].pop("persona_id")])
    with pytest.raises(DataError) as caught:
        prepare(ws, dataset=flattened)
    assert [fault.line for fault in caught.value.faults] == [15, 32]
    assert "2 faults, nothing was imported" in caught.value.message
    assert not ws.root.exists()
    card = prepare(ws, dataset=flattened, keep_good=True)
    assert card["counts"]["dialogues"] == 59  # one without a persona, and one less a turn
    assert [row["line"] for row in card["left_out"]] == [15, 32]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda line: line[: len(line) // 2], "dialogues.jsonl:15: not valid JSON: "),
        (
            lambda line: line.replace(b'"fog"', b"NaN"),
            "dialogues.jsonl:15: not valid JSON: NaN is not a JSON",
        ),
        (lambda line: line.replace(b"Guest", b"\xe9"), "dialogues.jsonl:15: not UTF-8: byte "),
        (
            lambda line: line.replace(b"fog", b"x" * 5_000_000),
            "dialogues.jsonl:15: longer than 5 MB, not read",
        ),
        (lambda line: line.replace(b"fog", b"\x00"), "dialogues.jsonl: binary, or not in UTF-8: line 15"),
        (lambda line: b"", "dialogues.jsonl:15: an empty line between others"),
        (lambda line: b"[1, 2]", "dialogues.jsonl:15: must be a JSON object, is a list"),
    ],
)
def test_each_kind_of_bad_line_gets_its_fault_and_leaves_no_trace(
    ws: Workspace, flattened: Path, spoil: Callable[[bytes], bytes], fault: str
) -> None:
    lines = flattened.read_bytes().split(b"\n")
    lines[14] = spoil(lines[14])
    flattened.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError) as caught:
        prepare(ws, dataset=flattened)
    assert [str(one)[: len(fault)] for one in caught.value.faults] == [fault]
    assert not ws.root.exists()


def test_keeping_the_good_of_nothing_good_is_refused(ws: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"persona_id": "a", "messages": []}\n', encoding="utf-8")
    with pytest.raises(DataError, match="No good row is left"):
        prepare(ws, dataset=path, keep_good=True)
    assert not ws.root.exists()


def test_a_test_split_without_an_example_is_refused(ws: Workspace, flattened: Path, rewrite: Rewrite) -> None:
    def silence(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["session_id"] >= 8:
                row["messages"] = row["messages"][:1]

    rewrite(flattened, silence)
    with pytest.raises(EngineError, match="The test split would hold no example"):
        prepare(ws, dataset=flattened)
    assert prepare(ws, dataset=flattened, split="by-persona")["counts"]["examples_by_split"]["test"]


def test_a_few_dialogues_each_are_split_by_persona(
    ws: Workspace, tmp_path: Path, made: SimpleNamespace
) -> None:
    folder = made.write_rows(tmp_path / "few", {"d.jsonl": made.flattened_rows(12, 1)})
    card = prepare(ws, dataset=folder)
    splits = load_splits(ws)
    assert (card["split"], splits.scheme, splits.online) == ("by-persona", "by-persona", frozenset())


def test_content_is_all_that_the_hash_sees(
    ws: Workspace, tmp_path: Path, flattened: Path, rewrite: Rewrite
) -> None:
    one = prepare(ws, dataset=flattened)
    spaced = tmp_path / "spaced.jsonl"
    rows = [json.loads(line) for line in flattened.read_text(encoding="utf-8").splitlines()]
    spaced.write_text("".join(json.dumps(row, indent=None, sort_keys=True) + "\r\n" for row in rows), "utf-8")
    assert prepare(Workspace(tmp_path / "b"), dataset=spaced)["data_hash"] == one["data_hash"]
    rewrite(spaced, lambda rows: rows[7]["messages"][1].update(text="Another reply."))
    assert prepare(Workspace(tmp_path / "c"), dataset=spaced)["data_hash"] != one["data_hash"]


def test_a_world_is_imported_with_its_truth(tmp_path: Path) -> None:
    spaces = [Workspace(tmp_path / name) for name in ("a", "b", "c")]
    cards = [
        prepare(ws, dataset="world:default", personas=4, dialogues=6, seed=seed)
        for ws, seed in zip(spaces, (5, 5, 6), strict=True)
    ]
    assert cards[0]["data_hash"] == cards[1]["data_hash"] != cards[2]["data_hash"]
    assert cards[0]["world"] == {"name": "default", "personas": 4, "dialogues": 6, "seed": 5}
    assert spaces[0].read_config()["dataset"]["source"] == "world:default"
    dataset = load_dataset(spaces[0])
    assert (len(dataset.personas), len(dataset.dialogues)) == (4, 24)
    lines = (spaces[0].dataset / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    truth = {row["example_id"]: row for row in map(json.loads, lines)}
    splits = load_splits(spaces[0])
    wanted = {one.example_id for name in ("train", "val", "test") for one in examples(dataset, splits, name)}
    assert truth.keys() == wanted
    assert all(row["knows_persona"] and row["knows_population"] for row in truth.values())
    with pytest.raises(EngineError, match="no world named 'defalt'"):
        prepare(Workspace(tmp_path / "d"), dataset="world:defalt")
    assert not (tmp_path / "d").exists()


_BYTES = st.binary(min_size=1, max_size=6)
_PIECES = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"{",
        b"}",
        b'"',
        b"]",
        b"null",
        b"NaN",
        b"1e999",
        b"\x00",
        b"\xff",
        b"\\ud800",
        b"[[",
        b"-",
    ]
)


@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_corruption_raises_anything_else_or_changes_the_workspace(
    data: st.DataObject, made: SimpleNamespace, scratch: Callable[[], Path]
) -> None:
    """Any bytes anywhere in a valid file: an EngineError and an unchanged workspace, or a good import."""
    folder = scratch()
    layout = data.draw(st.sampled_from(["edgewise", "flattened"]))
    files = made.edgewise_rows(3, 5) if layout == "edgewise" else {"d.jsonl": made.flattened_rows(3, 5)}
    source = made.write_rows(folder / "source", files)
    victim = source / data.draw(st.sampled_from(sorted(files)))
    content = bytearray(victim.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = start + data.draw(st.sampled_from([0, 0, 1, 5, 400]))
        content[start:end] = data.draw(st.one_of(_BYTES, _PIECES))
    victim.write_bytes(bytes(content))
    ws = Workspace(folder / "space")
    if data.draw(st.booleans()):
        good = made.write_rows(folder / "good", {"d.jsonl": made.flattened_rows(4, 5)})
        prepare(ws, dataset=good)
    before = made.snapshot(ws.root)
    try:
        prepare(ws, dataset=source, force=True, keep_good=data.draw(st.booleans()))
    except EngineError:
        assert made.snapshot(ws.root) == before
    else:
        assert load_dataset(ws).dialogues
        assert load_splits(ws).assignment


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_value_of_another_type_raises_anything_else(
    data: st.DataObject, made: SimpleNamespace, scratch: Callable[[], Path]
) -> None:
    """Any JSON value in any place of a valid row."""
    rows = made.flattened_rows(3, 5)
    row = rows[data.draw(st.integers(0, len(rows) - 1))]
    target = data.draw(st.sampled_from([row, row["messages"][1], row["meta"], row["routines"][0]]))
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(_JSON)
    folder = scratch()
    source = made.write_rows(folder / "source", {"d.jsonl": rows})
    ws = Workspace(folder / "space")
    try:
        prepare(ws, dataset=source)
    except EngineError:
        assert not ws.root.exists()
    else:
        assert len(load_dataset(ws).dialogues) == 15


def test_one_short_history_does_not_turn_the_study(ws: Workspace, flattened: Path, rewrite: Rewrite) -> None:
    rewrite(flattened, lambda rows: rows.__delitem__(slice(1, 10)))
    card = prepare(ws, dataset=flattened)
    assert card["split"] == "by-persona"
    assert any("1 persona of 6 with fewer than 5 dialogues" in note for note in card["notes"])
    card = prepare(ws, dataset=flattened, min_dialogues=5, force=True)
    assert (card["split"], card["short"]) == ("by-time", {"persona_000": 1})
    assert card["counts"]["personas"] == 5
    assert any(
        "1 persona with fewer than 5 dialogues left out (1 dialogue)" in note for note in card["notes"]
    )
    with pytest.raises(EngineError, match="No persona has 40 dialogues; the most of one is 10"):
        prepare(ws, dataset=flattened, min_dialogues=40, force=True)


@pytest.mark.parametrize(
    ("replies", "domain", "told"),
    [
        ("ABCD", None, "All replies are one of 4 (A, B, C, D), of which similarity says little"),
        ("1234", None, "--domain tasks-ratings by how far a rating is off"),
        ("1239", "tasks-ratings", "of 60 replies are no rating from 1 to 5, first '9'"),
        ("1234", "tasks-ratings", ""),
    ],
)
def test_labels_taken_for_texts_and_texts_for_ratings_are_said(
    ws: Workspace, tmp_path: Path, replies: str, domain: str | None, told: str
) -> None:
    path = tmp_path / "answers.csv"
    rows = [f"p{n % 6},asked {n},{replies[n % 7 % 4]},2024-01-{1 + n // 6:02d}" for n in range(60)]
    path.write_text("user,question,answer,date\n" + "\n".join(rows))
    notes = " ".join(prepare(ws, dataset=path, domain=domain)["notes"])
    assert told in notes
    assert told or "replies" not in notes.split("The embedded base")[0]
    assert ("tasks-ratings by" in notes) == (domain is None and replies == "1234")


def test_unseen_personas_are_recorded_with_the_split(ws: Workspace, flattened: Path) -> None:
    card = prepare(ws, dataset=flattened, unseen=0.3, seed=2)
    record, splits = read_json(ws.splits / "splits.json"), load_splits(ws)
    assert len(splits.unseen) == 2
    assert record["unseen"] == sorted(splits.unseen)
    held = {name: record["statistics"][name]["dialogues"] for name in ("history", "unseen")}
    assert held == {"history": 12, "unseen": 8}
    assert card["counts"]["examples_by_split"] == {
        "train": 48,
        "val": 16,
        "test": 16,
        "history": 24,
        "unseen": 16,
    }
    tested = {one.persona_id for one in examples(load_dataset(ws), splits, "unseen")}
    assert tested == splits.unseen
    assert not tested & {one.persona_id for one in examples(load_dataset(ws), splits, "train")}
    assert prepare(ws, dataset=flattened, unseen=0.3, seed=2)["unchanged"]
    with pytest.raises(EngineError, match="unseen already"):
        prepare(ws, dataset=flattened, unseen=0.3, split="by-persona", force=True)
    for wrong in (0.0, 1.0, -1.0):
        with pytest.raises(EngineError, match="a share between 0 and 1"):
            prepare(ws, dataset=flattened, unseen=wrong, force=True)


def test_a_hub_base_is_pinned_to_its_revision_and_stays(
    ws: Workspace, edgewise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--lab--tiny"
    for commit in ("a" * 40, "b" * 40):
        (cached / "snapshots" / commit).mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("a" * 40)
    prepare(ws, dataset=edgewise, base="lab/tiny")
    assert ws.read_config()["base"] == f"lab/tiny@{'a' * 40}"
    (cached / "refs" / "main").write_text("b" * 40)  # the hub moves on, the workspace does not
    assert prepare(ws, dataset=edgewise, base="lab/tiny")["unchanged"]
    assert ws.read_config()["base"] == f"lab/tiny@{'a' * 40}"


def test_a_base_that_was_changed_is_taken_up_by_the_same_init(
    ws: Workspace, edgewise: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (base / name).write_text("{}")
    prepare(ws, dataset=edgewise, base=str(base))
    (base / "model.safetensors").write_text("other weights")
    with pytest.raises(EngineError, match=r"model\.safetensors was changed") as caught:
        integrity.refuse_changed(ws, base=True)
    assert "repeat its init" in caught.value.hint
    assert prepare(ws, dataset=edgewise, base=str(base))["unchanged"]
    integrity.refuse_changed(ws, base=True)
