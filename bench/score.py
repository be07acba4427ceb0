"""Scoring texts: what this engine adds to the encoder itself, and what encoding every row again costs.

    .venv/bin/python -m engine bench score

The texts are what a study scores: for each of some variants a reply to every example, beside its reference;
many replies are alike, and the references are the same for all variants.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.ground import Clock, Measured, parser, peak_gb, run_ways, show


def texts(variants: int, personas: int) -> tuple[list[str], list[str]]:
    """Return predictions and references [variants * n]: replies of the `default` world and its oracles."""
    from engine.data.worlds import draw_world

    references, own, shared = [], [], []
    for _, sessions in draw_world("default", personas=personas, dialogues=4, seed=3):
        for session in sessions:
            for turn in session.turns:
                references.append(turn.reply)
                own.append(turn.knows_persona)
                shared.append(turn.knows_population)
    predictions = [text for number in range(variants) for text in (own if number % 2 else shared)]
    return predictions, references * variants


def ours(options: Any) -> Measured:
    """Score through the engine, its embedding file included."""
    from engine.lm.scorer import Scorer

    predictions, references = texts(options.variants, options.personas)
    clock, scores = Clock(), []
    Scorer().embed(["warm up"])
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory(), clock.timed():
            scores = Scorer().similarity(predictions, references).tolist()
    return Measured("ours: each distinct text once", clock.seconds, len(predictions), peak_gb(), scores[:500])


def encoder(options: Any, *, distinct: bool) -> Measured:
    """sentence-transformers alone, on the distinct texts or on every row."""
    from sentence_transformers import SentenceTransformer, util

    from engine.lm.scorer_choice import usual

    predictions, references = texts(options.variants, options.personas)
    model, clock, scores = SentenceTransformer(str(usual().folder)), Clock(), []
    model.encode(["warm up"])
    for _ in range(options.repeats):
        with clock.timed():
            if distinct:
                model.encode(sorted({*predictions, *references}), batch_size=64, normalize_embeddings=True)
            else:
                a, b = (
                    model.encode(rows, batch_size=64, normalize_embeddings=True, convert_to_tensor=True)
                    for rows in (predictions, references)
                )
                scores = util.pairwise_cos_sim(a, b).tolist()
    way = "the encoder alone, on the distinct texts" if distinct else "the ordinary way: every row encoded"
    return Measured(way, clock.seconds, len(predictions), peak_gb(), scores[:500])


WAYS = {
    "ours": ours,
    "encoder": lambda options: encoder(options, distinct=True),
    "rows": lambda options: encoder(options, distinct=False),
}


def main() -> None:
    """Measure every way and print the ratios."""
    made = parser(__doc__ or "")
    made.add_argument("--variants", type=int, default=6)
    made.add_argument("--personas", type=int, default=20)
    options = made.parse_args()
    found = run_ways(__file__, WAYS, options, ("repeats", "variants", "personas"))
    if found is None:
        return
    pairs = list(zip(found[0].results, found[2].results, strict=True))
    worst = max(abs(a - b) for a, b in pairs)
    over = found[0].per_unit / found[1].per_unit - 1
    checks = [
        f"over the encoder alone: {100 * over:+.1f} %",
        f"{len(pairs)} similarities against the ordinary way: at most {worst:.1e} apart",
    ]
    title = f"{found[0].units} rows of {options.variants} variants"
    show(title, found, unit="row", checks=checks, as_json=options.json)


if __name__ == "__main__":
    main()
