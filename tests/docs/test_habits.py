"""What a well-kept house promises of itself: licence, pinned hooks, CI that checks, a package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from engine.core.paths import REPOSITORY


def pinned(package: str) -> str:
    text = (REPOSITORY / "requirements-dev.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(package)}==(\S+)$", text, re.MULTILINE)
    assert found, f"{package} is not pinned"
    return found[1]


def test_the_licence_is_apache_2() -> None:
    text = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text


def test_hooks_are_pinned_to_the_versions_that_the_checks_use() -> None:
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    revisions = {repo["repo"]: repo["rev"] for repo in hooks["repos"] if repo["repo"] != "local"}
    assert revisions == {"https://github.com/astral-sh/ruff-pre-commit": f"v{pinned('ruff')}"}


def test_ci_checks_before_it_tests() -> None:
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if line.startswith(("make", "exec make"))]
    assert [line.split()[-2] for line in lines] == ["check", "test", "audit"]


def test_every_requirement_is_pinned() -> None:
    for path in REPOSITORY.glob("requirements*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r ")):
                pinned = re.fullmatch(r"[A-Za-z0-9_.\[\]-]+==[\w.]+(; sys_platform == \"\w+\")?", line)
                assert pinned, f"{path.name}: {line}"


def test_pip_installs_a_command_that_works_elsewhere(tmp_path: Path) -> None:
    """The package holds the base, the pages and the trees: nothing else is needed."""
    source, target = tmp_path / "source", tmp_path / "installed"
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout, so what belongs to the package is not known")
    for name in tracked.stdout.splitlines():
        if (REPOSITORY / name).exists() and not name.startswith(("tests/", "docs/pictures/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((REPOSITORY / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    pip += ["--disable-pip-version-check", "--target", str(target), str(source)]
    subprocess.run(pip, check=True)
    command = target / "bin" / "persona-lab"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    environment.pop("PERSONA_LAB_WORKSPACE", None)
    study = tmp_path / "study"
    study.mkdir()

    def call(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, str(command), *words],
            cwd=study, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "doctor" in call("--help")
    call("init", "--dataset", "world:default", "--personas", "3", "--dialogues", "10")
    assert (study / "data" / "workspace.json").exists(), "the folder one stands in is the workspace"
    assert "quick-wins" in call("tree", "--json")
    assert (target / "pages" / "shared" / "mark.svg").exists()
    assert (target / "app.py").exists()
    call("run", "base", "--set", "examples_per_persona=1", "--set", "splits=val")
    assert list((study / "data" / "runs").glob("base-*/done.json"))
