"""The report says what the store says, in the same bytes every time, and lets no text become markup."""

from __future__ import annotations

import base64
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.core.wording import signed_points
from engine.data import load_dataset, load_splits, prepare, prepare_upload
from engine.results import store
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.freezing import freeze
from engine.results.comparing.headline import headline
from engine.results.imported import import_study
from engine.show.report import Written, write_report
from tests.results.imported.published import put, write_study
from tests.sample_study import finish

HOSTILE = "<img src=x onerror=alert(1)> | *bold* `code` & more"


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Workspace:
    """A world of 24 personas with finished runs. Tests only look at it."""
    made = Workspace(tmp_path_factory.mktemp("study"))
    prepare(made, dataset="world:default", personas=24, dialogues=10, base=str(tiny_base))
    finish(made, "unified", "retrieval", "ceiling", per_persona=6)
    return made


@pytest.fixture(scope="module")
def written(ws: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_report(ws, tmp_path_factory.mktemp("report") / "out")


class Reader(HTMLParser):
    """Collects what a browser would: headings, links, images, and every tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_report_holds_every_part_and_needs_nothing_else(written: Written) -> None:
    read = Reader(written.html.read_text())
    for title in (
        *("Question", "Answer", "Data", "Protocol", "Leaderboard", "Who wins, who loses"),
        *("Before and after", "Criteria", "Decision trees", "Limits", "Make it again"),
        *("Plan", "Where the gain stands", "Of whom this speaks"),
    ):
        assert read.texts.count(title) == 2, title  # in the list of contents, and as a heading
    assert "script" not in read.tags
    assert "link" not in read.tags
    assert all(source.startswith(("#s", "data:image/svg+xml;base64,")) for source in read.sources)


def test_the_numbers_are_those_of_the_comparison(ws: Workspace, written: Written) -> None:
    best = next(row for row in compare_variants(ws)["rows"] if row["role"] == "")
    seen = len(looks.seen(ws, looks.at(compare_variants(ws))))
    told = written.markdown.read_text()
    row = next(line for line in told.splitlines() if line.startswith(f"| {best['variant']} | "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == signed_points(best["delta"])
    assert cells[6:10] == [str(best[name]) for name in ("n_paired", "wins", "ties", "losses")]
    assert f"{seen} verdicts on it so far" in told


def test_the_answer_is_what_val_chose_and_the_highest_on_test_is_named_so(
    ws: Workspace, written: Written
) -> None:
    told = headline(ws, compare_variants(ws))
    assert told.chosen is not None
    val = [row for row in compare_variants(ws, split="val")["rows"] if not row["role"]]
    assert told.chosen["variant"] == max(val, key=lambda row: row["delta"])["variant"]
    text = " ".join(Reader(written.html.read_text()).texts)
    assert told.answer(competing=True) in text
    assert told.highest_words in text
    assert "speaks of seen personas only" in text
    assert "stand word for word in the persona's own train replies" in text
    assert "Nothing was frozen before test was looked at" in text


def test_a_plan_is_told_with_its_verdicts_and_what_came_later(tmp_path: Path, tiny_base: Path) -> None:
    ws = Workspace(tmp_path / "space")
    prepare(ws, dataset="world:default", personas=8, dialogues=6, base=str(tiny_base))
    finish(ws, "unified", "retrieval", per_persona=3)
    plan = freeze(ws, variants=["unified+retrieval-3"])
    text = " ".join(Reader(write_report(ws).html.read_text()).texts)
    assert f"as {plan.hash}, before any look at test" in text
    assert "What was planned, as it came out." in text
    assert "Came later" in text
    assert "unified+retrieval-1 in embedding similarity" in text
    assert "unified+retrieval-3 in embedding similarity" not in text


def test_figures_are_beside_it_and_inside_it(written: Written) -> None:
    linked = re.findall(r"\]\((figures/[^)]+\.svg)\)", written.markdown.read_text())
    assert len(linked) >= 2
    images = [one for one in Reader(written.html.read_text()).sources if one.startswith("data:")]
    inside = [base64.b64decode(one.partition("base64,")[2]) for one in images]
    assert inside == [(written.folder / name).read_bytes() for name in linked]
    for name in linked:
        assert (written.folder / name).read_text().startswith("<svg")
        picture = (written.folder / name).with_suffix(".png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 5_000


def test_before_and_after_shows_what_was_really_said(ws: Workspace, written: Written) -> None:
    read = Reader(written.html.read_text()).texts
    rows = store.example_rows(ws, split="test")
    assert any(reference in read for reference in rows["reference"])
    gained = next(text for text in read if text.startswith("Largest gain: "))
    called = gained.removeprefix("Largest gain: ").partition(", ")[0]
    persona = called.partition(" ")[0]
    assert called in {one.called for one in load_dataset(ws).personas}
    assert "(" in called  # by her first name too
    said = rows[(rows["persona_id"] == persona) & (rows["variant"] == "unified")]["reply"]
    assert any(reply in read for reply in said)


def test_the_same_store_gives_the_same_bytes(ws: Workspace, written: Written, tmp_path: Path) -> None:
    store.rebuild(ws)
    again = write_report(ws, tmp_path / "again")
    assert contents(again.folder) == contents(written.folder)
    write_report(ws, tmp_path / "again")  # over an earlier one
    assert contents(again.folder) == contents(written.folder)


def test_its_commands_make_the_same_data_and_runs(ws: Workspace, written: Written, tmp_path: Path) -> None:
    commands = re.findall(r"^    python -m engine (.+)$", written.markdown.read_text(), re.MULTILINE)
    first, *rest = [shlex.split(line) for line in commands]
    assert first[0] == "init"
    target = tmp_path / "again"
    assert main([*first[:-1], str(target)]) == 0
    assert read_json(target / "data/dataset/card.json")["data_hash"] == store_hash(ws)
    asked = [words[1] for words in rest if words[0] == "run"]
    assert asked == ["base", "unified", "retrieval", "ceiling"]


def test_they_say_of_a_table_what_was_said_of_it(tmp_path: Path, tiny_base: Path) -> None:
    rows = [f"{who},{day:02d},q {who} {day},{'ABC'[day % 3]}" for who in "uvwxy" for day in range(1, 9)]
    path = tmp_path / "a table.csv"
    path.write_text("\n".join(["Kunde,Tag,Frage,Antwort", *rows, ",3,q,A", "z,1,q z,A"]), "utf-8")
    said = {"user": "Kunde", "time": "Tag", "input": "Frage", "output": "Antwort"}
    ws, again = Workspace(tmp_path / "one"), Workspace(tmp_path / "two")
    prepare(ws, dataset=path, base=str(tiny_base), map=said, domain="tasks-labels", min_dialogues=5,
            keep_good=True, unseen=0.2)  # fmt: skip
    text = write_report(ws, tmp_path / "out").markdown.read_text()
    (command,) = re.findall(r"^    python -m engine (init .+) --workspace W$", text, re.MULTILINE)
    assert main([*shlex.split(command), "--workspace", str(again.root)]) == 0
    assert store_hash(again) == store_hash(ws)
    names = ("domain", "split", "seed", "base")
    assert [again.read_config()[name] for name in names] == [ws.read_config()[name] for name in names]
    assert load_splits(again).unseen == load_splits(ws).unseen != frozenset()


def test_of_an_upload_they_name_the_file(tmp_path: Path, tiny_base: Path) -> None:
    rows = [f"{who},{day},q {who} {day},a {day}" for who in "uvw" for day in range(6)]
    file = "\n".join(["user,session,input,output", *rows]).encode()
    ws = Workspace(tmp_path / "one")
    prepare_upload(ws, [("mine.csv", file)], base=str(tiny_base))
    assert ws.read_config()["dataset"]["source"] == "upload of mine.csv"
    text = write_report(ws, tmp_path / "out").markdown.read_text()
    assert "python -m engine init --dataset mine.csv " in text


def store_hash(ws: Workspace) -> str:
    return str(read_json(ws.dataset / "card.json")["data_hash"])


def test_texts_from_outside_are_never_markup(tmp_path: Path) -> None:
    study = tmp_path / "published"
    names = [HOSTILE, *(f"p{number}" for number in range(8))]
    for place, folder in enumerate(("unified", "<script>alert(1)<")):
        scores = {name: {"embedding_similarity": 0.5 + (place + row) / 50} for row, name in enumerate(names)}
        put(study / folder / "scores.json", scores)
    ws = Workspace(tmp_path / "space")
    import_study(ws, study)
    written = write_report(ws)
    read = Reader(written.html.read_text())
    assert "script" not in read.tags
    assert read.handlers == []
    assert "<script>alert(1)<" in read.texts  # shown as it is written
    told = written.markdown.read_text()
    assert "<script" not in told
    assert "<img" not in told


def test_a_published_study_is_reported_with_its_warnings(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "space")
    import_study(ws, write_study(tmp_path / "published"))
    told = write_report(ws).markdown.read_text()
    assert "Not scored on the same examples" in told
    assert "with silhouette 0.030: hardly any structure" in told
    assert "engine import-study RESULTS --workspace W" in told
    assert "Before and after" not in told  # nobody published what was said
    assert "Every variant answers the same examples" not in told


def test_without_scores_it_says_so(tmp_path: Path, tiny_base: Path) -> None:
    ws = Workspace(tmp_path / "space")
    prepare(ws, dataset="world:default", personas=6, dialogues=6, base=str(tiny_base))
    written = write_report(ws)
    assert written.figures == ()
    assert "Nothing is scored yet" in written.html.read_text()


def test_one_variant_alone_is_no_comparison(tmp_path: Path, tiny_base: Path) -> None:
    ws = Workspace(tmp_path / "space")
    prepare(ws, dataset="world:default", personas=6, dialogues=6, base=str(tiny_base))
    finish(ws, "base", per_persona=2)
    told = write_report(ws).markdown.read_text()
    assert "Only base is scored" in told
    assert "Who wins" not in told


def test_places_that_hold_something_else_are_left_alone(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not a workspace"):
        write_report(Workspace(tmp_path / "nowhere"))
    (tmp_path / "mine" / "figures").mkdir(parents=True)
    with pytest.raises(EngineError, match="no report's"):
        write_report(ws, tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="is a file"):
        write_report(ws, tmp_path / "file")
