"""Hostile names and texts in a terminal, in tables for spreadsheets, and in both reports: text, no more."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.text import Text

from engine.cli import main
from engine.cli.frame import out
from engine.core.paths import Workspace
from engine.core.plain import in_cell, in_markdown, in_terminal, json_text
from engine.show.report.making import write_report
from tests.hostile_study import NAME, TERMINAL, TEXT, find_one, write_hostile

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PLAIN_TOKENS = {"paragraph_open", "paragraph_close", "inline"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        yield write_hostile(tmp_path_factory.mktemp("hostile"), patch)


@given(st.text(alphabet=st.sampled_from("\\`*_[]<>$#:~|&!-+=.)( \n\t19aA/@w^\"'{}"), max_size=40))
def test_a_reader_of_markdown_sees_the_very_characters(text: str) -> None:
    tokens = READER.parse(in_markdown(text))
    assert {token.type for token in tokens} <= PLAIN_TOKENS
    inner = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inner} <= {"text", "text_special", "hardbreak", "softbreak"}
    seen = "".join(child.content for child in inner).replace("\u2060", "")
    assert "".join(seen.split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text",
    [
        ":material/home:",
        ":streamlit:",
        "http://evil.example",
        "HTTPS://evil",
        "www.evil.example",
        "a@b.example",
    ],
)
def test_what_is_turned_after_the_signs_are_read_is_parted(text: str) -> None:
    shown = in_markdown(text).replace("\\", "")
    assert text not in shown
    assert shown.replace("\u2060", "") == text


@pytest.mark.parametrize("text", ["10:30", "--keep-good", "a - b", "unified+retrieval-3", "world:default"])
def test_what_is_no_markup_can_be_copied(text: str) -> None:
    assert in_markdown(text).replace("\\", "") == text


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "|x", "%x", "\uff1d1"]
)
def test_no_text_is_a_formula(text: str) -> None:
    assert in_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1.5, 0, None, True, "unified", "a=b", "1-2"])
def test_other_values_stay(value: object) -> None:
    assert in_cell(value) == value


def test_json_moves_no_terminal_and_stays_the_same_value() -> None:
    value = {TEXT: [TEXT, "\x9b31m", "\u202e", "é"]}
    told = json_text(value)
    assert not TERMINAL.search(told)
    assert json.loads(told) == value
    assert "é" in told


def test_a_terminal_gets_no_command_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    out().print("[red]x[/red] :smile: \x1b[31m\x9b1m\x07\u202e", Text("\x1b]0;title\x07[bold]"))
    assert capsys.readouterr().out == "[red]x[/red] :smile: [31m1m ]0;title[bold]\n"
    assert in_terminal("a\tb\nc\x00\r") == "a\tb\nc"


def test_no_command_lets_a_text_move_the_terminal(
    hostile: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    failed, cancelled = find_one(hostile, "per-persona"), find_one(hostile, "prefix")
    commands = [
        ["status"], ["queue"], ["compare"], ["compare", "--csv"], ["compare", "--across-protocols"],
        ["compare", "--split", "val", "--criteria"], ["logs", failed], ["logs", cancelled], ["doctor"],
        ["tree", "mine"], ["tree", "broken"], ["tree"], ["estimates"], ["machine"], ["experiments"],
        ["run", TEXT], ["status", f"prefix-{NAME}"], ["cancel", TEXT], ["logs", TEXT], ["tree", TEXT],
        ["init", "--dataset", TEXT], ["import-study", TEXT], ["compare", "--reference", TEXT],
    ]  # fmt: skip
    shown = 0
    for command in commands:
        for more in ([], ["--json"]):
            main([*command, *more, "--workspace", str(hostile.root)])
            told = capsys.readouterr()
            for part in (told.out, told.err):
                assert not TERMINAL.search(part), (command, TERMINAL.findall(part))
            shown += "EVIL" in told.out + told.err
    assert shown > 20


def test_an_exported_table_holds_no_formula(hostile: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", "--csv", "--workspace", str(hostile.root)])
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert any("EVIL" in cell for row in rows for cell in row)
    texts = [
        cell
        for row in rows
        for cell in row
        if not cell.replace(".", "").replace("e", "").lstrip("-").isdigit()
    ]
    assert not [cell for cell in texts if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_report_of_hostile_words_holds_words(hostile: Workspace) -> None:
    written = write_report(hostile)
    html = Tags()
    html.feed(written.html.read_text(encoding="utf-8"))
    assert "EVIL" in written.html.read_text(encoding="utf-8")
    for tag, attributes in html.found:
        assert tag not in {"script", "iframe", "object", "embed", "form", "i", "base"}, tag
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src"):
            address = attributes.get(name)
            assert address is None or address.startswith(("#", "data:image/svg+xml;base64,"))
    told = written.markdown.read_text(encoding="utf-8")
    assert "EVIL" in told
    assert not TERMINAL.search(told)
    for token in READER.parse(told):
        assert token.type != "html_block"
        for child in token.children or ():
            assert child.type not in {"html_inline", "link_open", "s_open"}, token.content
            if child.type == "image":
                assert str(child.attrs["src"]).startswith("figures/")
            if child.type == "text":
                assert "http://evil" not in child.content
    for figure in written.markdown.parent.rglob("*.svg"):
        drawn = figure.read_text(encoding="utf-8")
        assert "<a " not in drawn
        assert "<image" not in drawn
        assert "xlink:href" not in drawn
