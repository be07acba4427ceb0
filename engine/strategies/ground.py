"""What a run stands on: the workspace's data, split, base and seed. Owns the hashes that freeze them.

Two runs on another ground are never upstream of, or compared with, each other.
"""

from dataclasses import dataclass

from engine.core import integrity
from engine.core.base_identity import base_of
from engine.core.errors import EngineError
from engine.core.kept import kept
from engine.core.machine import changes
from engine.core.paths import Workspace, read_json
from engine.data.dataset import SPLITS
from engine.data.prepare import write_base
from engine.data.splits import hash_splits
from engine.domains.domain import Domain
from engine.domains.registry import domain_of
from engine.runs.records import scan
from engine.runs.runfolder import RunSpec


@dataclass(frozen=True, slots=True)
class Ground:
    """The frozen values of a workspace. `scheme` is "by-time" or "by-persona"; `seed` is the workspace's."""

    base: str
    base_fingerprint: str
    data_hash: str
    scheme: str
    split_hash: str
    seed: int
    personas: int
    with_character: int
    has_truth: bool
    dialogues: int
    domain: Domain
    unseen: int = 0
    """How many of the personas are kept out of all training."""

    def carries(self, spec: RunSpec) -> bool:
        """Say whether a run was made on this same ground."""
        told = (spec.protocol.get("split_hash"), spec.protocol.get("domain", ""))
        ours = (self.base_fingerprint, self.data_hash, self.split_hash, self.domain.identity)
        return (spec.base_fingerprint, spec.data_hash, *told) == ours

    def needs_dialogues(self) -> None:
        """Raise EngineError where there are published scores only, and nothing to answer or to train on."""
        if not self.dialogues:
            raise EngineError(
                "Not applicable here: this workspace holds published scores and no dialogues.",
                "Create one with data: python -m engine init --workspace DIR --dataset world:default",
            )


def read_ground(ws: Workspace) -> Ground:
    """Read the ground of a workspace. Raises EngineError when `init` has not run or its files are torn."""
    config, base = ws.read_config(), base_of(ws)
    try:
        card = read_json(ws.dataset / "card.json")
        scheme, split_hash, unseen = _splits(ws)
        counts = card["counts"]
        return Ground(
            base=base.name,
            base_fingerprint=base.fingerprint,
            data_hash=str(card["data_hash"]),
            scheme=scheme,
            split_hash=split_hash,
            seed=int(config["seed"]),
            personas=int(counts["personas"]),
            with_character=int(counts["personas_with_character"]),
            has_truth=(ws.dataset / "truth.jsonl").exists(),
            dialogues=int(counts["dialogues"]),
            domain=domain_of(ws),
            unseen=unseen,
        )
    except FileNotFoundError as error:
        raise EngineError(
            f"The dataset of {ws.root} is incomplete: {error}",
            "Create the workspace again: python -m engine init --force",
        ) from error


@changes("change the base model", least="own")
def change_base(ws: Workspace, base: str) -> tuple[str, str]:
    """Make another base the workspace's; return the name before and now.

    Raises EngineError while runs wait or work: they would go on over another base than they were asked for.
    """
    before = str(ws.read_config()["base"])
    refuse_while_busy(ws, "The base model")
    return before, write_base(ws, base)


def refuse_while_busy(ws: Workspace, what: str) -> None:
    """Raise EngineError where runs wait or work: `what` they stand on stays as it is until then."""
    busy = [record.run_id for record in scan(ws) if record.state in ("queued", "running")]
    if busy:
        raise EngineError(
            f"{what} cannot be changed while runs wait or work: {', '.join(busy[:3])}.",
            f"Wait for them, or cancel them: python -m engine cancel {busy[0]}",
        )


_Split = tuple[str, str, int]


def _splits(ws: Workspace) -> _Split:
    """Return scheme and hash of a splits.json, and how many personas are kept out of training."""
    path = ws.splits / SPLITS

    def read() -> _Split:
        splits = read_json(path)
        return str(splits["scheme"]), hash_splits(splits), len(splits.get("unseen", ()))

    return kept(ws, "split", (integrity.sha256(path),), tuple[str, str, int], read)
