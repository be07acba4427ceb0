"""A campaign of random faults on real runs, and what became of every result.

    .venv/bin/python bench/faults.py                       200 faults, about an hour on two cores
    .venv/bin/python bench/faults.py --write               and put the table into docs/reliability.md
    .venv/bin/python bench/faults.py --faults 20 --seed 7 --at-once 1

An episode is a study of three real runs (base, unified, one adapter a persona), launched by the queue or by
the autopilot, with the app open. At random moments it is hurt: processes are killed with SIGKILL, the disk is
full, a folder is read-only, files are cut off, data are edited, the workspace is moved away and back, a
process hangs with the queue's lock, the clock steps or stands still. After each fault somebody
looks, as a page does, and within 10 s every run must read as what it is. Then she launches the same thing
again, as a user does. In the end weights and scores are compared with those of a study in peace. For each
fault it is told whether it hit something in flight: a process that was killed, a write that was refused, a
clock that a run has read.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.episodes import (
    BAD,
    EXPERIMENTS,
    FAULTS_AN_EPISODE,
    LOOK_SECONDS,
    Outcome,
    episode,
    plans,
    results,
)
from bench.harms import FAULTS
from bench.reliability import do_here, options, study, tell
from engine.core.paths import Workspace

PERSONAS, DIALOGUES = 3, 8


def campaign(faults: int, seed: int, at_once: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Hurt studies, some at once, until there were that many faults; return what docs and --json show."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    began = time.monotonic()
    hurt, hit, counted = Counter[str](), Counter[str](), Counter[str]()
    remarks, number = list[str](), 0
    with study(personas=PERSONAS, dialogues=DIALOGUES) as pristine, ProcessPoolExecutor(at_once) as pool:
        with ProcessPoolExecutor(1) as alone:
            expected = alone.submit(_undisturbed, pristine).result()
        say(f"in peace: {time.monotonic() - began:.0f} s")
        open_episodes = dict[Future[Outcome], int]()
        while open_episodes or sum(hurt.values()) < faults:
            expected_faults = sum(hurt.values()) + FAULTS_AN_EPISODE * len(open_episodes)
            if len(open_episodes) < at_once and expected_faults < faults:
                number += 1
                open_episodes[pool.submit(episode, pristine, number, seed, expected)] = number
                continue
            ended, _ = wait(open_episodes, return_when=FIRST_COMPLETED)
            for future in ended:
                which, outcome = open_episodes.pop(future), _outcome(future)
                hurt += outcome.hurt
                hit += outcome.hit
                counted.update(outcome.judged)
                remarks += [f"episode {which}: {text}" for text in outcome.remarks]
                many = sum(outcome.hurt.values())
                say(f"episode {which}: {many} faults, {sum(hurt.values())} in all, {outcome.judged}")
                say(f"  {dict(outcome.hurt)}, in flight {dict(+outcome.hit)}")
                for text in outcome.remarks:
                    say(f"  {text}")
    return {
        "faults": sum(hurt.values()),
        "hits": sum(hit.values()),
        "episodes": number,
        "seconds": time.monotonic() - began,
        "seed": seed,
        "by_kind": {name: {"times": hurt[name], "in_flight": hit[name]} for name in FAULTS},
        "runs": number * len(EXPERIMENTS),
        **{name: counted[name] for name in BAD},
        "remarks": remarks,
    }


def _outcome(future: Future[Outcome]) -> Outcome:
    """What an episode came to; one that broke off is a wrong state itself."""
    try:
        return future.result()
    except Exception:  # noqa: BLE001 - counting them is the point
        return Outcome(Counter(), Counter(), {"wrong_states": 1}, [traceback.format_exc()])


def _undisturbed(ws: Workspace) -> dict[str, dict[str, str]]:
    """Do the study once in peace, on a copy; return its results."""
    with tempfile.TemporaryDirectory(prefix="persona-lab-faults-") as scratch:
        quiet = Workspace(Path(scratch) / "workspace")
        shutil.copytree(ws.root, quiet.root)
        for planned in plans(quiet):
            do_here(quiet, planned)
        if (quiet.data / "kernels.json").exists():  # a matter of timing, and part of the protocol
            shutil.copy(quiet.data / "kernels.json", ws.data / "kernels.json")
        return results(quiet)


def _keep_only(words: str | None) -> None:
    """Leave the named kinds of faults; the episodes' processes are forks, so they see the same."""
    for name in list(FAULTS) if words else ():
        if not any(word.strip() in name for word in words.split(",")):  # type: ignore[union-attr]
            del FAULTS[name]


def page(found: dict[str, Any], command: str) -> str:
    """Return the campaign's part of the page."""
    kinds = [(name, number) for name, number in found["by_kind"].items() if number["times"]]
    lines = [
        f"{found['faults']} faults in {found['episodes']} studies of {len(EXPERIMENTS)} runs, "
        f"{found['hits']} of which hit something in flight, in {found['seconds'] / 60:.0f} minutes on "
        f"{os.cpu_count()} cores. Made by",
        "",
        f"    {command}",
        "",
        "| fault | times | hit something in flight |",
        "|---|---:|---:|",
        *(f"| {name} | {number['times']} | {number['in_flight']} |" for name, number in kinds),
        "",
        "| what must not be | count |",
        "|---|---:|",
        f"| results lost | {found['lost']} |",
        f"| results doubled | {found['doubled']} |",
        f"| weights or scores other than those of a study nobody hurt | {found['different']} |",
        f"| states still wrong after {LOOK_SECONDS:.0f} s | {found['wrong_states']} |",
        f"| runs that did not recover | {found['not_recovered']} |",
        f"| edited or torn files, or hung locks, that nobody named | {found['unnoticed']} |",
        f"| second folders or processes left where a workspace was moved away | {found['left_behind']} |",
    ]
    left = [name for name, number in found["by_kind"].items() if not number["times"]]
    return "\n".join([*lines, *(["", f"Not met: {', '.join(left)}."] if left else [])])


def main() -> None:
    made = options(__doc__)
    made.add_argument("--faults", type=int, default=200)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--only", help="These kinds only, by words of their names: edited,moved,torn,hung")
    made.add_argument("--at-once", type=int, default=2, help="Studies hurt side by side.")
    given = made.parse_args()
    _keep_only(given.only)
    found = campaign(
        given.faults, given.seed, given.at_once, lambda line: print(line, file=sys.stderr, flush=True)
    )
    size = f"--faults {given.faults} --seed {given.seed} --at-once {given.at_once}"
    size += f" --only {given.only}" if given.only else ""
    command = f".venv/bin/python bench/faults.py {size} --write"
    tell(given, "faults", found, page(found, command))
    sys.exit(any(found[name] for name in BAD))


if __name__ == "__main__":
    main()
