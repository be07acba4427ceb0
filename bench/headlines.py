"""A study of texts without actions: the world of headlines, its truth beside it, by the command line.

    .venv/bin/python -m engine bench headlines                20 authors x 50 articles
    .venv/bin/python -m engine bench headlines --uniform     the same where nobody differs

Runs unified, hybrid, BM25 over unified, a unified that was trained to read what BM25 finds, four retrievers
over that one, both oracles and placebos, one after another, and prints what test says in ROUGE-L, a line a
variant in Markdown, and which of the world's truths came out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.study import engine

LAYERS = '["q_proj","k_proj","v_proj","o_proj","gate_proj","up_proj","down_proj"]'
TRAINED = (
    f"target_modules={LAYERS}", "rank=16", "learning_rate=0.0015", "batch_size=2", "epochs=6",
)  # fmt: skip
RETRIEVERS = ("similarity", "newest", "random")
MEMORIES = 3
READER = "unified-memories-bm25"
VARIANTS = {
    "unified": "unified",
    "hybrid": "hybrid",
    "untaught": f"unified+retrieval-bm25-{MEMORIES}",
    "bm25": READER,
    "similarity": f"{READER}+retrieval-{MEMORIES}",
    "newest": f"{READER}+retrieval-recent-1-{MEMORIES}",
    "random": f"{READER}+retrieval-random-{MEMORIES}",
    "persona": "ceiling-persona",
    "population": "knows-population",
}
Row = Mapping[str, Any]


def play(workspace: Path, settings: Sequence[str], trained: Sequence[str]) -> dict[str, str]:
    """Run the study, each run by what was trained here; return retriever -> the run that shows its finds."""

    def run(*words: str) -> str:
        began = time.monotonic()
        told = engine(workspace, "run", *words, *_set(settings))
        print(f"  {time.monotonic() - began:7.1f} s  {' '.join(words[:4])}", file=sys.stderr, flush=True)
        return str(told["run_id"])

    unified = run("unified", *_set(trained))
    run("ceiling")
    hybrid = run("hybrid", "--upstream", f"unified={unified}", "--no-controls", *_set(trained))
    run("placebo", *_set(["of=hybrid"]), "--upstream", f"of={hybrid}")
    untaught = _set(["retriever=bm25", f"k={MEMORIES}"])
    run("retrieval", "--upstream", f"over={unified}", *untaught)
    reading = _set(["retriever=bm25", f"memories={MEMORIES}"])
    readings = {"bm25": run("unified-memories", *reading, *_set(trained))}
    run("placebo", *_set(["of=unified-memories"]), "--upstream", f"of={readings['bm25']}")
    for retriever in RETRIEVERS:
        chosen = _set([f"retriever={retriever}", f"k={MEMORIES}", "over=unified-memories"])
        read = readings[retriever] = run("retrieval", "--upstream", f"over={readings['bm25']}", *chosen)
        if retriever == "similarity":
            run("placebo", *_set(["of=retrieval"]), "--upstream", f"of={read}")
    return readings


def found_by(workspace: Path, run_id: str) -> float:
    """Return in which share of test queries the memories hold the author's own word for their subject.

    Asked of the queries where her word is another than everybody's. No model takes part.
    """
    import pyarrow.parquet as parquet

    lines = (workspace / "data" / "dataset" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    truth = {row["example_id"]: row for row in map(json.loads, lines)}
    hits = []
    for row in parquet.read_table(workspace / "data" / "runs" / run_id / "replies.parquet").to_pylist():
        own, common = (_word(truth[row["example_id"]][key]) for key in ("knows_persona", "knows_population"))
        if row["split"] == "test" and own != common:
            hits.append(any(_word(one["reply"]) == own for one in json.loads(row["retrieved"] or "[]")))
    return sum(hits) / max(1, len(hits))


def _word(headline: str) -> str:
    return headline.partition(":")[0]


def _set(values: Sequence[str]) -> list[str]:
    return [part for one in values for part in ("--set", one)]


def truths(rows: Mapping[str, Row], found: Mapping[str, float]) -> dict[str, bool]:
    """Return what the world's making says must come out, and whether it did.

    `found` is what each retriever showed. Over a reader that was trained with memories finding must help.
    """
    mean = {name: rows[variant]["mean"] for name, variant in VARIANTS.items() if variant in rows}
    contenders = (mean["hybrid"], mean["bm25"], mean["similarity"], mean["unified"])
    likeness, others = min(found["bm25"], found["similarity"]), max(found["newest"], found["random"])

    def above_placebo(name: str) -> bool:
        found = rows[VARIANTS[name]]["above_placebo"]
        return bool(found and found["delta"] > 0 and found["p"] < 0.05)

    return {
        "hybrid is better than unified": rows[VARIANTS["hybrid"]]["verdict"] == "better",
        "hybrid is above its placebo": above_placebo("hybrid"),
        "likeness finds her words, the newest and chance miss many": likeness > 0.9 > 0.7 > others,
        "what BM25 finds is read: it is above its placebo": above_placebo("bm25"),
        "what similarity finds is read: it is above its placebo": above_placebo("similarity"),
        "over the reader, likeness is better than the newest and chance": min(
            mean["bm25"], mean["similarity"]
        )
        > max(mean["newest"], mean["random"]),
        "memories help who was trained to read them": mean["bm25"] > mean["untaught"],
        "nothing is above who knows the persona": max(contenders) < mean["persona"],
        "unified is no better than who knows the population": mean["unified"] < mean["population"] + 0.03,
    }


def null_truths(rows: Mapping[str, Row]) -> dict[str, bool]:
    """Return the same of a world where nobody differs: nothing personal is above its placebo."""
    found = {name: rows[VARIANTS[name]]["above_placebo"] for name in ("hybrid", "bm25", "similarity")}
    return {
        f"{name} is not above its placebo": not (one and one["delta"] > 0 and one["p"] < 0.05)
        for name, one in found.items()
    }


def show(rows: Sequence[Row], metric: str, came_out: Mapping[str, bool]) -> None:
    """Print the table of test, and the truths."""
    from engine.core.wording import interval, p_value, points, signed_points

    print(f"| variant | {metric} | over unified | 95 % interval | p (Holm) | verdict | over its placebo |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        is_one = row["role"] == "reference"
        above = row["above_placebo"]
        cells = (
            row["variant"],
            points(row["mean"]),
            "" if is_one else signed_points(row["delta"]),
            "" if is_one or row["ci_low"] is None else interval(row["ci_low"], row["ci_high"]),
            "" if row["p_holm"] is None else p_value(row["p_holm"]),
            row["verdict"],
            f"{signed_points(above['delta'])} (p {p_value(above['p'])})" if above else "",
        )
        print(f"| {' | '.join(cells)} |")
    print()
    for words, is_true in came_out.items():
        print(f"- {words}: {'yes' if is_true else 'NO'}")


def main() -> None:
    """Make the world, run the study, print what came out."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--uniform", action="store_true", help="The world where nobody differs.")
    made.add_argument("--personas", type=int, default=20)
    made.add_argument("--dialogues", type=int, default=50)
    made.add_argument("--base", default="embedded")
    made.add_argument("--workspace", type=Path, help="Where to keep it; goes on where one is.")
    made.add_argument("--set", action="append", default=[], help="Further parameters of training.")
    options = made.parse_args()
    workspace = options.workspace or Path(tempfile.mkdtemp(prefix="persona-lab-headlines-"))
    if not (workspace / "data" / "dataset").exists():
        world = "headlines-uniform" if options.uniform else "headlines"
        size = ("--personas", str(options.personas), "--dialogues", str(options.dialogues))
        engine(workspace, "init", "--dataset", f"world:{world}", *size, "--base", options.base)
    readings = play(workspace, ("max_new_tokens=40",), (*TRAINED, *options.set))
    found = engine(workspace, "compare", "--split", "test", "--metric", "rouge_l")
    rows = {row["variant"]: row for row in found["rows"]}
    if options.uniform:
        show(found["rows"], "ROUGE-L", null_truths(rows))
        return
    shown = {retriever: found_by(workspace, run_id) for retriever, run_id in readings.items()}
    show(found["rows"], "ROUGE-L", truths(rows, shown))
    print()
    for retriever, share in shown.items():
        print(f"- {retriever} shows her own word for the subject in {100 * share:.0f} % of queries")


if __name__ == "__main__":
    main()
