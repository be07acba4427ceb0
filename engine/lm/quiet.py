"""What the model libraries may print. Owns that choice alone: a run has a progress of its own."""

from __future__ import annotations

from transformers.utils.logging import disable_progress_bar


def quieten() -> None:
    """Load models without progress bars from here on; called after a download, which keeps its own."""
    disable_progress_bar()
