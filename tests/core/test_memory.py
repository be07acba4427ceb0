"""Free memory is what can be had without swapping, and what the container leaves, whichever is less."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.memory import available_bytes

MEGA = 1024 * 1024


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    """Nearly nothing is free, most of it is cache that can be had: what free pages alone would not tell."""
    path = tmp_path / "meminfo"
    path.write_text("MemTotal: 4096000 kB\nMemFree: 1024 kB\nMemAvailable: 2048000 kB\n", encoding="ascii")
    return path


def group(folder: Path, limit: str, used: int, cached: int, *, version: int) -> None:
    names = ("memory.max", "memory.current") if version == 2 else (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
    )  # fmt: skip
    cache = "inactive_file" if version == 2 else "total_inactive_file"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{cache} {cached}\nactive_file 7\n")


def own(tmp_path: Path, line: str) -> Path:
    path = tmp_path / "own"
    path.write_text(f"5:cpu,cpuacct:/elsewhere\n{line}\n")
    return path


def test_without_a_container_it_is_what_the_machine_can_give(tmp_path: Path, meminfo: Path) -> None:
    assert available_bytes(meminfo, tmp_path / "none", tmp_path / "none") == 2_048_000 * 1024
    root = tmp_path / "cgroup"
    group(root, "max", 900 * MEGA, 0, version=2)
    assert available_bytes(meminfo, root, own(tmp_path, "0::/")) == 2_048_000 * 1024


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limit_counts_less_what_it_uses_but_for_its_cache(
    tmp_path: Path, meminfo: Path, version: int
) -> None:
    root, line = tmp_path / "cgroup", "0::/job/run" if version == 2 else "4:memory:/job/run"
    folder = root if version == 2 else root / "memory"
    group(folder / "job" / "run", str(500 * MEGA), 300 * MEGA, 50 * MEGA, version=version)
    assert available_bytes(meminfo, root, own(tmp_path, line)) == 250 * MEGA


def test_the_tightest_of_the_groups_around_a_process_holds(tmp_path: Path, meminfo: Path) -> None:
    root = tmp_path / "cgroup"
    group(root / "job" / "run", str(900 * MEGA), 100 * MEGA, 0, version=2)
    group(root / "job", str(400 * MEGA), 100 * MEGA, 0, version=2)
    assert available_bytes(meminfo, root, own(tmp_path, "0::/job/run")) == 300 * MEGA


def test_inside_a_container_whose_own_path_is_not_mounted_the_root_tells(
    tmp_path: Path, meminfo: Path
) -> None:
    root = tmp_path / "cgroup"
    group(root / "memory", str(200 * MEGA), 150 * MEGA, 0, version=1)
    assert available_bytes(meminfo, root, own(tmp_path, "4:memory:/docker/abc")) == 50 * MEGA


def test_here_it_is_no_more_than_the_machine_has() -> None:
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < available_bytes() <= total


def test_a_machine_that_does_not_tell_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="free memory"):
        available_bytes(tmp_path / "none", tmp_path, tmp_path / "none")
