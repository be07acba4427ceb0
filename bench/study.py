"""The whole study: one of each strategy on one synthetic world, by the command line, timed stage by stage.

    .venv/bin/python -m engine bench study                  200 personas x 30 dialogues
    .venv/bin/python -m engine bench study --pilot          20 personas
    .venv/bin/python -m engine bench study --beyond         steering, merges of deltas, stages
    .venv/bin/python -m engine bench study --fair           the main ones, till val turns, three seeds

Runs the written list below, one after another, as a user would; prints the leaderboard on test, each run's
time by stage, and which share of all time was mathematics, data, scoring and waiting.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.ground import BASES, ROOT, base_folder

RUNS: tuple[tuple[str, ...], ...] = (
    ("unified",),
    ("profile-prompt",),
    ("ceiling",),
    ("retrieval",),
    ("per-persona",),
    ("hybrid",),
    ("constrained",),
    ("global-prefix",),
    ("prefix",),
    ("prefix-unified",),
    ("clustering",),
    ("cluster",),
    ("cluster-from-unified",),
    ("merge-average",),
    ("merge-cluster",),
    ("merge-weighted",),
    ("merge-moe",),
    ("merge-topk",),
    ("merge-soft",),
    ("merge-learned",),
    ("mixture",),
    ("retrieval", "--set", "over=hybrid", "--set", "k=3"),
    ("augmentation", "--set", "multiple=2"),
    ("cluster", "--use-augmented"),
    ("placebo", "--set", "of=hybrid"),
    ("placebo", "--set", "of=per-persona"),
    ("routing",),
)
BEYOND: tuple[tuple[str, ...], ...] = (
    ("unified",),
    ("retrieval",),
    ("hybrid",),
    ("per-persona",),
    ("clustering",),
    ("cluster-from-unified",),
    ("merge-topk",),
    ("merge-topk", "--preset", "on-unified"),
    ("merge-cluster", "--preset", "on-unified"),
    ("mta",),
    ("mta", "--set", "own=false"),
    ("merge-learned", "--preset", "on-unified"),
    ("merge-learned", "--preset", "on-unified", "--set", "by_layer=true"),
    ("hypernetwork",),
    ("projected-profile",),
    ("hypernetwork-trained",),
    ("staged",),
    ("context-steering",),
    ("context-steering", "--set", "shown=profile"),
    ("context-steering", "--set", "over=hybrid"),
    ("steering-vectors",),
    ("steering-vectors", "--set", "scales=1", "--set", "depths=0.75"),
    ("placebo", "--set", "of=hybrid"),
    ("placebo", "--set", "of=mta"),
    ("placebo", "--set", "of=staged"),
    ("placebo", "--set", "of=hypernetwork"),
    ("placebo", "--set", "of=context-steering"),
)
FAIR: tuple[tuple[str, ...], ...] = (
    ("unified",),
    ("retrieval",),
    ("hybrid",),
    ("retrieval", "--set", "over=hybrid"),
    ("routing",),
)
TRAINED = frozenset(
    {"unified", "per-persona", "hybrid", "constrained", "cluster", "cluster-from-unified"}
    | {"global-prefix", "prefix", "prefix-unified", "mta", "staged"}
)
KINDS = {
    "train": "mathematics", "generate": "mathematics", "merge": "mathematics", "sweep": "mathematics",
    "learn": "mathematics", "score": "scoring",
}  # fmt: skip


def engine(workspace: Path, *words: str) -> Any:
    """Run one command in JSON; return its answer. Ends the benchmark where it fails."""
    command = [sys.executable, "-m", "engine", *words, "--workspace", str(workspace), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def play(
    workspace: Path, commands: Sequence[Sequence[str]], *, until: float = math.inf
) -> list[dict[str, Any]]:
    """Give every command of the list; return one record each with its seconds as a user waits them.

    None is begun after `until`, on the monotonic clock.
    """
    records = []
    for words in commands:
        if time.monotonic() > until:
            break
        began = time.monotonic()
        engine(workspace, *words)
        seconds = time.monotonic() - began
        records.append({"command": " ".join(words), "seconds": seconds})
        print(f"  {seconds:7.1f} s  {' '.join(words)}", file=sys.stderr, flush=True)
    return records


def spelled(runs: Sequence[Sequence[str]], epochs: int | None, examples: int) -> list[tuple[str, ...]]:
    """Return the commands of `runs`: what trains does so for `epochs`, or by default until val turns."""
    trained = () if epochs is None else ("--set", f"epochs={epochs}")
    asked = ("--set", f"examples_per_persona={examples}")
    return [("run", *words, *(trained if words[0] in TRAINED else ()), *asked) for words in runs]


def stages(workspace: Path) -> list[dict[str, Any]]:
    """Return every run with the seconds of its stages."""
    found = []
    for path in sorted((workspace / "data" / "runs").glob("*/status.json")):
        status = json.loads(path.read_text())
        found.append({"run": path.parent.name, "order": status["order"], "stages": status["stage_seconds"]})
    return sorted(found, key=lambda run: run["order"])


def shares(runs: Sequence[dict[str, Any]], whole: float) -> dict[str, float]:
    """Return the share of the whole time by kind; what no stage accounts for is waiting."""
    seconds: Counter[str] = Counter()
    for run in runs:
        for stage, spent in run["stages"].items():
            seconds[KINDS.get(stage, "data")] += spent
    seconds["waiting"] = max(0.0, whole - sum(seconds.values()))
    return {kind: spent / whole for kind, spent in seconds.most_common()}


def show(answer: dict[str, Any]) -> None:
    """Print the leaderboard and the times as tables."""
    print("| " + " | ".join(answer["leaderboard"][0]) + " |")
    print("|" + "---|" * len(answer["leaderboard"][0]))
    for row in answer["leaderboard"]:
        print("| " + " | ".join(row.values()) + " |")
    print("\n| run | seconds | stages |\n|---|---|---|")
    for run in answer["runs"]:
        told = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in run["stages"].items())
        print(f"| {run['run']} | {sum(run['stages'].values()):.0f} | {told} |")
    told = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in answer["shares"].items())
    part = f"All but {answer['left']} commands of the study" if answer["left"] else "Whole study"
    print(f"\n{part}: {answer['seconds'] / 60:.1f} min; {told}")


def leaderboard(workspace: Path) -> list[dict[str, str]]:
    """Return the comparison on test, each row in words."""
    rows = engine(workspace, "compare", "--split", "test")["rows"]

    def differs(row: dict[str, Any]) -> bool:
        return row["role"] != "reference" and row["ci_low"] is not None

    return [
        {
            "variant": row["variant"],
            "similarity": f"{100 * row['mean']:.1f}",
            "difference to unified": points(row["delta"]) if row["role"] != "reference" else "reference",
            "95 % CI": f"{points(row['ci_low'])} to {points(row['ci_high'])}" if differs(row) else "",
            "p (Holm)": _p(row["p_holm"]),
            "better": f"{100 * row['share_improved']:.0f} %" if differs(row) else "",
            "verdict": row["verdict"],
            "above step-matched": _above(row["above_matched"]),
            "above its placebo": _above(row["above_placebo"]),
            "seeds": str((row["seeds"] or {}).get("n", 1)),
        }
        for row in rows
    ]


def points(value: float | None) -> str:
    """Return a difference of shares as signed points; "" where there is none."""
    return "" if value is None else f"{100 * value:+.1f}"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _above(found: dict[str, Any] | None) -> str:
    return f"{points(found['delta'])} (p {_p(found['p'])})" if found else ""


def asked(options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Return the commands of the study that `options` ask for."""
    if not options.fair:
        return spelled(BEYOND if options.beyond else RUNS, options.epochs, options.examples)
    repeats = [("repeat", "--seeds", str(options.seeds))] if options.seeds > 1 else []
    return [*spelled(FAIR, None, options.examples), *repeats]


def main() -> None:
    """Make the world, run the list, print what came out."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--pilot", action="store_true", help="20 personas instead of 200.")
    made.add_argument(
        "--beyond", action="store_true", help="The newer strategies, beside those they build on."
    )
    made.add_argument(
        "--fair", action="store_true",
        help="Unified, retrieval, hybrid and routing until val turns, with controls and seeds.",
    )  # fmt: skip
    made.add_argument("--seeds", type=int, default=3, help="How many, with --fair; 1 repeats nothing.")
    made.add_argument("--world", default="default")
    made.add_argument("--base", choices=BASES, default="embedded")
    made.add_argument("--personas", type=int)
    made.add_argument("--dialogues", type=int, default=30)
    made.add_argument("--epochs", type=int, default=2)
    made.add_argument("--examples", type=int, default=5, help="Examples a persona and split.")
    made.add_argument("--workspace", type=Path, help="Where to keep it; goes on where one is.")
    made.add_argument("--minutes", type=float, help="Begin no run later; --workspace goes on another time.")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    options = made.parse_args()
    workspace = options.workspace or Path(tempfile.mkdtemp(prefix="persona-lab-study-"))
    personas = options.personas or (20 if options.pilot else 200)
    began = time.monotonic()
    if not (workspace / "data" / "dataset").exists():
        world = ("--dataset", f"world:{options.world}", "--personas", str(personas))
        base = () if options.base == "embedded" else ("--base", str(base_folder(options.base)))
        engine(workspace, "init", *world, "--dialogues", str(options.dialogues), *base)
    until = began + 60 * options.minutes if options.minutes else math.inf
    commands = asked(options)
    records = play(workspace, commands, until=until)
    runs = stages(workspace)
    taken = sum(sum(run["stages"].values()) for run in runs)
    seconds = max(taken, time.monotonic() - began)  # the runs alone where it goes on from an earlier start
    answer = {
        "seconds": seconds, "commands": records, "runs": runs, "shares": shares(runs, seconds),
        "leaderboard": leaderboard(workspace), "workspace": str(workspace),
        "left": len(commands) - len(records),
    }  # fmt: skip
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        show(answer)


if __name__ == "__main__":
    main()
