"""The data page's view of augmentation: pairs before any run, counts after one."""

from __future__ import annotations

from engine.core.paths import Workspace, write_json
from engine.domains.smart_home import RULES
from engine.runs.runfolder import Status, write_spec, write_status
from engine.strategies.plan import plan
from tests.pages.conftest import Open, texts


def test_pairs_are_shown_before_anything_is_run(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "data", view="augmentation", persona="persona_002")
    assert not app.exception
    seen = texts(app)
    assert "Nothing is augmented yet" in seen
    assert seen.count("Message 1") >= 1
    assert "Refused on the way" in seen or "Nothing was refused" in seen
    before = seen
    app.number_input(key="data_augment_count").set_value(6).run()
    assert texts(app).count("Dialogue ") > before.count("Dialogue ")


def test_no_way_chosen_says_what_to_do(open_page: Open, prepared: Workspace) -> None:
    app = open_page(prepared, "data", view="augmentation")
    app.button_group(key="data_augment_methods").set_value([]).run()
    assert "Choose at least one way" in texts(app)
    app.button_group(key="data_augment_methods").set_value(["context-noise"]).run()
    assert "Noise" in texts(app)


def test_the_last_run_is_told_by_way_and_reason(open_page: Open, prepared: Workspace) -> None:
    spec = plan(prepared, "augmentation").target.spec
    folder = prepared.run_folder(spec.run_id)
    write_spec(folder, spec)
    write_status(folder, Status(state="succeeded", order=1, attempt=1))
    told = {
        "sources": 600,
        "made": 1400,
        "total": 2000,
        "rejected": {"near-duplicate": 9},
        "by_method": {name: {"taken": 350, "near-duplicate": 3} for name in RULES},
        "short_of_target": {"persona_001": 12},
    }
    write_json(folder / "augmentation.json", told)
    write_json(
        folder / "done.json", {"files": {}, "protocols": {}, "variants": [], "finished_at": "2024-01-01"}
    )
    app = open_page(prepared, "data", view="augmentation")
    seen = texts(app)
    assert "2,000" in seen
    assert "1 persona stays short of the target" in seen
    table = app.dataframe[0].value
    assert list(table["Made"]) == [350] * 4
    assert list(table["Near-duplicate"]) == [3] * 4
