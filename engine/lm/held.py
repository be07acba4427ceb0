"""What the rows of a batch bring along, in memory that stays where it is from batch to batch.

A captured step knows tensors by their address. Owns the row counts that rows are padded to, so that few
addresses are needed.
"""

import torch
from torch import Tensor

_FEWEST_ROWS = 4


def row_count(rows: int) -> int:
    """Return the number of rows that so many are padded to: a power of two."""
    return max(_FEWEST_ROWS, 1 << (rows - 1).bit_length())


class Held:
    """What rows bring along (factors, offsets), gathered into memory that stays where it is."""

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}
        self.moves = 0

    def put(self, name: str, table: Tensor, rows: Tensor) -> Tensor:
        """Return table[rows], always in the same place as long as it is not more than before."""
        count = len(rows) * table[0].numel()
        memory = self._memory.get(name)
        if memory is None or memory.numel() < count or memory.dtype != table.dtype:
            memory = self._memory[name] = table.new_empty(row_count(len(rows)) * table[0].numel())
            self.moves += 1
        view = memory[:count].view(len(rows), *table.shape[1:])
        return torch.index_select(table, 0, rows, out=view)
