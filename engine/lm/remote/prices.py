"""What tokens cost, as the user says; no price is known here, so none can be out of date."""

import math
from dataclasses import dataclass

_CHARACTERS_A_TOKEN = 4
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Money for a million tokens, in and out, in the user's currency; None where it is not known."""

    tokens_in: float | None = None
    tokens_out: float | None = None

    def cost(self, tokens_in: float, tokens_out: float) -> float | None:
        """Return what so many tokens cost; None when a price is not known."""
        if self.tokens_in is None or self.tokens_out is None:
            return None
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / _MILLION


def tokens_about(characters: int) -> int:
    """Return about how many tokens a text is, by its characters: the model's own tokenizer is not known."""
    return math.ceil(characters / _CHARACTERS_A_TOKEN)


def money(amount: float | None) -> str:
    """Return an amount for people: "0.0123", or "price unknown"."""
    if amount is None:
        return "price unknown"
    return f"{amount:.2f}" if amount >= 1 else f"{amount:.4f}"
