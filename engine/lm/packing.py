"""How the dialogues of a step lie in one batch: side by side and padded, or one after another in a row.

A row belongs to one adapter. Where attention can be told where dialogues begin, all dialogues of an adapter
lie in its row and almost nothing is padded; elsewhere each has a row of its own. All that a forward pass
needs of them is one block of numbers, so that it reaches a GPU in one copy, and a recorded step another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.lm.encode import Encoded
from engine.lm.memory import sent

_MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class Drill:
    """One dialogue of a step: the slot [0, G) of its adapter, and the seed of its dropout."""

    slot: int
    dialogue: Encoded
    stream: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """The sizes of a batch: B rows of T tokens, M labels, D dialogues, G adapters.

    `longest` is at least the length of a dialogue, with the padding behind it.
    """

    rows: int
    width: int
    labels: int
    dialogues: int
    longest: int
    adapters: int
    packed: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        tokens = self.rows * self.width
        return (tokens, tokens, tokens, self.rows, self.labels, self.labels, self.labels, self.labels,
                self.dialogues + 1, self.rows)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """What one forward pass is about, in one block of 64-bit numbers, `data`.

    ids, places (in the dialogue) and streams [B, T]; slots [B]; of each label where it is predicted (in the
    flat batch), the token, its adapter and its weight in the loss [M]; where dialogues begin [D + 1]; whose
    the first dialogue of a row is [B].
    A label of weight 0 stands for nothing.
    """

    layout: Layout
    data: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; nothing waits for the copy."""
        return replace(self, data=sent(self.data, device))

    def _piece(self, number: int) -> Tensor:
        sizes = self.layout.sizes
        return self.data.narrow(0, sum(sizes[:number]), sizes[number])

    def _grid(self, number: int) -> Tensor:
        return self._piece(number).view(self.layout.rows, self.layout.width)

    @property
    def ids(self) -> Tensor:
        return self._grid(0)

    @property
    def places(self) -> Tensor:
        return self._grid(1)

    @property
    def streams(self) -> Tensor:
        return self._grid(2)

    @property
    def slots(self) -> Tensor:
        return self._piece(3)

    @property
    def where(self) -> Tensor:
        return self._piece(4)

    @property
    def wanted(self) -> Tensor:
        return self._piece(5)

    @property
    def owners(self) -> Tensor:
        return self._piece(6)

    @property
    def weights(self) -> Tensor:
        return self._piece(7).view(torch.float64).float()

    @property
    def begins(self) -> Tensor:
        return self._piece(8).to(torch.int32)

    @property
    def whose(self) -> Tensor:
        return self._piece(9)


def bins_of(rows: Sequence[Drill], tokens: int) -> list[list[Drill]]:
    """Return the dialogues adapter by adapter, each list at most `tokens` long or of one dialogue."""
    bins: list[list[Drill]] = []
    held = 0
    for row in sorted(rows, key=lambda row: row.slot):
        if not bins or bins[-1][0].slot != row.slot or held + len(row.dialogue) > tokens:
            bins.append([])
            held = 0
        bins[-1].append(row)
        held += len(row.dialogue)
    return bins


def length_of(chosen: Sequence[Drill]) -> int:
    """Return how many tokens a row of the batch holds."""
    return sum(len(row.dialogue) for row in chosen)


def batch_of(
    bins: Sequence[Sequence[Drill]],
    weights: Sequence[float],
    *,
    pad_id: int,
    packed: bool,
    room: Layout | None = None,
) -> Batch:
    """Return a batch with a row for each of `bins`, and `weights` [G] in the loss of each adapter's labels.

    `room` is a layout that holds more than is needed, at least one token of padding at the end.
    """
    layout = room or layout_of(bins, adapters=len(weights), packed=packed)
    data = torch.zeros(sum(layout.sizes), dtype=torch.int64)
    batch = Batch(layout, data)
    ids, places, streams, slots = batch.ids, batch.places, batch.streams, batch.slots
    whose = batch.whose
    ids.fill_(pad_id)
    where: list[int] = []
    owners: list[int] = []
    begins: list[int] = []
    for number, chosen in enumerate(bins):
        slots[number], whose[number] = chosen[0].slot, chosen[0].dialogue.whose
        at = 0
        for row in chosen:
            length = len(row.dialogue)
            begins.append(number * layout.width + at)
            ids[number, at : at + length] = torch.tensor(row.dialogue.ids)
            places[number, at : at + length] = torch.arange(length)
            streams[number, at : at + length] = row.stream
            found = [begins[-1] + t for t, own in enumerate(row.dialogue.is_reply[1:]) if own]
            where += found
            owners += [row.slot] * len(found)
            at += length
    count, spare = len(where), layout.rows * layout.width - 1
    batch.where.fill_(spare)[:count] = torch.tensor(where, dtype=torch.int64)
    batch.wanted[:count] = ids.reshape(-1)[batch.where[:count] + 1]
    mine = torch.tensor(owners, dtype=torch.int64)
    batch.owners[:count] = mine
    batch._piece(7).view(torch.float64)[:count] = torch.tensor(weights, dtype=torch.float64)[mine]
    batch._piece(8).fill_(layout.rows * layout.width)[: len(begins)] = torch.tensor(begins)
    return batch


def layout_of(bins: Sequence[Sequence[Drill]], *, adapters: int, packed: bool) -> Layout:
    """Return the layout that just holds the dialogues."""
    width = -(-max(length_of(chosen) for chosen in bins) // _MULTIPLE) * _MULTIPLE
    each = [row.dialogue for chosen in bins for row in chosen]
    ends = [len(chosen[-1].dialogue) + width - length_of(chosen) for chosen in bins]
    return Layout(
        rows=len(bins),
        width=width,
        labels=sum(sum(one.is_reply[1:]) for one in each),
        dialogues=len(each),
        longest=1 << (max(*map(len, each), *ends) - 1).bit_length(),
        adapters=adapters,
        packed=packed,
    )
