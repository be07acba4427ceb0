"""The persona page: who is shown, in which order, under which address, and what each part tells."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.core.paths import Workspace, read_json
from engine.core.wording import signed_points
from engine.data import load_dataset, load_splits
from engine.results import store
from engine.show.persona.table import persona_gains, wide
from pages.shared import aside, frame
from tests.pages.conftest import Open, texts
from tests.persona_study import leave_clusters, make_study
from tests.sample_study import finish, prepare_world
from tests.workspaces import count_as_taken_in


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study with clusters, routes and a merge. Tests only look at it."""
    return make_study(tmp_path_factory.mktemp("pages") / "study", personas=5, dialogues=6)


def gains(ws: Workspace, variant: str) -> dict[str, float]:
    table = wide(store.score_table(ws, metric="embedding_similarity", split="val"))
    found: dict[str, float] = persona_gains(table, "unified")[variant].to_dict()
    return found


def test_without_data_and_without_scores_the_page_leads_on(
    open_page: Open, empty: Workspace, prepared: Workspace, tmp_path: Path
) -> None:
    assert "No data yet" in texts(open_page(empty, "persona"))
    assert "5 personas cannot be split into 5 or 10" in texts(open_page(prepared, "persona"))
    ws = prepare_world(tmp_path / "six", personas=6, dialogues=6)
    app = open_page(ws, "persona")
    seen = texts(app)
    assert "Nothing is scored yet" in seen
    assert load_dataset(ws).personas[0].character in seen  # type: ignore[operator]
    assert app.button(key="persona_run_clustering").label == "Cluster the personas"


def test_who_is_judged_nowhere_is_told_where_her_dialogues_lie(open_page: Open, tmp_path: Path) -> None:
    ws = prepare_world(tmp_path / "apart", personas=6, dialogues=6, split="by-persona")
    finish(ws, "unified", "base", per_persona=2)
    splits = load_splits(ws).assignment
    hers = next(one for one in load_dataset(ws).dialogues if splits[one.dialogue_id] == "train")
    seen = texts(open_page(ws, "persona", persona=hers.persona_id))
    assert "has no score in embedding similarity on validation: her dialogues are in train" in seen
    assert "what was imported" not in seen


def test_two_personas_form_no_clusters_and_no_page_offers_any(open_page: Open, tmp_path: Path) -> None:
    ws = prepare_world(tmp_path / "two", personas=2, dialogues=6)
    for page, asked in (("persona", {}), ("data", {"view": "clusters"})):
        app = open_page(ws, page, **asked)
        assert "clusters need 3 personas or more" in texts(app)
        assert not app.error
        assert "Clustering" not in texts(app)


def test_a_map_is_shown_before_anything_is_scored(open_page: Open, prepared: Workspace) -> None:
    leave_clusters(prepared)
    assert "Click a persona to open it" in texts(open_page(prepared, "persona"))


def test_a_deep_link_opens_what_it_names(open_page: Open, study: Workspace) -> None:
    app = open_page(
        study, "persona", persona="persona_003", variant="base", order="gain", metric="device_f1", split="val"
    )
    seen = texts(app)
    assert app.title[0].value.replace("\\", "").startswith("persona_003 (")
    assert "Device F1" in seen
    assert "by gain of base" in seen
    assert "on validation" in seen
    wanted = {"persona": "persona_003", "variant": "base", "order": "gain", "metric": "device_f1"}
    assert wanted.items() <= dict(app.query_params).items()


def test_what_the_address_asks_for_in_vain_is_said(open_page: Open, study: Workspace) -> None:
    asked = {"persona": "nobody", "variant": "nothing", "order": "sideways", "example": "none"}
    app = open_page(study, "persona", **asked)
    assert app.title[0].value.replace("\\", "").startswith("persona_000 (")
    assert all(f" {name}, which is not here" in texts(app) for name in asked.values())


def test_in_a_large_study_the_rest_is_there_while_the_statistics_are_made(
    open_page: Open, study: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(study.cache, ignore_errors=True)
    monkeypatch.setattr(aside, "_LARGE_BYTES", 0)
    monkeypatch.setattr(aside, "_PATIENCE_SECONDS", 0.0)
    app = open_page(study, "persona")
    for _ in range(200):
        if "Under unified" in [one.label for one in app.metric]:
            break
        assert "Reading the scores" in texts(app) or "Comparing" in texts(app)
        assert "Character and routines" in texts(app)
        aside.settled()
        app.run()
    else:
        pytest.fail("The scores never came.")
    while aside.settled():  # merges and routes come later still
        app.run()
    assert "Reading the scores" not in texts(app)


def test_the_worst_example_is_open_first(open_page: Open, study: Workspace) -> None:
    table = wide(store.score_table(study, metric="embedding_similarity", split="val"))
    own = table.loc["persona_002"]
    app = open_page(study, "persona", persona="persona_002", variant="base")
    assert app.query_params["example"] == (own["base"] - own["unified"]).idxmin()


def test_next_and_previous_walk_the_order(open_page: Open, study: Workspace) -> None:
    found = gains(study, "base")
    expected = sorted(found, key=lambda name: (-found[name], name))
    app = open_page(study, "persona", persona=expected[0], variant="base", order="gain")
    assert app.button(key="persona_previous").disabled
    walked = [expected[0]]
    for _ in expected[1:]:
        app.button(key="persona_next").click().run()
        walked.append(app.query_params["persona"])  # type: ignore[arg-type]
    assert walked == expected
    assert app.button(key="persona_next").disabled
    assert str(app.query_params["example"]).startswith(walked[-1])
    app.button(key="persona_previous").click().run()
    assert app.query_params["persona"] == expected[-2]


def test_coming_back_without_an_address_opens_the_last_persona(open_page: Open, study: Workspace) -> None:
    app = open_page(study, "persona", persona="persona_003")
    app.query_params.clear()
    app.switch_page(frame.script_of("data")).run()
    app.switch_page(frame.script_of("persona")).run()
    assert not app.exception
    assert app.query_params["persona"] == "persona_003"


def test_the_order_by_cluster_keeps_clusters_together(open_page: Open, study: Workspace) -> None:
    app = open_page(study, "persona", order="cluster")
    options = [one.partition(" (")[0] for one in app.selectbox(key="persona_persona").options]
    assert options == ["persona_000", "persona_003", "persona_001", "persona_004", "persona_002"]


def test_numbers_are_those_of_the_store(open_page: Open, study: Workspace) -> None:
    app = open_page(study, "persona", persona="persona_002", variant="base")
    shown = {entry.label: entry.value for entry in app.metric}
    found = gains(study, "base")
    assert f"({signed_points(found['persona_002'])})" in shown["Under base"]
    rank = 1 + sum(value > found["persona_002"] for value in found.values())
    assert shown["Place by gain"] == f"{rank} of 5"
    assert shown["Cluster"] == "2"
    assert "1 persona in it" in next(one.help for one in app.metric if one.label == "Cluster")


def test_the_route_and_the_merge_are_told(open_page: Open, study: Workspace) -> None:
    run_id = next(one.run_id for one in store.variants(study) if one.variant == "routing")
    routes = read_json(study.run_folder(run_id) / "routes.json")["routes"]
    for persona in ("persona_000", "persona_001"):
        seen = texts(open_page(study, "persona", persona=persona))
        chosen = routes[persona]["variant"]
        begins = "Stays with" if chosen == "unified" else "Goes to"
        assert f"{begins} **{chosen}**" in seen
        assert "mixes 3 adapters" in seen


def test_markup_of_users_stays_text(open_page: Open, prepared: Workspace) -> None:
    path = prepared.dataset / "personas.jsonl"
    lines = path.read_text().splitlines()
    lines[0] = lines[0].replace('"character":"', '"character":"<b>bold</b> $x$ [a](http://b) ')
    path.write_text("\n".join(lines) + "\n")
    count_as_taken_in(prepared)
    app = open_page(prepared, "persona", persona="persona_000")
    (told,) = [entry.value for entry in app.markdown if "bold" in entry.value]
    assert "\\<b\\>bold\\</b\\> \\$x\\$ \\[a\\](http\\:" in told.replace("\\/", "/")
