"""The data page: what the study stands on, reading dialogues, and importing good and bad files."""

from __future__ import annotations

import json
import re

import pytest

from engine.core.paths import Workspace
from engine.data import load_dataset
from pages.data import reads as data_reads
from pages.shared import reads
from tests.pages.conftest import Open, texts
from tools import layouts


def _dialogue_lines(*, bad: bool = False) -> bytes:
    """A flattened dataset of six personas with six dialogues each; two faults when `bad`."""
    rows = [
        {
            "persona_id": f"u{persona}",
            "session_id": session,
            "messages": [
                {"role": "user", "content": f"Please set the lights to {persona}{session} percent."},
                {"role": "assistant", "content": f"The lights are at {persona}{session} percent."},
            ],
        }
        for persona in range(1, 7)
        for session in range(6)
    ]
    lines = [json.dumps(row) for row in rows]
    if bad:
        lines[2] = '{"persona_id": "u1", "session_id": 2, "messages": ['
        lines[4] = json.dumps({**rows[4], "messages": [{"role": "robot", "content": "?"}]})
    return ("\n".join(lines) + "\n").encode()


def test_the_card_tells_counts_splits_and_checks(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "data")
    seen = texts(app)
    assert "Personas 6" in seen
    assert "No overlap" in seen
    splits = app.dataframe[0].value.set_index("Split")
    assert splits["Dialogues"].sum() == len(load_dataset(full).dialogues)


def test_much_data_is_read_through_once_somebody_asks_for_it(
    open_page: Open, prepared: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_reads, "AT_ONCE", 1)
    app = open_page(prepared, "data")
    (told,) = [entry.value for entry in app.caption if "Not read yet" in entry.value]
    assert told.startswith("Not read yet of 30 dialogues: words that set each persona apart, ")
    assert "repeats" not in told  # the import found them
    assert not (prepared.data / "cache" / "portrait.kept").exists()
    app.button(key="data_read_all").click().run()
    read = texts(app)
    assert "Not read yet" not in read
    monkeypatch.setattr(data_reads, "AT_ONCE", 1_000)
    assert texts(open_page(prepared, "data")) == read


def test_dialogues_can_be_searched_and_read(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "data", view="dialogues", persona="persona_003")
    assert "8 dialogues" in texts(app)
    word = load_dataset(full).dialogues[3 * 8].messages[0].text.split()[-1].strip(".,!?")
    app.text_input(key="data_search").set_value(word).run()
    assert len(app.dataframe[0].value) >= 1
    app.text_input(key="data_search").set_value("zzzz").run()
    assert "holds this" in texts(app)


def test_everybody_is_searched_at_once(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "data", view="dialogues")
    everybody = load_dataset(full).dialogues
    assert f"{len(everybody)} dialogues" in texts(app)
    word = "please"
    found = [one for one in everybody if any(word in said.text.lower() for said in one.messages)]
    app.text_input(key="data_search").set_value(word.upper()).run()
    called = {one.persona_id: one.called for one in load_dataset(full).personas}
    assert list(app.dataframe[0].value["Persona"]) == [called[one.persona_id] for one in found]
    assert app.selectbox(key="data_persona").options[1:] == list(called.values())
    assert all(re.fullmatch(r"persona_\d+ \(\w+\)", name) for name in called.values())
    assert 0 < len(found) < len(everybody)


def test_without_clusters_the_page_leads_to_them(open_page: Open, full: Workspace) -> None:
    assert "No clusters yet" in texts(open_page(full, "data", view="clusters"))


def test_data_with_runs_stays_and_the_page_says_what_to_do(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "data", view="import")
    seen = texts(app)
    assert "5 runs were made with it" in seen
    assert "python -m engine init --workspace another" in seen
    assert not app.file_uploader


def test_a_world_is_imported(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    app.number_input(key="data_personas_world").set_value(4)
    app.number_input(key="data_dialogues_world").set_value(6)
    _submit(app)
    assert empty.read_config()["dataset"]["personas"] == 4
    assert "Personas 4" in texts(app)


def test_a_good_upload_is_imported(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    app.button_group(key="data_source").set_value("upload").run()
    app.file_uploader(key="data_files").set_value(
        [("dialogues.jsonl", _dialogue_lines(), "application/jsonl")]
    )
    _submit(app)
    assert not app.error, [entry.value for entry in app.error]
    assert empty.read_config()["dataset"]["dialogues"] == 36


def test_a_bad_upload_lists_its_faults_and_leaves_nothing(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    app.button_group(key="data_source").set_value("upload").run()
    app.file_uploader(key="data_files").set_value(
        [("dialogues.jsonl", _dialogue_lines(bad=True), "application/jsonl")]
    )
    _submit(app)
    assert app.error
    faults = app.dataframe[0].value
    assert list(faults["Line"]) == [3, 5]
    assert not empty.config.exists()


def test_a_path_that_is_not_there_is_a_message(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    app.button_group(key="data_source").set_value("path").run()
    app.text_input(key="data_path").set_value("no/such/place.jsonl")
    _submit(app)
    assert any("no/such/place" in entry.value.replace("\\", "") for entry in app.error)
    assert not app.exception


def _submit(app) -> None:  # type: ignore[no-untyped-def]
    (button,) = [button for button in app.button if button.label in ("Import", "Replace the data")]
    button.click().run()


def test_two_files_of_one_name_are_refused_in_words_and_none_is_lost(
    open_page: Open, prepared: Workspace
) -> None:
    before = {path: path.read_bytes() for path in [prepared.config, *prepared.dataset.iterdir()]}
    app = open_page(prepared, "data", view="import")
    app.segmented_control(key="data_source").set_value("upload").run()
    same = ("dialogues.jsonl", _dialogue_lines(), "application/jsonl")
    app.file_uploader(key="data_files").set_value([same, same])
    next(one for one in app.button if one.label == "Replace the data").click().run()
    assert "Several files are named dialogues.jsonl" in texts(app)
    assert "zip" in texts(app)
    assert {path: path.read_bytes() for path in [prepared.config, *prepared.dataset.iterdir()]} == before


def _look(app, name: str, content: bytes) -> None:  # type: ignore[no-untyped-def]
    app.button_group(key="data_source").set_value("upload").run()
    app.file_uploader(key="data_files").set_value([(name, content, "text/csv")])
    _press(app, "Look at it first")


def _press(app, label: str, place: int = 0) -> None:  # type: ignore[no-untyped-def]
    [button for button in app.button if button.label == label][place].click().run()
    assert not app.exception, [entry.value for entry in app.exception]


def test_a_table_of_ones_own_is_looked_at_mapped_and_imported(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    _look(app, "tickets.csv", layouts.tickets()["tickets.csv"])
    assert "It would be refused" in texts(app)
    assert "'Agent Smith' is not one of" in app.dataframe[0].value["Why"][0]
    assert app.dataframe[0].value["Why"][0].endswith("(say who answers: “Who answers”)")
    assert list(app.dataframe[1].value["speaker"])[:2] == ["Agent Smith", "customer"]
    guessed = {box.label: box.value for box in app.selectbox if str(box.key).startswith("data_column_")}
    assert guessed == {
        "ticket\\_id": "session", "customer\\_id": "user", "created\\_at": "time", "speaker": "role",
        "message": "text", "rating": "",
    }  # fmt: skip
    assert not empty.root.exists()
    app.selectbox(key="data_assistant_1").set_value("Agent Smith")
    _press(app, "Look again")
    seen = texts(app)
    assert "Personas 4" in seen
    assert "Dates 2024-03-01 to 2024-05-05" in seen
    assert "Order in time by dates" in seen
    assert "Choose another one with “Base model”" in seen
    assert not empty.root.exists()
    _press(app, "Import", 1)
    assert empty.read_config()["dataset"]["personas"] == 4
    assert reads.card(empty)["mapping"]["assistant"] == "Agent Smith"


def test_two_columns_are_not_one_part(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    _look(app, "tickets.csv", layouts.tickets()["tickets.csv"])
    rating = next(box for box in app.selectbox if box.label == "rating")
    rating.set_value("user")
    _press(app, "Look again")
    assert "Several columns are the user" in texts(app)


def test_a_known_layout_needs_no_mapping(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    _look(app, "dialogues.jsonl", _dialogue_lines())
    seen = texts(app)
    assert "Personas 6" in seen
    assert "Dialogues 36" in seen
    assert not empty.root.exists()


def test_nothing_is_looked_at_where_nothing_is_named(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    app.button_group(key="data_source").set_value("path").run()
    _press(app, "Look at it first")
    assert "Nothing was named" in texts(app)
    app.button_group(key="data_source").set_value("upload").run()
    _press(app, "Look at it first")
    assert "No file was uploaded" in texts(app)


def test_short_and_unseen_personas_are_asked_for(open_page: Open, empty: Workspace) -> None:
    app = open_page(empty, "data")
    app.number_input(key="data_personas_world").set_value(5)
    app.number_input(key="data_dialogues_world").set_value(6)
    app.number_input(key="data_unseen").set_value(40)
    _submit(app)
    assert not app.exception
    assert "Unseen personas" in list(app.dataframe[0].value["Split"])
    app.query_params["view"] = "dialogues"
    app.run()
    assert not app.exception
    assert "Unseen personas" in list(app.dataframe[0].value["Split"])
