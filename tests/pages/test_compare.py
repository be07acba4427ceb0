"""The compare page: choices in the address, warnings, leaderboard, personas and their examples."""

from __future__ import annotations

from engine.comparing import looks
from engine.comparing.comparison import compare_variants
from engine.paths import Workspace
from engine.stats.metrics import METRICS
from engine.wording import p_value, percent
from tests.pages.conftest import Open, texts


def test_without_data_and_without_scores_the_page_leads_on(
    open_page: Open, empty: Workspace, prepared: Workspace
) -> None:
    assert "No data yet" in texts(open_page(empty, "compare"))
    assert "Nothing is scored yet" in texts(open_page(prepared, "compare"))


def test_the_table_is_the_comparison(open_page: Open, full: Workspace) -> None:
    shown = open_page(full, "compare").dataframe[0].value
    found = compare_variants(full)
    assert list(shown["variant"]) == [row["variant"] for row in found["rows"]]
    for mean, row in zip(shown["mean"], found["rows"], strict=True):
        assert abs(mean - 100 * row["mean"]) < 1e-9


def test_a_small_sample_is_named(open_page: Open, full: Workspace) -> None:
    assert "Small sample: 6 personas" in texts(open_page(full, "compare"))


def test_the_address_decides_reference_metric_and_split(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", reference="base", metric="device_f1", split="val")
    seen = texts(app)
    assert "Device F1** of each variant against base" in seen
    assert "for choosing, not for verdicts" in seen
    assert app.dataframe[0].value["variant"].iloc[0] == "base"


def test_choices_go_into_the_address_and_defaults_leave_it_clean(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare")
    assert dict(app.query_params) == {}
    app.selectbox(key="compare_metric").set_value("param_f1").run()
    app.selectbox(key="compare_reference").set_value("base").run()
    assert app.query_params["metric"] == "param_f1"
    assert app.query_params["reference"] == "base"
    app.selectbox(key="compare_metric").set_value("embedding_similarity").run()
    assert "metric" not in app.query_params


def test_a_look_at_test_is_counted_once(open_page: Open, full: Workspace) -> None:
    protocol = compare_variants(full)["protocol"]
    first = texts(open_page(full, "compare", metric="param_f1"))
    seen = len(looks.seen(full, protocol))
    assert seen >= 5
    assert f"Test seen {seen} times" in first
    compare_variants(full, reference="base")  # judges unified, too
    seen = len(looks.seen(full, protocol))
    assert {look.variant for look in looks.seen(full, protocol)} >= {"base", "unified"}
    assert f"Test seen {seen} times" in texts(open_page(full, "compare", metric="param_f1"))
    assert "Test seen" not in texts(open_page(full, "compare", split="val"))


def test_success_is_judged_level_by_level_with_what_is_missing(open_page: Open, full: Workspace) -> None:
    seen = texts(open_page(full, "compare", candidate="base"))
    assert "base reaches none of these levels" in seen
    bands = compare_variants(full)["criteria"]["base"]
    for band in bands:
        assert f"**{band['title']}**, missed" in seen
        assert band["missing"][0] in seen


def test_a_variant_shows_its_tests_and_the_way_to_the_noise_floor(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", candidate="base")
    seen = texts(app)
    row = next(row for row in compare_variants(full)["rows"] if row["variant"] == "base")
    assert f"Wilcoxon {p_value(row['p_wilcoxon'])}; sign test {p_value(row['p_sign'])}" in seen
    assert "python -m engine run unified --seed 1" in seen
    shown = {entry.label: entry.value for entry in app.metric}
    assert shown["Improved"] == percent(row["share_improved"])
    assert shown["Lost over 10"] == str(row["catastrophic"])


def test_one_family_can_be_shown_and_the_correction_stays(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", family="retrieval")
    shown = app.dataframe[0].value.set_index("variant")
    assert list(shown.index)[0] == "unified"
    assert all(name.startswith("unified") for name in shown.index)
    everything = open_page(full, "compare").dataframe[0].value.set_index("variant")
    assert shown.loc["unified+retrieval-3", "p"] == everything.loc["unified+retrieval-3", "p"]


def test_how_the_statistics_were_checked_is_one_click_away(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "statistics")
    assert "How often are the statistics right?" in texts(app)
    assert "bootstrap-t" in texts(app)


def test_a_wrong_address_falls_back_to_the_default(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", metric="nonsense", reference="nobody", persona="nobody")
    assert "Embedding similarity** of each variant against unified" in texts(app)


def test_a_persona_shows_its_examples_side_by_side(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare", candidate="base", persona="persona_002")
    seen = texts(app)
    assert "examples of persona_002" in seen
    assert seen.count("Right reply") == 4
    assert "User:" in seen


def test_every_metric_can_be_shown(open_page: Open, full: Workspace) -> None:
    app = open_page(full, "compare")
    for metric in METRICS:
        app.selectbox(key="compare_metric").set_value(metric).run()
        assert not app.exception, metric
        assert not app.error, metric
