"""How much memory a process on this machine may still take: without swapping, and within its container."""

from pathlib import Path

from engine.core.errors import EngineError

_MEMINFO, _CGROUPS, _OWN_CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_bytes(
    meminfo: Path = _MEMINFO, cgroups: Path = _CGROUPS, own_cgroup: Path = _OWN_CGROUP
) -> int:
    """Return the memory that can be had without swapping, here and in this process's container.

    Raises EngineError on a machine that does not tell.
    """
    return min([_of_machine(meminfo), *_of_container(cgroups, own_cgroup)])


def _of_machine(meminfo: Path) -> int:
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    raise EngineError("This machine does not tell its free memory.", "Persona Lab runs on Linux.")


def _of_container(cgroups: Path, own_cgroup: Path) -> list[int]:
    """Return what each control group around this process, of version 1 or 2, leaves it; none without a limit.

    A group's page cache is given back on demand, so what it can spare of that counts as free.
    """
    found = []
    for folder, limit, used in _groups(cgroups, own_cgroup):
        try:
            most = (folder / limit).read_text(encoding="ascii").strip()
            taken = int((folder / used).read_text(encoding="ascii"))
            told = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue  # a group without a limit of memory has no such files
        cached = int(told.get("total_inactive_file", told.get("inactive_file", 0)))
        if most.isdigit():
            found.append(max(0, int(most) - taken + cached))
    return found


def _groups(cgroups: Path, own_cgroup: Path) -> list[tuple[Path, str, str]]:
    """Return folder, limit's file and use's file of each group from this process's own up to the root."""
    try:
        lines = own_cgroup.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found: list[tuple[Path, str, str]] = []
    for line in [*lines, "0::/", "0:memory:/"]:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, files = cgroups, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root, files = cgroups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        own = Path(path.strip("/"))
        found += [(root / above, *files) for above in (own, *own.parents)]
    return list(dict.fromkeys(found))
