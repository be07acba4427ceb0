"""bench/gpu.sh asks its scripts for nothing that they would not take: all of its parts but the measuring."""

from __future__ import annotations

import itertools
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.paths import REPOSITORY

TOLD = '#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "$@" >> "$CALLS"\necho "{}"\n'


@pytest.fixture
def calls(tmp_path: Path) -> list[list[str]]:
    """What the script would run, all its parts, told by what stands in Python's place."""
    python, told = tmp_path / "python", tmp_path / "calls"
    python.write_text(TOLD)
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", "bench/gpu.sh", str(tmp_path / "out")],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHON": str(python), "CALLS": str(told)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in told.read_text().splitlines()]


def test_every_script_takes_what_it_is_given(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(calls) == len({tuple(one) for one in calls}) > 10
    monkeypatch.syspath_prepend(str(REPOSITORY / "bench"))
    for script, *words in calls:
        monkeypatch.setattr(sys, "argv", [script, *words, "--help"])  # what comes before is read first
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPOSITORY / script), run_name="__main__")
        assert ended.value.code == 0, (script, words, capsys.readouterr().err)
        if "--ways" in words:
            ways = itertools.takewhile(lambda word: word[0] != "-", words[words.index("--ways") + 1 :])
            assert set(ways) <= set(runpy.run_path(str(REPOSITORY / script))["WAYS"])


def test_a_part_that_there_is_not_is_refused(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(TOLD)
    python.chmod(0o755)
    command = ["bash", "bench/gpu.sh", str(tmp_path / "out"), "trian"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True
    )
    assert (done.returncode, "There is no part trian" in done.stderr) == (2, True)
