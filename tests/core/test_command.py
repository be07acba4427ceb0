"""Command lines as text: what is spelled is what is read, and a text names the workspace it is meant for."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.command import command_line, in_workspace, on_lines, read_value, typed
from engine.core.paths import REPOSITORY, Workspace

SINGLE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
                   st.text(st.characters(exclude_categories=("Cs",)), max_size=12))  # fmt: skip


@given(st.one_of(SINGLE, st.lists(SINGLE, max_size=4)))
def test_what_is_spelled_is_what_is_read(value: object) -> None:
    told = read_value(typed(value))
    only = value[0] if isinstance(value, list) and len(value) == 1 else value  # a list of one is its member
    assert told == only
    assert isinstance(told, bool) == isinstance(only, bool)
    (word,) = shlex.split(shlex.quote(typed(value))) or [""]
    assert word == typed(value)


def test_the_usual_values_look_as_one_types_them() -> None:
    told = [typed(one) for one in (None, True, 16.0, 5e-4, ["q_proj", "v_proj"], [0, 1], "none", "1", [])]
    assert told == ["null", "true", "16", "0.0005", "q_proj,v_proj", "0,1", "none", '"1"', "[]"]


def test_options_are_flags_pairs_and_lists_and_quoted(tmp_path: Path) -> None:
    line = command_line(
        "run",
        "x",
        ws=Workspace(tmp_path / "my place"),
        settings={"temperature": None},
        options={
            "seed": 3,
            "upstream": {"over": "y-1"},
            "dry_run": True,
            "preset": None,
            "variant": ["a", "b"],
        },
    )
    assert shlex.split(line) == [
        *("python", "-m", "engine", "run", "x", "--set", "temperature=null", "--seed", "3"),
        *("--upstream", "over=y-1", "--dry-run", "--variant", "a", "--variant", "b"),
        *("--workspace", str(tmp_path / "my place")),
    ]


def test_the_default_workspace_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSONA_LAB_WORKSPACE", raising=False)
    assert command_line("status", ws=Workspace(REPOSITORY)) == "python -m engine status"
    monkeypatch.setenv("PERSONA_LAB_WORKSPACE", "/elsewhere")  # a bare command means that one
    assert command_line("status", ws=Workspace(REPOSITORY)).endswith(f"--workspace {REPOSITORY}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Resume it: python -m engine resume a-1", "Resume it: python -m engine resume --workspace /w a-1"),
        ("See: python -m engine status.", "See: python -m engine status --workspace /w."),
        ("`python -m engine doctor --fix`", "`python -m engine doctor --workspace /w --fix`"),
        ("python -m engine autopilot start x", "python -m engine autopilot start --workspace /w x"),
        ("python -m engine init --workspace DIR", "python -m engine init --workspace DIR"),
        ("Free some disk.", "Free some disk."),
    ],
)
def test_a_hint_names_the_workspace_it_is_meant_for(text: str, told: str) -> None:
    assert in_workspace(text, Workspace(Path("/w"))) == told


def test_a_long_command_is_shown_a_line_an_option_and_a_shell_reads_it_as_it_is() -> None:
    options = {"note": "a --b 'c' \"--d\"", "lines": "one\n --two", "dry_run": True}
    line = command_line("run", "x-y", settings={"target_modules": ["q", "v"]}, options=options)
    shown = on_lines(f"{line}\n{line}")
    assert [one.split()[0] for one in shown.splitlines() if one.startswith("  ")] == [
        *("--set", "--note", "--lines", "--dry-run")
    ] * 2
    told = subprocess.run(
        ["bash", "-c", f"python() {{ printf '%s\\0' \"$@\"; }}\n{shown}"], stdout=subprocess.PIPE, check=True
    )
    assert told.stdout.decode().split("\0")[:-1] == shlex.split(line)[1:] * 2
    assert on_lines("python -m engine run x --dry-run") == "python -m engine run x --dry-run"
