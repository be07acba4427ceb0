"""Element by element on a GPU: functions and modules compiled into few kernels, where torch can compile.

Owns the choice: nothing is compiled on a CPU, and where compiling fails the plain way goes on, with one line
that says why. What is compiled gives the same numbers up to rounding; integers are the same bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

_WORDS = "Compiling for this GPU failed, so each operation runs by itself: "
_failed: list[str] = []


def why_not() -> str | None:
    """Return why nothing is compiled any more, in one line; None while compiling works."""
    return _failed[0] if _failed else None


def give_up(error: BaseException) -> None:
    """Compile nothing any more in this process."""
    _failed.append(_WORDS + f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}")


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled for any sizes, or as it is once compiling has failed."""
    return function if _failed else _compiled(function)


@functools.lru_cache(maxsize=32)
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled = torch.compile(function, dynamic=True)

    def call(*given: Any) -> Any:
        if _failed:
            return function(*given)
        try:
            return compiled(*given)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ImportError, OSError) as error:  # the compiler, or what it lacks
            give_up(error)
            return function(*given)

    return call
