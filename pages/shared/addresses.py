"""Whose an address is: the page's own, late on its way back from the browser, or one that was asked for anew.

The browser may send a change, and a part of a page that draws itself anew may ask for the whole, with an
address of a moment ago, before the new one has reached it. Taken at its word, it would undo the last choice.
Going back brings such an address, too, but later, and with no change.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

_REMEMBERED = 8  # addresses that may still be on their way back from the browser
_ON_ITS_WAY = 3.0  # seconds that an address may be late


@dataclass(frozen=True, slots=True)
class Written:
    """What widgets wrote into the address and what they held then; what it was before, and until when."""

    address: Any
    held: Any
    left: Sequence[tuple[float, Any]] = ()

    def then(self, address: Any, held: Any) -> Written:
        """Return what is remembered after `address` was written for what widgets `held`."""
        if address == self.address:
            return replace(self, held=held)
        left = [*self.left, (time.monotonic(), self.address)][-_REMEMBERED:]
        return Written(address, held, left)

    def is_own(self, asked: Any, held: Any) -> bool:
        """Say whether `asked`, come with what widgets hold now, was written here and asks for nothing new."""
        if asked == self.address:
            return True
        times = [left for left, address in self.left if address == asked]
        return bool(times) and (held != self.held or time.monotonic() - times[-1] < _ON_ITS_WAY)
