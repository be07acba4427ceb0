"""The pages' boundary: what a user can mend is told in words, everything else stays an exception."""

from __future__ import annotations

import re
from pathlib import Path

import altair as alt
import click
import pandas as pd
from streamlit.testing.v1 import AppTest

from engine.cli import PAGES, cli
from engine.core.paths import REPOSITORY, Workspace
from engine.show.glossary import WORDS
from pages.shared import drawing, reads
from pages.shared.numbers import of_chart
from pages.words.commands import WHERE
from tests.pages.conftest import Open, texts
from tests.sample_study import finish, prepare_world


def _full_disk() -> None:
    from pathlib import Path

    from pages.shared import frame

    with frame.boundary():
        Path("/dev/full").write_text("a result")


def _missing_file() -> None:
    from pages.shared import frame

    with frame.boundary():
        open("/nowhere/at/all").close()


def test_a_full_disk_is_told_in_words() -> None:
    app = AppTest.from_function(_full_disk, default_timeout=240).run()
    assert not app.exception
    assert "No space left on device" in app.error[0].value
    assert "Free disk space" in app.caption[0].value


def test_a_fault_of_the_app_itself_is_not_hidden() -> None:
    app = AppTest.from_function(_missing_file, default_timeout=240).run()
    assert app.exception
    assert not app.error


def test_results_are_looked_for_once_a_drawing_and_anew_once_something_was_pressed(tmp_path: Path) -> None:
    ws = prepare_world(tmp_path / "study", personas=4, dialogues=6)
    drawing.begin()
    try:
        before = reads.version(ws)
        finish(ws, "base")
        assert reads.version(ws) == before
        drawing.begin()
        assert reads.version(ws) != before
    finally:
        drawing._seen.set(None)


def test_one_place_draws_charts_and_one_words_shares() -> None:
    """Each chart is offered as files, and a half rounded in one way, only where nothing goes around them."""
    written = {
        path: path.read_text(encoding="utf-8")
        for folder in ("engine", "pages")
        for path in (REPOSITORY / folder).rglob("*.py")
    }
    around = re.compile(r"st\.(?:altair|vega_lite)_chart\(|\{[^{}]*:\.\d(?:%|f\} %)")
    found = {str(path.relative_to(REPOSITORY)) for path, text in written.items() if around.search(text)}
    assert found == {"pages/shared/frame.py"}


def test_a_saved_table_holds_no_formula_and_looks_the_same() -> None:
    def script() -> None:
        import pandas as pd

        from engine.domains.metrics import METRICS
        from pages.shared import frame

        told = {"=name": ["=1+1", "a", None], "Text": ["@SUM(A1)", "-x", "\t=1"], "Number": [-1.5, 0.0, 2.0]}
        frame.table(pd.DataFrame(told))
        gains = pd.DataFrame({"Who": ["+x"], "delta": [-2.0]})
        frame.table(frame.scored(gains, METRICS["rouge_l"], changes=["delta"]))
        frame.table(pd.DataFrame({"Nothing": []}))

    app = AppTest.from_function(script).run()
    assert not app.exception
    first, signed, empty = (one.value for one in app.dataframe)
    texts = [str(one) for one in (*first.columns, *first.iloc[:, 0], *first["Text"], *signed["Who"])]
    assert not [text for text in texts if text[:1] in ("=", "+", "-", "@", "\t")]
    assert texts[3].replace("\u2060", "") == "=1+1"
    assert list(first["Number"]) == [-1.5, 0.0, 2.0]
    assert empty.empty


def test_a_chart_gives_its_numbers_whatever_it_is_made_of() -> None:
    rows = pd.DataFrame({"variant": ["a", "b"], "mean_points": [1.0, 2.0], "colour": ["blue", "gray"]})
    few = pd.DataFrame({"at": [0.0]})
    plain = alt.Chart(rows).mark_bar().encode(x="mean_points:Q")
    layered = alt.layer(alt.Chart(few).mark_rule().encode(x="at:Q"), plain)
    spec = {"datasets": {"rows": rows, "marked": few}, "layer": []}
    for drawn in (plain, layered, layered.facet(data=rows, row="variant:N"), spec):
        shown = of_chart(drawn)
        assert list(shown.columns) == ["Variant", "Mean points"]
        assert shown["Mean points"].tolist() == [1.0, 2.0]


def test_the_words_of_a_page_stand_beside_its_lead(open_page: Open, full: Workspace) -> None:
    for page, word in (("compare", "placebo"), ("experiments", "pilot"), ("playground", "top-p")):
        told = [entry.help for entry in open_page(full, page).caption]
        assert any(f"- **{word}**: " in (line or "") for line in told), page
    titles = {"Study", "Experiments", "Runs", "Compare", "Persona", "Playground", "Votes", "Data", "Report"}
    assert {page for one in WORDS for page in one.pages} <= titles | {"Settings"}
    names = [one.name for one in WORDS]
    assert len(set(names)) == len(names)
    assert all(one.name in texts(open_page(full, "words")) for one in WORDS[:3])


def test_a_command_that_a_remedy_ends_with_can_be_copied() -> None:
    def script() -> None:
        from pages.shared import frame

        frame.remedy("Resume it: python -m engine resume unified-1a2b3c4d")
        frame.remedy("Read it.\nThen approve it: python -m engine machine --approve own.py (sha256 0f...)")
        frame.remedy("Wait, or see: python -m engine status. It says more.")

    app = AppTest.from_function(script).run()
    assert not app.exception
    told = [" ".join(word for word in one.value.split() if word[0] not in "/\\") for one in app.code]
    assert [one.replace(" --workspace", "") for one in told] == [
        "python -m engine resume unified-1a2b3c4d", "python -m engine machine --approve own.py",
    ]  # fmt: skip
    assert [one.value.replace("\\", "") for one in app.caption][:2] == [
        "Resume it:", "Read it.  \nThen approve it (sha256 0f...):",
    ]  # fmt: skip


def test_every_command_is_told_with_its_button(open_page: Open, full: Workspace) -> None:
    assert set(WHERE) == set(cli.list_commands(click.Context(cli)))
    told = open_page(full, "words").dataframe[0].value.set_index("Command")
    assert told.at["tune", "Page"] == "Experiments"
    assert set(told["Page"]) == set(PAGES)


def test_no_choice_in_the_address_has_the_key_of_something_else() -> None:
    """A choice's key is its page and its name; Streamlit ends a page on which a key stands twice."""
    linked, given = set(), set()
    for path in (REPOSITORY / "pages").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        page = re.search(r'^_PAGE = "(\w+)"', source, re.MULTILINE)
        for told, name in re.findall(r'page=(?:_PAGE|"(\w+)"),\s*(?:\w+=[^,]+,\s*)*?name="(\w+)"', source):
            linked.add(f"{told or (page and page.group(1))}_{name}")
        given |= set(re.findall(r'key="(\w+)"', source))
    assert len(linked) > 10
    assert not linked & given
