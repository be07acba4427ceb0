"""Whether the instrument finds what is there, and nothing where nothing is: worlds whose truth is known.

    .venv/bin/python -m engine bench calibrate worlds               six worlds, 200 personas each
    .venv/bin/python -m engine bench calibrate worlds --personas 60 --only archetypes
    .venv/bin/python -m engine bench calibrate placebo              200 small studies where nobody differs
    .venv/bin/python -m engine bench calibrate placebo --world default     with the dialogues permuted

Worlds: in `archetypes` cluster adapters must beat unified, in `individualists` something personal must and
clusters must not, in `uniform` nothing personal may beat its placebo. In `styles` what knows her
style should win; of steering only that it costs nothing, for the embedded base holds no style in an offset
(docs/LOG.md). In `kin` a network from what is known of somebody to her adapter should win, in `told` steering
by the profile alone.
Placebo: one large world is trained and answered at once, with variants cheap enough for thousands of
personas: memories in the base's prompt, and a short LoRA for each. Its personas are then dealt into small
studies of their own, none in two of them; an adapter trained among thousands is the one trained alone. In a
world where people differ, every dialogue is given to a random persona first, so that nothing is anybody's
own. Counts how often a variant beats its placebo at alpha, beside what chance allows.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.study import engine, play, spelled
from engine.core.wording import interval, p_value, points, signed_points
from engine.stats.levels import ALPHA

PERSONAL = (("hybrid",), ("retrieval", "--set", "k=1,3"))
PLACEBOS = (("placebo", "--set", "of=hybrid"), ("placebo", "--set", "of=retrieval"))
NETWORKS = (("projected-profile",), ("hypernetwork-trained",))
WORLDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "archetypes": (
        ("unified",),
        ("clustering",),
        ("cluster",),
        ("cluster-from-unified",),
        ("placebo", "--set", "of=cluster-from-unified"),
    ),
    "individualists": (("unified",), *PERSONAL, ("clustering",), ("cluster-from-unified",), *PLACEBOS),
    "uniform": (("unified",), *PERSONAL, *PLACEBOS),
    "styles": (
        ("unified",),
        *PERSONAL,
        ("steering-vectors",),
        ("context-steering",),
        ("placebo", "--set", "of=steering-vectors"),
        ("placebo", "--set", "of=context-steering"),
    ),
    "kin": (
        ("unified",),
        ("hybrid",),
        ("hypernetwork",),
        *NETWORKS,
        ("placebo", "--set", "of=projected-profile"),
        ("placebo", "--set", "of=hypernetwork-trained"),
    ),
    "told": (
        ("unified",),
        ("profile-prompt",),
        ("context-steering", "--set", "shown=profile"),
        *PERSONAL,
        ("placebo", "--set", "of=context-steering"),
    ),
}
Row = dict[str, Any]


def beats(row: Row) -> bool:
    """Say whether a variant is better than unified by the primary metric: interval and Holm's p."""
    return row["p_holm"] is not None and bool((row["ci_low"] or 0) > 0 and row["p_holm"] < ALPHA)


def loses(row: Row) -> bool:
    """Say whether a variant is worse than unified by the primary metric: interval and Holm's p."""
    return row["p_holm"] is not None and bool((row["ci_high"] or 0) < 0 and row["p_holm"] < ALPHA)


def above(row: Row) -> bool:
    """Say whether a variant is better than its own placebo at alpha."""
    found = row["above_placebo"]
    if not found or found["ci_low"] is None or found["p"] is None:  # too few personas differ
        return False
    return bool(found["delta"] > 0 and found["p"] < ALPHA and found["ci_low"] > 0)


def same(found: Row) -> bool:
    """Say whether the two of a comparison got the same scores for everybody."""
    return bool(found["delta"] == found["ci_low"] == found["ci_high"] == 0)


def judged(world: str, rows: Sequence[Row], workspace: Path) -> dict[str, bool]:
    """Return each truth of the world and whether it came out."""
    families = {
        name: [row for row in rows if row["family"] == name] for name in ("cluster", "hybrid", "retrieval")
    }
    personal = families["hybrid"] + families["retrieval"]
    if world == "archetypes":
        return {"a cluster variant beats unified": any(map(beats, families["cluster"]))}
    if world == "individualists":
        return {
            "a personal variant beats unified": any(map(beats, personal)),
            "a personal variant beats its placebo": any(map(above, personal)),
            "no cluster variant beats unified": not any(map(beats, families["cluster"])),
            "no cluster variant comes near the best personal one": all(
                (row["ci_high"] or 0.0) < max((one["ci_low"] or 0.0) for one in personal)
                for row in families["cluster"]
            ),
        }
    steering = [row for row in rows if row["family"] == "steering"]
    if world == "styles":
        return {
            "something that knows her style beats unified": any(map(beats, [*personal, *steering])),
            "steering costs nothing": not any(map(loses, steering)),
        }
    if world == "kin":
        networks = [row for row in rows if row["family"] == "network"]
        return {
            "a trained network beats unified": any(map(beats, networks)),
            "a trained network beats its placebo": any(map(above, networks)),
            "who is held out of its training gains by it": held_out_gain(workspace) > 0,
        }
    if world == "told":
        return {
            "steering by the profile beats unified": any(map(beats, steering)),
            "steering by the profile beats its placebo": any(map(above, steering)),
            "what remembers or trains does not": not any(map(beats, personal)),
        }
    return {"no personal variant beats its placebo": not any(map(above, personal))}


def held_out_gain(workspace: Path) -> float:
    """Return how much less a network's loss is than unified's, in nats, for whom it was never trained on."""
    gains = []
    for name in ("projected-profile", "hypernetwork-trained"):
        for path in (workspace / "data" / "runs").glob(f"{name}-*/summary.json"):
            told = json.loads(path.read_text())
            gains.append(told["unified_loss_nats"] - told["val_loss_nats"])
    return max(gains, default=0.0)


def recovered(workspace: Path, world: str) -> float | None:
    """Return the adjusted Rand index of the clustering against the archetypes that were drawn."""
    from sklearn.metrics import adjusted_rand_score

    from engine.data.worlds import WORLDS as SPECS
    from engine.data.worlds import draw_household

    found = sorted((workspace / "data" / "runs").glob("clustering-*/clusters.json"))
    if world != "archetypes" or not found:
        return None
    assignment = json.loads(found[-1].read_text())["assignment"]
    names = sorted(assignment)
    drawn = [draw_household(SPECS[world], seed=0, index=index).archetype for index in range(len(names))]
    return float(adjusted_rand_score(drawn, [assignment[name] for name in names]))


def worlds(options: argparse.Namespace) -> dict[str, Any]:
    """Run each world's list of experiments and judge it."""
    answer = {}
    for world, runs in WORLDS.items():
        if options.only not in (None, world):
            continue
        workspace = (options.workspace or Path(tempfile.mkdtemp(prefix="persona-lab-worlds-"))) / world
        began = time.monotonic()
        if not (workspace / "data" / "dataset").exists():
            size = ("--personas", str(options.personas), "--dialogues", str(options.dialogues))
            engine(workspace, "init", "--dataset", f"world:{world}", *size)
        alone = [(*words, "--no-controls") for words in runs]  # those that are asked about are in the list
        play(workspace, spelled(alone, options.epochs, options.examples))
        rows = engine(workspace, "compare", "--split", "test")["rows"]
        answer[world] = {
            "truths": judged(world, rows, workspace),
            "rand_index": recovered(workspace, world),
            "seconds": time.monotonic() - began,
            "rows": rows,
        }
    return answer


def show_worlds(answer: dict[str, Any]) -> None:
    """Print what came out in each world."""
    for world, found in answer.items():
        print(f"\n{world} ({found['seconds'] / 60:.1f} min)")
        for truth, holds in found["truths"].items():
            print(f"  {'holds' if holds else 'DOES NOT HOLD'}: {truth}")
        if found["rand_index"] is not None:
            print(f"  clusters against archetypes, adjusted Rand index: {found['rand_index']:.2f}")
        print("  | variant | similarity | difference | 95 % CI | p (Holm) | above its placebo |")
        print("  |---|---|---|---|---|---|")
        for row in found["rows"]:
            placebo = row["above_placebo"]
            told = "" if not placebo else f"{signed_points(placebo['delta'])} (p {p_value(placebo['p'])})"
            told = "same as it" if placebo and same(placebo) else told
            sure = interval(row["ci_low"], row["ci_high"]) if not same(row) else "answers as unified"
            sure = "" if row["role"] == "reference" else sure
            p = "" if row["p_holm"] is None else p_value(row["p_holm"])
            values = (points(row["mean"]), signed_points(row["delta"]), sure, p, told)
            print(f"  | {row['variant']} | " + " | ".join(values) + " |")


# --- many small studies


def permuted(folder: Path, seed: int) -> None:
    """Give every session of a written world to a random household."""
    path = folder / "sessions.jsonl"
    people = [json.loads(line)["sessions"] for line in path.read_text().splitlines()]
    sessions = [session for own in people for session in own]
    random.Random(seed).shuffle(sessions)
    with path.open("w") as file:
        for own in people:
            dealt = [{**sessions.pop(), "session_id": place} for place in range(len(own))]
            file.write(json.dumps({"sessions": dealt}, ensure_ascii=False) + "\n")


def answered(ws: Any, options: argparse.Namespace) -> None:
    """Make the world of all studies; train and answer in it, and answer each persona as another."""
    from engine.data.prepare import prepare
    from engine.data.worlds import write_world

    source, people = ws.root.parent / "world", options.studies * options.personas
    if not ws.dataset.exists():
        write_world(source, name=options.world, personas=people, dialogues=options.dialogues, seed=0)
        if options.world != "uniform":
            permuted(source, 0)
        (source / "truth.jsonl").unlink()
        ws.root.mkdir(exist_ok=True)
        prepare(ws, dataset=source, seed=0, split="by-time")
    common = {"splits": ["test"], "examples_per_persona": options.examples}
    adapters = do(ws, "per-persona", {**common, "epochs": 1})
    do(ws, "placebo", {**common, "of": "per-persona"}, {"of": adapters})
    memories = do(ws, "retrieval", {**common, "over": "base", "k": [1]})
    do(ws, "placebo", {**common, "of": "retrieval", "k": 1}, {"of": memories})


def do(ws: Any, experiment: str, parameters: dict[str, Any], upstream: dict[str, str] | None = None) -> str:
    """Do one run in this process, without what would be planned beside it; return its id."""
    from engine.runs.runfolder import Status, write_spec, write_status
    from engine.strategies.plan import plan
    from engine.strategies.runnable import execute

    planned = plan(ws, experiment, parameters, upstream=upstream)
    for run in planned.runs:
        if run.state == "succeeded" or run.purpose == "beside":
            continue
        folder = ws.run_folder(run.run_id)
        status = Status(state="running", order=len(list(ws.runs.glob("*"))) + 1, attempt=1)
        write_status(folder, status)
        write_spec(folder, run.spec)
        if execute(ws, run.run_id, status):
            sys.exit((folder / "log.txt").read_text())
    return planned.target.run_id


def placebo(options: argparse.Namespace) -> dict[str, Any]:
    """Return how often each variant beat its placebo in small studies."""
    from engine.core.paths import Workspace
    from engine.results import store
    from engine.results.variants import above as above_placebo
    from engine.stats.compare import compare
    from engine.stats.pairing import index, pair

    began = time.monotonic()
    folder = options.workspace or Path(tempfile.mkdtemp(prefix="persona-lab-placebo-"))
    folder.mkdir(parents=True, exist_ok=True)
    ws = Workspace(folder / "study")
    answered(ws, options)
    scores = store.score_table(ws, metric="embedding_similarity", split="test")
    personas = sorted(scores["persona_id"].unique())
    names = sorted(name for name in scores["variant"].unique() if f"{name}~placebo" in set(scores["variant"]))
    beaten: Counter[str] = Counter()
    for start in range(0, options.studies * options.personas, options.personas):
        mine = scores[scores["persona_id"].isin(personas[start : start + options.personas])]
        tables = {
            name: index(table[["example_id", "persona_id", "value"]].itertuples(index=False, name=None))
            for name, table in mine.groupby("variant")
        }
        for name in names:
            found = above_placebo(compare(pair(tables[name], tables[f"{name}~placebo"])))
            beaten[name] += above({"above_placebo": found})
    return {
        "world": options.world, "studies": options.studies, "personas": options.personas,
        "beaten": {name: beaten[name] for name in names}, "seconds": time.monotonic() - began,
    }  # fmt: skip


def most_by_chance(studies: int) -> int:
    """Return the count that chance exceeds in one of a hundred such campaigns (binomial, one side)."""
    from scipy.stats import binom

    return int(binom.ppf(0.99, studies, ALPHA / 2))


def show_placebo(answer: dict[str, Any]) -> None:
    """Print the counts beside what chance allows."""
    most = most_by_chance(answer["studies"])
    print(
        f"{answer['studies']} studies of {answer['personas']} personas of {answer['world']}, "
        f"{answer['seconds'] / 60:.1f} min: better than its placebo, two-sided alpha {ALPHA}"
    )
    for name, count in answer["beaten"].items():
        verdict = "as chance allows" if count <= most else "MORE THAN CHANCE ALLOWS"
        print(f"  {name}: {count} (by chance {answer['studies'] * ALPHA / 2:.0f}, at most {most}): {verdict}")


ACTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "worlds": (worlds, show_worlds),
    "placebo": (placebo, show_placebo),
}


def main() -> None:
    """Calibrate one way or the other."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("action", choices=ACTIONS)
    made.add_argument("--personas", type=int, help="By default 200, or 10 in each small study.")
    made.add_argument("--dialogues", type=int, help="Of each persona, by default 20, or 6 in small studies.")
    made.add_argument("--examples", type=int, help="Examples a persona and split: 5, or 2.")
    made.add_argument("--epochs", type=int, default=2)
    made.add_argument("--only", choices=WORLDS, help="One world only.")
    made.add_argument("--workspace", type=Path, help="Where to keep the worlds; goes on where they are.")
    made.add_argument("--world", default="uniform", help="Of the small studies.")
    made.add_argument("--studies", type=int, default=200)
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    options = made.parse_args()
    is_small = options.action == "placebo"
    options.personas = options.personas or (10 if is_small else 200)
    options.dialogues = options.dialogues or (6 if is_small else 20)
    options.examples = options.examples or (2 if is_small else 5)
    act, show = ACTIONS[options.action]
    answer = act(options)
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        show(answer)


if __name__ == "__main__":
    main()
