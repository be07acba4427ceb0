"""A published study in miniature: every shape of result file, numbers drawn by a seeded generator.

Like real ones it is uneven: unified is scored on 4 to 9 examples a persona, its rivals on 10, and the router
compares every persona with one mean.
"""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

PERSONAS = tuple(f"persona_{number:03d}" for number in range(12))
CLUSTERED = PERSONAS[::2]


def write_study(folder: Path) -> Path:
    """Write the study's files below `folder`; return it."""
    draw = random.Random(7)
    unified = {name: round(draw.uniform(0.70, 0.90), 6) for name in PERSONAS}
    counts = {name: 4 + place % 6 for place, name in enumerate(PERSONAS)}
    hybrid = {name: round(value + draw.uniform(-0.15, 0.05), 6) for name, value in unified.items()}
    by_persona = {
        name: {"num_predictions": counts[name], "metrics": _metrics(unified[name])} for name in PERSONAS
    }
    overall = sum(unified[name] * counts[name] for name in PERSONAS) / sum(counts.values())
    sampled = {"do_sample": True, "temperature": 0.7, "top_p": 0.9}
    config = {"model": {"name": "some/model"}, "generation": sampled}
    results = folder / "results"
    put(results / "unified" / "per_persona_results.json", by_persona)
    put(
        results / "unified" / "unified_results.json",
        {
            "config": config,
            "metrics": {"embedding_similarity": overall},
            "num_examples": sum(counts.values()),
            "num_personas": len(PERSONAS),
        },
    )
    _write_table(results / "unified" / "per_persona_summary.csv", unified, counts)
    listed = [
        {"persona_id": name, **_metrics(hybrid[name]), "avg_ref_length": draw.randint(90, 170) / 10}
        for name in PERSONAS
    ]
    put(
        results / "hybrid" / "hybrid_summary.json",
        {"num_personas": len(PERSONAS), "per_persona_metrics": listed},
    )
    _write_cluster_files(results, draw)
    _write_merge_files(results, draw)
    _write_routes(results, unified, hybrid, mean=overall)
    clusters = {name: place % 2 for place, name in enumerate(PERSONAS)}
    put(folder / "data" / "cluster_map.json", {"cluster_map": clusters, "silhouette_score": 0.03})
    put(folder / "data" / "split_stats.json", {"total_personas": len(PERSONAS)})
    return folder


def put(path: Path, value: Any) -> None:
    """Write one JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _metrics(value: float) -> dict[str, float]:
    return {
        "embedding_similarity": value,
        "device_precision": 0.9,
        "param_precision": 0.85,
        "param_f1": 0.8,
        "numerical_precision": 0.2,
        "avg_pred_length": 12.5,
    }


def _write_table(path: Path, values: dict[str, float], counts: dict[str, int]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["persona_id", "num_predictions", "embedding_similarity"])
        writer.writerows([name, counts[name], f"{values[name]:.8f}"] for name in values)


def _write_cluster_files(results: Path, draw: random.Random) -> None:
    listed = [
        {
            "persona_id": name,
            "cluster_id": 0,
            "num_examples": 20,
            "embedding_similarity": draw.uniform(0.6, 0.8),
        }
        for name in CLUSTERED
    ]
    summary = {"num_personas": len(CLUSTERED)}
    put(
        results / "cluster_lora" / "cluster_lora_results.json",
        {"per_persona_results": listed, "summary": summary},
    )
    put(
        results / "weighted_merge" / "weighted_merge_cluster0_results.json",
        {"cluster_id": 0, "embedding_similarity": 0.71, "num_personas": 6, "num_test_examples": 60},
    )
    worse = [{**row, "embedding_similarity": row["embedding_similarity"] - 0.1} for row in listed]
    put(
        results / "weighted_merge" / "weighted_merge_comprehensive.json",
        {"per_persona_results": worse, "summary": summary},
    )


def _write_merge_files(results: Path, draw: random.Random) -> None:
    scores = {name: draw.uniform(0.5, 0.7) for name in PERSONAS}
    short = {name: {"embedding_similarity": scores[name], "num_test_examples": 10} for name in PERSONAS}
    long = [{"persona_id": name, **short[name], "param_f1": 0.8} for name in PERSONAS]
    summary = {"num_personas": len(PERSONAS)}
    put(results / "moe_sparse" / "moe_results.json", {"summary": summary, "per_persona_results": short})
    put(results / "moe_sparse" / "moe_comprehensive.json", {"summary": summary, "per_persona_results": long})


def _write_routes(results: Path, unified: dict[str, float], hybrid: dict[str, float], *, mean: float) -> None:
    decisions = []
    for name in PERSONAS:
        to_hybrid = hybrid[name] > mean
        decisions.append(
            {
                "persona_id": name,
                "best_model": "hybrid" if to_hybrid else "unified",
                "unified_score": mean,
                "hybrid_score": hybrid[name],
                "best_score": hybrid[name] if to_hybrid else mean,
            }
        )
    chosen = sum(row["best_model"] == "hybrid" for row in decisions)
    summary = {"unified_count": len(PERSONAS) - chosen, "hybrid_count": chosen}
    put(
        results / "selective_routing" / "routing_decisions.json",
        {"routing_decisions": decisions, "summary": summary},
    )
