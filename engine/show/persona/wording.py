"""A reply beside the right one, word by word: what both say, what only the reply says, what it lacks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Side = Literal["both", "added", "lacking"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words that stand together: in both replies, only in the reply, or only in the right one."""

    text: str
    side: Side


def word_by_word(reply: str, right: str) -> tuple[Stretch, ...]:
    """Return the reply and the right one woven into each other; the words of either side are all there."""
    said, wanted = re.findall(r"\S+", reply), re.findall(r"\S+", right)
    woven: list[Stretch] = []
    for kind, begin, end, first, last in SequenceMatcher(None, wanted, said, autojunk=False).get_opcodes():
        if kind == "equal":
            woven.append(Stretch(" ".join(said[first:last]), "both"))
            continue
        if begin < end:
            woven.append(Stretch(" ".join(wanted[begin:end]), "lacking"))
        if first < last:
            woven.append(Stretch(" ".join(said[first:last]), "added"))
    return tuple(woven)
