"""Waiting for asynchronous work from ordinary code, also where a loop already runs (a notebook, an app)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def finished(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end in a thread with a loop of its own; return or raise what it does."""
    with ThreadPoolExecutor(1, thread_name_prefix="remote") as pool:
        return pool.submit(asyncio.run, work).result()
