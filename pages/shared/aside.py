"""What takes long in a large study is made beside the page, which says how far that is and shows the rest.

Owns which studies are large. A small one is computed where it is asked for.
"""

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from engine.core.paths import Workspace
from engine.core.stamps import stamp
from engine.results import store

Answer = TypeVar("Answer")

_LARGE_BYTES = 64_000_000  # of results.duckdb: from about a thousand personas with some twenty variants
_PATIENCE_SECONDS = 2.0
_is_aside: contextvars.ContextVar[bool] = contextvars.ContextVar("is_aside", default=False)


@dataclass(slots=True)
class Job:
    """One answer that is being made. `left` of `total` comparisons are still to be computed; 0: not known."""

    made: Future[Any] = field(default_factory=Future)
    began: float = field(default_factory=time.monotonic)
    total: int = 0
    left: int = 0

    def count(self, left: int) -> None:
        self.total, self.left = max(self.total, left), left


_jobs: dict[tuple[Any, ...], Job] = {}


class Underway(Exception):
    """An answer is not there yet: no fault, and nothing that a reader may take for an empty answer."""

    def __init__(self, job: Job) -> None:
        super().__init__("It is being computed.")
        self.job = job


def made(ws: Workspace, key: tuple[Any, ...], make: Callable[[], Answer]) -> Answer:
    """Return what `make` returns. Raises Underway where that takes longer in a large study than one waits."""
    size = stamp(ws.database)
    if _is_aside.get() or size is None or size[1] < _LARGE_BYTES:
        return make()
    for old in [name for name, one in _jobs.items() if one.made.done() and name != key]:
        _jobs.pop(old, None)  # it is on disk, or the question has changed meanwhile
    job = _jobs.get(key)
    if job is None:
        job = _jobs[key] = Job()
        worker = threading.Thread(target=contextvars.copy_context().run, args=(_work, job, make), daemon=True)
        add_script_run_ctx(worker, get_script_run_ctx())
        worker.start()
    wait([job.made], _PATIENCE_SECONDS)
    if not job.made.done():
        raise Underway(job)
    _jobs.pop(key, None)
    return job.made.result()


def settled() -> bool:
    """Wait until everything that is being made is there; say whether anything was. For measuring."""
    return bool(wait([job.made for job in _jobs.values() if not job.made.done()]).done)


def _work(job: Job, make: Callable[[], Any]) -> None:
    _is_aside.set(True)
    store.COUNTING.set(job.count)
    try:
        job.made.set_result(make())
    except Exception as error:  # noqa: BLE001 - it is raised again where the answer is asked for
        job.made.set_exception(error)
