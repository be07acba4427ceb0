"""Named parameters for experiments: the settings that the original study names for its next attempts.

Data only: the catalog hands each experiment its own. What equals a default is written out all the same, so
that a preset stays what it is when a default moves.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.strategies.spec import Preset

_START, _BACKUP = "The study's quick start", "The study's backup plan"
_CONSTRAINED = {
    "rank": 4,
    "alpha": 8.0,
    "dropout": 0.1,
    "target_modules": ["q_proj"],
    "weight_decay": 0.05,
    "warmup_share": 0.1,
}
_CAREFUL = {"learning_rate": 2e-4, "epochs": 5}

PRESETS: Mapping[str, tuple[Preset, ...]] = {
    "clustering": (
        Preset(
            "quick-start",
            "Character texts, 5 to 25 clusters, the best silhouette",
            {"features": "character", "k": [5, 10, 15, 20, 25]},
            f"{_START}, experiment 1, step 1.",
        ),
    ),
    "cluster": (
        Preset(
            "cluster-0",
            "Cluster 0 at lr 5e-4, 3 epochs",
            {"cluster": 0, "learning_rate": 5e-4, "epochs": 3},
            f"{_START}, experiment 1: one cluster for testing; it came to 72.65 against 82.14.",
        ),
        Preset(
            "cluster-4",
            "Cluster 4 at lr 2e-4, 5 epochs",
            {"cluster": 4, **_CAREFUL},
            f"{_BACKUP}, current status: a lower rate for longer, after cluster 0 failed.",
        ),
        Preset(
            "all-clusters",
            "Every cluster at lr 2e-4, 5 epochs",
            dict(_CAREFUL),
            f"{_START}, experiment 1, step 2, at the rate of the backup plan.",
        ),
        Preset(
            "cluster-4-constrained",
            "Cluster 4, rank 4, q only, dropout 0.1, decay 0.05",
            {"cluster": 4, **_CAREFUL, **_CONSTRAINED},
            f"{_BACKUP}, strategy 4.",
        ),
    ),
    "cluster-from-unified": (
        Preset(
            "cluster-4",
            "Cluster 4 from unified at lr 1e-4, 3 epochs, batch 2",
            {"cluster": 4, "start": "delta", "learning_rate": 1e-4, "epochs": 3, "batch_size": 2},
            f"{_BACKUP}, strategy 2: a new adapter on top of the loaded unified one.",
        ),
        Preset(
            "from-unified",
            "Every cluster from unified at lr 1e-4, 3 epochs, batch 2",
            {"start": "delta", "learning_rate": 1e-4, "epochs": 3, "batch_size": 2},
            f"{_BACKUP}, strategy 2, for all clusters.",
        ),
        Preset(
            "warm-start",
            "Every cluster from unified's weights at lr 1e-4, 3 epochs, batch 2",
            {"start": "weights", "learning_rate": 1e-4, "epochs": 3, "batch_size": 2},
            f"{_BACKUP}, strategy 2, training on the unified adapter itself.",
        ),
    ),
    "constrained": (
        Preset(
            "quick-start",
            "Rank 4, L2 0.1",
            {"rank": 4, "l2": 0.1},
            f"{_START}, experiment 6; its ablation is the sweep constrained-lambda.",
        ),
        Preset(
            "backup-plan",
            "Rank 4, alpha 8, q only, dropout 0.1, decay 0.05, warm-up 0.1",
            dict(_CONSTRAINED),
            f"{_BACKUP}, strategy 4, for each persona.",
        ),
    ),
    "prefix-unified": (
        Preset("quick-start", "20 positions on frozen unified", {"length": 20}, f"{_START}, experiment 3."),
    ),
    "merge-weighted": (
        Preset(
            "cluster-4",
            "Cluster 4: softmax of val score x likeness",
            {"cluster": 4, "temperature": 1.0},
            f"{_BACKUP}, strategy 1, as its code has it.",
        ),
        Preset(
            "cluster-4-quality",
            "Cluster 4: val score x likeness x data quality",
            {"cluster": 4, "temperature": 1.0, "quality": True},
            f"{_BACKUP}, strategy 1, with the third factor of its list.",
        ),
    ),
    "retrieval": (
        Preset(
            "quick-start",
            "0, 1, 3 and 5 past interactions for unified",
            {"over": "unified", "k": [0, 1, 3, 5]},
            f"{_START}, experiment 2.",
        ),
    ),
    "mixture": (
        Preset(
            "backup-plan",
            "0.6 unified, 0.4 cluster",
            {"first": "unified", "second": "cluster", "weights": [0.6]},
            f"{_BACKUP}, strategy 3.",
        ),
    ),
    "routing": (
        Preset(
            "quick-start",
            "Hybrid wherever it beats unified",
            {"among": ["unified", "hybrid"], "fallback": "unified", "margin": 0.0},
            f"{_START}, experiment 4; here the winner on validation, there on test.",
        ),
    ),
}
