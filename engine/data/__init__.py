"""The data layer: from files of any origin to a workspace's personas, dialogues, splits and examples.

Owns data/dataset, data/splits and data/workspace.json. Refuses to leave half of anything behind.
"""

from engine.data.dataset import choose_examples, examples, load_dataset, load_splits
from engine.data.prepare import prepare, prepare_upload
from engine.data.preview import preview, preview_upload
from engine.data.statistics import text_statistics

__all__ = [
    "choose_examples",
    "examples",
    "load_dataset",
    "load_splits",
    "prepare",
    "prepare_upload",
    "preview",
    "preview_upload",
    "text_statistics",
]
