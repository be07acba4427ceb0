"""Where a word ends, whatever the script: Thai, Lao, Burmese, Khmer, Chinese and Japanese put no space there.

Owns the one way to count, match and compare words of any script: letters of these are words of their own.
"""

import re
from typing import Final

UNSPACED: Final = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""The letters of scripts without spaces between words, for within the brackets of a pattern."""
_LETTER = re.compile(rf"([{UNSPACED}])")


def apart(text: str) -> str:
    """Return a text with spaces around each letter of a script that has none between words."""
    return _LETTER.sub(r" \1 ", text)


def words_of(text: str) -> list[str]:
    """Return what spaces part in a text, and each letter of a script without them."""
    return apart(text).split()
