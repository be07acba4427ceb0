"""Lets the charts' library be imported under `python -OO`, which strips the docstrings that it copies."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

_CHARTS = "altair"


def load_charts() -> None:
    """Import altair with its copying of docstrings left out; where it is imported already, do nothing."""
    spec = importlib.util.find_spec(_CHARTS)
    if _CHARTS in sys.modules or spec is None or spec.loader is None:
        return
    package = importlib.util.module_from_spec(spec)
    sys.modules[_CHARTS] = package  # so that its part can be imported, and changed, before the whole
    core: Any = importlib.import_module(f"{_CHARTS}.utils.core")
    core._wrap_and_copy_doc = _copy_no_docstring
    spec.loader.exec_module(package)


def _copy_no_docstring(source: Callable[..., Any], target: Any) -> None:
    target.__wrapped__ = getattr(source, "__init__", source)
