"""The compare page: choices in the address, warnings, and the five questions, one section each."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st

from engine.core.machine import change_machine
from engine.core.paths import Workspace
from engine.core.stamps import stamp
from engine.core.wording import count, p_value, percent
from engine.domains import metrics
from engine.results import store
from engine.results.comparing import looks, pairings
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.headline import headline
from engine.results.imported import import_study
from engine.results.imported.routing import route_imported
from engine.results.study.onward import controls_of
from engine.runs import jobs
from engine.show.persona.table import wide
from engine.stats.co_primary import standing
from engine.stats.power import outlook
from engine.strategies.plan import look
from pages.shared import frame, reads
from tests.pages.conftest import Open, commands, texts
from tests.results.imported.published import write_study
from tests.sample_study import cluster_into, finish, prepare_world

SECTIONS = ("table", "personas", "why", "metrics", "heatmap", "cost", "certainty")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of a published study's scores alone."""
    folder = tmp_path_factory.mktemp("published")
    ws = Workspace(folder / "ws")
    import_study(ws, write_study(folder / "study"))
    return ws


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[int, list[str]]]:
    """A workspace with a clustering, and who is in which cluster."""
    ws = prepare_world(tmp_path_factory.mktemp("clustered"), personas=7, dialogues=8)
    finish(ws, "unified", per_persona=4)
    return ws, cluster_into(ws, 2)


def test_what_is_kept_for_the_next_process_is_what_was_computed(full: Workspace) -> None:
    computed = json.loads(json.dumps(compare_variants(full, split="val"), allow_nan=False))
    st.cache_resource.clear()
    first = reads._compared(full, split="val")
    st.cache_resource.clear()  # as in another process
    assert first == computed == reads._compared(full, split="val")
    whole = store.protocols(full)
    pd.testing.assert_frame_equal(reads.protocols(full), whole)


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("compare_variants", {"view": "metrics"}),
        ("why", {"view": "why"}),
        ("audit", {"view": "certainty"}),
        ("within", {"cluster": "1"}),
    ],
)
def test_the_next_process_opens_a_view_with_what_was_kept(
    open_page: Open, clustered: tuple[Workspace, dict[int, list[str]]], kind: str, asked: dict[str, str]
) -> None:
    ws, _ = clustered

    def opened() -> tuple[str, dict[str, Any]]:
        st.cache_data.clear()
        st.cache_resource.clear()
        seen = texts(open_page(ws, "compare", **asked))
        return seen, {path.name: stamp(path) for path in ws.cache.glob("*.kept")}

    opened()  # the first look of all settles the reference
    first = opened()
    assert any(name.startswith(f"{kind}-") for name in first[1])
    assert opened() == first  # nothing was made anew, and none took another's place


@pytest.mark.parametrize(
    ("page", "asked"),
    [
        ("home", {}),
        ("experiments", {}),
        ("persona", {"variant": "retrieval"}),
        ("report", {}),
        ("playground", {}),
    ]
    + [
        ("compare", {"view": view, "candidate": "retrieval"})
        for view in ("", "personas", "why", "metrics", "heatmap", "cost", "certainty")
    ],
)
def test_no_page_changes_a_comparison_that_all_share(
    open_page: Open, full: Workspace, monkeypatch: pytest.MonkeyPatch, page: str, asked: dict[str, str]
) -> None:
    shared, given = reads._compared, list[tuple[dict[str, Any], dict[str, Any]]]()

    def compared(ws: Workspace, **told: Any) -> dict[str, Any]:
        found = shared(ws, **told)
        given.append((found, copy.deepcopy(found)))
        return found

    monkeypatch.setattr(reads, "_compared", compared)
    st.cache_data.clear()
    shutil.rmtree(full.cache)  # so that everything made of a comparison is made
    open_page(full, page, **asked)
    assert all(found == before for found, before in given)
    assert given or page == "playground"


def test_without_data_and_without_scores_the_page_leads_on(
    open_page: Open, empty: Workspace, prepared: Workspace
) -> None:
    assert "No data yet" in texts(open_page(empty, "compare"))
    assert "Nothing is scored yet" in texts(open_page(prepared, "compare"))


def test_the_table_is_the_comparison(open_page: Open, full: Workspace) -> None:
    shown = open_page(full, "compare").dataframe[0].value
    found = compare_variants(full, split="val")
    assert list(shown["variant"]) == [row["variant"] for row in found["rows"]]
    for mean, counts, row in zip(shown["mean"], shown["counts"], found["rows"], strict=True):
        assert abs(mean - 100 * row["mean"]) < 1e-9
        told = f"{row['wins']} / {row['ties']} / {row['losses']}"
        assert counts == ("" if row["role"] == "reference" else told)


def test_what_must_hold_beside_the_primary_metric_is_shown(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare")
    shown = app.dataframe[0].value
    held = {row["variant"]: row["co_primary"] for row in compare_variants(full, split="val")["rows"]}
    assert all(
        (word == "") == (name == "unified") and (name == "unified" or standing(held[name]) in word)
        for name, word in zip(shown["variant"], shown["second"], strict=True)
    )
    assert "Exact action match" in texts(app)
    alone = open_page(full, "compare", metric="device_f1")
    assert not any(alone.dataframe[0].value["second"])


def test_a_small_sample_is_named(open_page: Open, full: Workspace) -> None:
    assert "Small sample: 6 personas" in texts(open_page(full, "compare"))


def test_the_address_decides_reference_metric_and_split(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", reference="base", metric="device_f1", split="val")
    seen = texts(app)
    assert "Device F1** on validation, in points, of each variant against base" in seen
    assert "for choosing, not for verdicts" in seen
    assert app.dataframe[0].value["variant"].iloc[0] == "base"


def test_whatever_is_shown_stands_in_the_address_a_default_too(open_page: Open, full: Workspace) -> None:
    found = compare_variants(full, split="val")
    best = next(row["variant"] for row in found["rows"] if row["variant"] != "unified")
    shown = {
        "metric": "embedding_similarity",
        "split": "val",
        "reference": "unified",
        "protocol": found["protocol"],
        "view": "table",
        "candidate": best,
    }
    app = open_page(full, "compare")
    assert shown.items() <= dict(app.query_params).items()
    app.selectbox(key="compare_metric").set_value("param_f1").run()
    app.selectbox(key="compare_reference").set_value("base").run()
    assert app.query_params["metric"] == "param_f1"
    assert app.query_params["reference"] == "base"
    app.selectbox(key="compare_metric").set_value("embedding_similarity").run()
    assert app.query_params["metric"] == "embedding_similarity"


def test_coming_back_from_another_page_finds_the_page_as_it_was(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", view="heatmap", metric="device_f1", reference="base", sort="mean")
    for page in ("data", "compare"):
        app.query_params.clear()
        app.switch_page(frame.script_of(page)).run()
        assert not app.exception
    assert app.query_params["view"] == "heatmap"
    assert app.selectbox(key="compare_metric").value == "device_f1"
    assert app.selectbox(key="compare_reference").value == "base"
    assert app.query_params["sort"] == "mean"


def test_a_look_at_test_is_counted_once(open_page: Open, full: Workspace) -> None:
    there = looks.at(compare_variants(full, split="val"))
    app = open_page(full, "compare", metric="param_f1", split="test")
    assert "Test is not judged yet" in texts(app)
    assert looks.seen(full, there) == []
    app.button(key="compare_judge_all").click().run()
    first = texts(app)
    seen = looks.seen(full, there)
    assert len(seen) >= 5
    assert looks.words(seen) in first
    compare_variants(full, reference="base", metric="param_f1")  # judges unified, too
    seen = looks.seen(full, there)
    assert {look.variant for look in seen} >= {"base", "unified"}
    again = texts(open_page(full, "compare", metric="param_f1", split="test"))
    assert looks.words(looks.seen(full, there)) in again
    assert "Test seen" not in texts(open_page(full, "compare"))


def test_it_opens_on_val_and_judges_the_choice_on_test_when_asked(open_page: Open, tmp_path: Path) -> None:
    ws = prepare_world(tmp_path, personas=6, dialogues=8)
    finish(ws, "unified", "retrieval", per_persona=4)
    app = open_page(ws, "compare")
    val = compare_variants(ws, split="val")
    best = max((row for row in val["rows"] if not row["role"]), key=lambda row: row["delta"])
    assert headline(ws, val).choice_words in texts(app)
    assert looks.seen(ws, looks.at(val)) == []
    app.button(key="compare_judge").click().run()
    assert not app.exception
    assert [look.variant for look in looks.seen(ws, looks.at(val))] == [best["variant"]]
    judged = headline(ws, val)
    assert judged.choice_words.startswith(f"Validation chose {best['variant']}; on test it is")
    assert judged.choice_words in texts(app)
    others = open_page(ws, "compare", split="test")
    assert best["variant"] not in others.button(key="compare_judge_all").label
    others.button(key="compare_judge_all").click().run()
    on_test = texts(others)
    assert judged.choice_words in on_test
    assert "Seen personas only" in on_test


def test_success_is_judged_level_by_level_with_what_is_missing(open_page: Open, full: Workspace) -> None:
    seen = texts(open_page(full, "compare", candidate="base"))
    assert "No level reached** by base on validation" in seen
    bands = compare_variants(full, split="val")["criteria"]["base"]
    for band in bands:
        assert f"**{band['title']}**, missed" in seen
        assert band["missing"][0] in seen


def test_a_variant_shows_its_tests(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", candidate="base")
    seen = texts(app)
    row = next(row for row in compare_variants(full, split="val")["rows"] if row["variant"] == "base")
    assert f"Wilcoxon {p_value(row['p_wilcoxon'])}; sign test {p_value(row['p_sign'])}" in seen
    shown = {entry.label: entry.value for entry in app.metric}
    assert shown["Improved"] == percent(row["true_share"])
    beside = next(entry.help for entry in app.metric if entry.label == "Improved")
    assert f"{percent(row['share_improved'])} look better" in beside
    assert "of personas truly gain" in seen
    assert shown["Lost over 10 points"] == str(row["catastrophic"])


def test_how_sure_tells_noise_placebo_and_power(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", view="certainty", candidate="base", effect="5")
    seen = texts(app)
    row = next(row for row in compare_variants(full, split="val")["rows"] if row["variant"] == "base")
    family = row["family_size"]
    found = outlook(n_personas=6, smallest=row["min_detectable_effect"], effect=0.05, family=family)
    assert family > 1
    assert f"among {family} variants" in seen
    assert f"you need **{found.needed:,} personas**" in seen
    assert found.detectable > 1  # more than the scale has, for six personas
    assert "you can see **no difference at all**" in seen
    assert any("python -m engine repeat" in one for one in commands(app).values())
    assert "unified, retrieval, crossed with the seeds: 4 runs to go" in seen
    assert "Not scored: the same recipe" not in seen  # nobody's own in it, so there is no placebo


def test_a_difference_to_be_seen_is_offered_in_the_metrics_own_unit(open_page: Open, full: Workspace) -> None:
    def offered(metric: str, label: str) -> list[str]:
        app = open_page(full, "compare", view="certainty", candidate="base", metric=metric)
        (asked,) = [one for one in app.selectbox if one.label == label]
        return list(asked.options)

    assert offered("similarity", "To see a difference of")[:2] == ["1 point", "0.5 points"]
    assert offered("length_ratio", "To see a difference of")[:2] == ["0.1", "0.05"]
    assert "more than 1 point" in offered("similarity", "A persona is better by")
    assert "more than 0.05" in offered("numerical_mae", "A persona is better by")


def test_a_variant_is_asked_by_buttons_whether_it_is_equal_and_for_its_placebo(
    open_page: Open, full: Workspace, tmp_path: Path
) -> None:
    ws = Workspace(shutil.copytree(full.root, tmp_path / "asked"))
    change_machine(ws, training_slots=0)
    name = "unified+retrieval-1"
    row = next(row for row in compare_variants(ws, split="val")["rows"] if row["variant"] == name)
    app = open_page(ws, "compare", view="certainty", candidate=name)
    seen = texts(app)
    assert f"p {p_value(row['p_equal'])}" in seen
    word = "Equal" if row["p_equal_holm"] < 0.05 else "Not shown to be equal"
    assert f"**{word}** to unified within ± 1.0 point." in seen
    told = next(one for one in commands(app).values() if " run placebo " in one)
    assert f"--workspace {ws.root}" in told
    assert "of=retrieval" in told
    own = next(one for one in store.variants(ws) if one.variant == name)
    remembers = replace(own, recipe={"effects": [{"kind": "prompt", "profile": False, "memories": 3}]})
    planned = controls_of(ws, remembers, look(ws))
    assert planned is not None
    assert planned.target.spec.parameters["k"] == 3  # that variant's own, of the several of its run
    app.button(key="compare_placebo").click().run()
    assert not app.exception
    queued = [one for one in jobs.list_runs(ws) if one.state == "queued"]
    assert [one.experiment for one in queued] == ["placebo"]
    assert "compare_placebo" not in {one.key for one in app.button}


def test_one_family_can_be_shown_and_the_correction_stays(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", family="retrieval")
    shown = app.dataframe[0].value.set_index("variant")
    assert list(shown.index)[0] == "unified"
    assert all(name.startswith("unified") for name in shown.index)
    everything = open_page(full, "compare").dataframe[0].value.set_index("variant")
    assert shown.loc["unified+retrieval-3", "p"] == everything.loc["unified+retrieval-3", "p"]


def test_a_margin_counts_small_differences_as_equal(open_page: Open, published: Workspace) -> None:
    plain = open_page(published, "compare").dataframe[0].value.set_index("variant")
    asked = compare_variants(published, margin=0.05)
    shown = open_page(published, "compare", margin="5").dataframe[0].value.set_index("variant")
    for row in asked["rows"][1:]:
        assert shown.loc[row["variant"], "ties"] == row["ties"]
        assert shown.loc[row["variant"], "ties"] >= plain.loc[row["variant"], "ties"]
        assert shown.loc[row["variant"], "p"] == plain.loc[row["variant"], "p"]
    assert (shown["ties"][1:] > plain["ties"][1:]).any()


def test_one_cluster_is_a_reading_of_its_own(
    open_page: Open, clustered: tuple[Workspace, dict[int, list[str]]]
) -> None:
    ws, members = clustered
    app = open_page(ws, "compare", cluster="1")
    seen = texts(app)
    n = len(members[1])
    assert f"Exploratory: cluster 1 only, {n} personas" in seen
    assert "Is it a success?" not in seen
    within = pairings.compare_within(ws, compare_variants(ws), members[1])
    shown = app.dataframe[0].value
    assert list(shown["variant"]) == [row["variant"] for row in within["rows"]]
    assert {row["n_paired"] for row in within["rows"]} == {n}
    assert f"({n})" in app.selectbox(key="compare_cluster").options[2]


def test_for_whom_lists_every_persona_and_the_far_losses(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", view="personas", candidate="base")
    row = next(row for row in compare_variants(full, split="val")["rows"] if row["variant"] == "base")
    (choice,) = [one for one in app.button_group if str(one.key).startswith("compare_list")]
    assert list(choice.options) == [
        f"Lost over 10 points ({row['catastrophic']})",
        "All (6)",
    ]
    assert len(app.dataframe[-1].value) == row["catastrophic"]
    losses = list(app.dataframe[-1].value["difference"])
    assert losses == sorted(losses)
    assert all(loss < -10 for loss in losses)


def test_costs_are_shown_where_runs_know_them(open_page: Open, full: Workspace, published: Workspace) -> None:
    app = open_page(full, "compare", view="cost")
    assert set(app.dataframe[0].value["variant"]) >= {"profile-prompt"}
    assert "These scores came without what they cost" in texts(open_page(published, "compare", view="cost"))


def test_published_scores_are_shown_with_their_warnings(open_page: Open, published: Workspace) -> None:
    app = open_page(published, "compare")
    seen = texts(app)
    for warning in compare_variants(published)["warnings"]:
        assert warning in seen
    assert "Hindsight bound" in seen


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_draws_every_metric(open_page: Open, full: Workspace, section: str) -> None:
    app = open_page(full, "compare", view=section)
    for metric in metrics.of_study(full):
        app.selectbox(key="compare_metric").set_value(metric).run()
        assert not app.exception, metric
        assert not app.error, metric


def test_what_routing_is_worth_is_told_where_scores_were_published(
    open_page: Open, published: Workspace
) -> None:
    rules = next(one.value for one in open_page(published, "compare").dataframe if "Choice" in one.value)
    found = route_imported(published)
    assert list(rules["It is"]) == [rule.kind for rule in found.rules]
    assert metrics.METRICS[found.metric].change(found.rules[0].comparison.delta) in rules["Gain"][0]


def test_every_section_draws_a_published_study(open_page: Open, published: Workspace) -> None:
    for section in SECTIONS:
        app = open_page(published, "compare", view=section, reference="hybrid")
        assert not app.exception, section
        assert not app.error, section


def test_how_the_statistics_were_checked_is_one_click_away(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "statistics")
    assert "How often are the statistics right?" in texts(app)
    assert "bootstrap-t" in texts(app)


def test_what_the_address_asks_for_in_vain_is_said_until_another_is_chosen(
    open_page: Open, full: Workspace
) -> None:
    asked = {"metric": "nonsense", "reference": "nobody", "view": "nowhere", "cluster": "77"}
    asked |= {"candidate": "nothing", "split": "train", "protocol": "0000"}
    app = open_page(full, "compare", **asked)
    seen = texts(app)
    assert "Embedding similarity** on validation, in points, of each variant against unified" in seen
    assert all(f" {name}, which is not here" in seen for name in asked.values())
    assert asked.items() <= dict(app.query_params).items()
    app.selectbox(key="compare_reference").set_value("base").run()
    assert "nobody, which" not in texts(app)
    assert "nonsense, which" in texts(app)
    assert app.query_params["reference"] == "base"


def test_why_leads_from_a_part_to_its_replies(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", view="why", candidate="base")
    table = wide(store.score_table(full, metric="embedding_similarity", split="val"))
    lost = int((table["base"] < table["unified"] - 1e-9).sum())
    assert f"on {count(lost, 'reply', 'replies')} of {len(table)}" in texts(app)
    kinds = next(one.value for one in app.dataframe if "what" in one.value and "share" in one.value)
    assert kinds["share"].sum() == pytest.approx(100.0)
    app = open_page(full, "compare", view="why", candidate="base", why="turn:1")
    assert "Turn: Reply 1" in texts(app)
    assert app.query_params["example"]


def test_an_upload_says_what_came_in(open_page: Open, empty: Workspace, tmp_path: Path) -> None:
    results = write_study(tmp_path / "study") / "results"
    app = open_page(empty, "data")
    names = ("unified/per_persona_results.json", "hybrid/hybrid_summary.json")
    app.file_uploader(key="data_study_files").set_value(
        [(Path(name).name, (results / name).read_bytes(), "application/json") for name in names]
    )
    _send(app)
    seen = texts(app)
    assert "Imported: 2 variants" in app.success[0].value
    assert "The split is taken to be test" in seen
    assert empty.config.exists()


def test_a_bad_upload_shows_all_its_faults_and_leaves_the_workspace(
    open_page: Open, empty: Workspace
) -> None:
    bad = b'{"p1": {"embedding_similarity": NaN}, "p2": {"embedding_similarity": 7}}'
    app = open_page(empty, "data")
    app.file_uploader(key="data_study_files").set_value([("bad.json", bad, "application/json")])
    _send(app)
    assert app.error
    faults = "\n".join(app.dataframe[0].value["What is wrong"])
    assert "p1: embedding_similarity is NaN" in faults
    assert "p2: embedding_similarity is 7" in faults
    assert not empty.root.exists()


def _send(app: object) -> None:
    (button,) = [one for one in app.button if one.label == "Import the study"]  # type: ignore[attr-defined]
    button.click().run()


def test_a_variant_is_served_from_here_and_its_files_are_a_command(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", view="away", candidate="base")
    assert "python -m engine export base base-adapters" in commands(app)["compare_zip"]
    assert [entry.label for entry in app.button if entry.key == "compare_serve"] == ["Serve base"]
    ceiling = open_page(full, "compare", view="away", candidate="ceiling-persona")
    assert "No model answers" in texts(ceiling)
    assert not [entry for entry in ceiling.button if entry.key == "compare_serve"]
