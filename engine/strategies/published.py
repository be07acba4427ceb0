"""What presets of several strategies share: the settings that the original study names for its next attempts.

A preset says what equals a default all the same, so that it stays what it is when a default moves.
"""

START, BACKUP = "The study's quick start", "The study's backup plan"
CONSTRAINED = {
    "rank": 4,
    "alpha": 8.0,
    "dropout": 0.1,
    "target_modules": ["q_proj"],
    "weight_decay": 0.05,
    "warmup_share": 0.1,
}
CAREFUL = {"learning_rate": 2e-4, "epochs": 5}
