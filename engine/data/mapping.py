"""Which column of a table is what: named by the user, guessed for the rest, and kept with the dataset.

Owns the names of the parts (`--map user=customer_id,time=created_at`) and what their columns are usually
called. Reads no file; refuses names that no column has.
"""

import ast
import json
import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Named
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine.core.errors import EngineError, unknown_name
from engine.data.layouts.layout import Sample
from engine.data.turns import ASSISTANTS, ROLE_KEYS, SYSTEMS, TEXT_KEYS, TOOLS, USERS, role_of
from engine.data.when import TIME_NAMES, WAYS, read_time

PARTS: Final[dict[str, str]] = {
    "user": "who it is: one persona for each value",
    "session": "which dialogue a row belongs to",
    "time": "when it took place",
    "messages": "the list of turns",
    "role": "who speaks, of a turn",
    "text": "what is said, of a turn",
    "turn": "where a turn stands in its dialogue, of a turn a row; with parent, its id",
    "parent": "which turn it answers, of a turn a row",
    "input": "what was asked (several: a+b)",
    "output": "what was replied",
    "system": "the data's own instruction; none leaves those of the turns out",
    "character": "a text about the person, or a list of sentences",
    "meta": "what else to keep of a dialogue (several: a+b)",
    "split": "train, val or test",
    "assistant": "the name of the speaker who replies (several: a+b; * for all but the user; no column)",
    "dates": "day-first, month-first, or excel for its numbers (no column)",
    "encoding": "how the file is written, such as cp1252 (no column)",
    "task": "which task of a benchmark, such as lamp-4 (no column)",
}
COLUMNS: Final = tuple(name for name, what in PARTS.items() if "no column)" not in what)
SEVERAL: Final = ("input", "meta")
PLACES: Final = ("_file", "_folder")
"""What a row's file and its folder are called, as columns of a place that holds several files."""
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "user": (
        "persona_id", "user_id", "userid", "customer_id", "customerid", "customer", "reviewerid",
        "reviewer_id",
        "author_id", "author", "account_id", "client_id", "member_id", "participant_id", "participant",
        "worker_id", "speaker_id", "sender_id", "requester_id", "username", "user_name", "persona", "user",
        "hashed_ip",
    ),
    "session": (
        "session_id", "conversation_id", "dialogue_id", "dialog_id", "dialogue_idx", "chat_id", "thread_id",
        "ticket_id", "conversation_hash", "conv_id", "message_tree_id", "session", "thread", "ticket",
        "conversationid", "sessionid", "chatid", "id",
    ),
    "messages": (
        "messages", "conversations", "conversation_history", "conversation", "chat", "dialogue", "dialog",
        "turns", "utterances", "history", "thread", "transcript", "chosen",
    ),
    "role": (*ROLE_KEYS, "speaker_role", "sender_type", "author_role", "side"),
    "text": (*TEXT_KEYS, "msg", "transcript"),
    "input": ("instruction", "input", "prompt", "question", "query", "user_prompt", "request"),
    "output": (
        "output", "response", "reply", "answer", "completion", "model_response", "assistant",
        "chosen", "target",
    ),
    "system": ("system", "system_prompt", "system_string", "system_message"),
    "character": ("character", "self_description", "user_profile", "bio", "persona_text", "personality"),
    "split": ("split", "partition", "subset"),
    "turn": (
        "turn", "turn_id", "turn_idx", "turn_index", "turn_number", "message_index", "utterance_index",
        "position", "sequence",
    ),
    "id": ("message_id", "turn_id", "post_id", "comment_id", "id"),
    "parent": ("parent_id", "parent_message_id", "in_reply_to", "reply_to", "parent"),
    "time": TIME_NAMES,
}  # fmt: skip
_SPLITS: Final = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_FEW = 12
_SPEAKERS = "|".join((*USERS, *ASSISTANTS, *SYSTEMS))
_LABEL = re.compile(
    rf"(?:^[ \t]*(?:#{{2,3}}[ \t]*)?|#{{3}}[ \t]*)(?P<role>{_SPEAKERS})[ \t]*:", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Mapping:
    """The column of each part, "" where there is none (PARTS says what each is)."""

    user: str = ""
    session: str = ""
    time: str = ""
    messages: str = ""
    role: str = ""
    text: str = ""
    turn: str = ""
    parent: str = ""
    input: str = ""
    output: str = ""
    system: str = ""
    character: str = ""
    meta: str = ""
    split: str = ""
    assistant: str = ""
    dates: str = ""
    encoding: str = ""
    task: str = ""

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    @property
    def names_columns(self) -> bool:
        """Whether it says of any column what it is."""
        return any(getattr(self, name) for name in COLUMNS)

    @property
    def drops_system(self) -> bool:
        """Whether the system turns of the data are left out."""
        return self.system.lower() == "none"

    def as_json(self) -> dict[str, str]:
        """Return the parts that have a column, as the card holds them."""
        return {name: value for name, value in asdict(self).items() if value}


def read_mapping(given: Any) -> Mapping:
    """Return the mapping of "user=customer_id,time=created_at", of a list of such, or of a record by part.

    A file's name gives the mapping kept in it: a dataset's card.json, or an object of parts. Raises
    EngineError for a part nobody knows and for what is no pair.
    """
    if isinstance(given, Mapping):
        return given
    if isinstance(given, Named):
        return _checked(given)
    texts = [given] if isinstance(given, str) else list(given or ())
    found: dict[str, str] = {}
    for text in texts:
        found |= _kept(text) if _is_file(text) else _pairs(text)
    return _checked(found)


def _is_file(text: str) -> bool:
    return text.lower().endswith(".json") and "=" not in text


def _kept(name: str) -> dict[str, str]:
    try:
        held = json.loads(Path(name).expanduser().read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{name[:200]} cannot be read.", "Name a card.json, or write --map user=COLUMN"
        ) from error
    parts = held.get("mapping", held) if isinstance(held, dict) else None
    if not isinstance(parts, dict) or not parts:
        raise EngineError(f"{name[:200]} holds no mapping.", "Write it out: --map user=COLUMN,time=COLUMN")
    return parts


def _pairs(text: str) -> dict[str, str]:
    """A comma parts two pairs only where another part's name follows it: a column may hold one."""
    found: dict[str, str] = {}
    last = ""
    for piece in text.split(","):
        name, equals, value = piece.partition("=")
        if equals and (name.strip() in PARTS or not last):
            last = name.strip()
            found[last] = value.strip()
        elif last and not (equals and name.strip().isidentifier()):
            found[last] += f",{piece}"
        elif equals:
            found[name.strip()] = value.strip()
        elif piece.strip():
            raise EngineError(
                f"--map needs PART=COLUMN, not {piece[:60]!r}.", "Example: --map user=customer_id"
            )
    return found


def _checked(parts: Named[str, Any]) -> Mapping:
    for name, value in parts.items():
        if name not in PARTS:
            raise unknown_name("part of a mapping", str(name), PARTS)
        if not isinstance(value, str):
            raise EngineError(
                f"The part {name} of a mapping is no text.", "Name a column: --map user=customer_id"
            )
    found = Mapping(**{name: value.strip() for name, value in parts.items()})
    if found.dates not in ("", *WAYS):
        raise unknown_name("way to write dates", found.dates, WAYS)
    return found


# --- columns


def columns_of(rows: Iterable[Named[str, Any]]) -> tuple[str, ...]:
    """Return the columns of rows in the order met; those of an object in a column as "column.key"."""
    found: dict[str, None] = {}
    for row in rows:
        for key, value in row.items():
            found[key] = None
            if isinstance(value, dict):
                found.update(dict.fromkeys(f"{key}.{inner}" for inner in value))
    return tuple(found)


def value_at(row: Named[str, Any], column: str) -> Any:
    """Return what stands in a column ("" and a missing one: None), "a.b" within the object in a."""
    if not column:
        return None
    if column in row:
        value = row[column]
    else:
        outer, _, inner = column.partition(".")
        held = row.get(outer)
        value = held.get(inner) if isinstance(held, dict) else None
    return None if value == "" else value


def turns_in(value: Any) -> list[Any] | None:
    """Return the list that a cell holds, itself, as JSON text, or as a text in which each turn says who
    speaks; None where it holds none.
    """
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = _as_python_writes(value)
    if isinstance(value, str):
        return _labelled(value)
    return value if isinstance(value, list) else None


def _as_python_writes(text: str) -> Any:
    """Return the list of a text such as pandas makes of lists in a table of its own: quotes are single."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _labelled(text: str) -> list[Any] | None:
    """The turns of "Human: ... Assistant: ...", a label a line; "###" before one needs no line of its own.

    A text that ends in a label is the beginning of a reply that stands elsewhere.
    """
    found = list(_LABEL.finditer(text))
    if not found or text[: found[0].start()].strip():
        return None
    ends = [*(label.start() for label in found[1:]), len(text)]
    turns = [
        {"role": label["role"].lower(), "content": text[label.end() : end].strip()}
        for label, end in zip(found, ends, strict=True)
    ]
    said = {role_of(turn["role"]) for turn in turns}
    return turns if {"user", "assistant"} <= said and turns[-1]["content"] else None


def speakers_of(rows: Iterable[Named[str, Any]], mapping: Mapping) -> tuple[str, ...]:
    """Return the names under which turns are said, as they come."""
    keys = (mapping.role,) if mapping.role else ROLE_KEYS if mapping.messages else ()
    held = [
        turn
        for row in rows
        for turn in ((turns_in(value_at(row, mapping.messages)) or ()) if mapping.messages else (row,))
        if isinstance(turn, dict)
    ]
    names = [next((turn[key] for key in keys if isinstance(turn.get(key), str)), "") for turn in held]
    return tuple(dict.fromkeys(name for name in names if name))


def named_split(value: Any) -> str:
    """Return "train", "val" or "test" for what a row, or a file's name, says of its split; "" for nothing."""
    return _SPLITS.get(value.strip().lower(), "") if isinstance(value, str) else ""


def split_of(path: Path) -> str:
    """Return the split that a file's name tells ("train-00000-of-00003.parquet", "dev_questions.json"), else
    its folder's ("train/0000.parquet").
    """
    words = path.name.lower().replace("-", "_").replace(".", "_").split("_")
    return next((_SPLITS[word] for word in words if word in _SPLITS), named_split(path.parent.name))


# --- guessing


def complete(given: Mapping, samples: Sequence[Sample]) -> Mapping:
    """Return the mapping with a guess for every part that was not named.

    Raises EngineError for a named column that no row has.
    """
    rows = [row for sample in samples for row in sample.rows]
    columns = columns_of(rows)
    _refuse_unknown(given, rows, columns, ", ".join(sample.path.name for sample in samples))
    found = given
    for name in _guessed(given):
        free = [one for one in columns if one not in columns_used(found)]
        if guess := _guess(name, found, rows, free):
            found = replace(found, **{name: guess})
    return found


def _guessed(given: Mapping) -> tuple[str, ...]:
    """The parts to guess, in an order in which each knows what those before it took."""
    form = ("messages", "output", "input", "role", "text")
    rest = ("user", "parent", "turn", "session", "time", "system", "character", "split")
    return tuple(name for name in (*form, *rest) if not getattr(given, name))


def columns_used(found: Mapping) -> set[str]:
    """Return the columns, and keys of turns, that a mapping names."""
    return {one for name in COLUMNS for one in parts_of(found, name)}


def parts_of(mapping: Mapping, name: str) -> tuple[str, ...]:
    """Return the columns of a part: one, or for "input" and "meta" those between plus signs."""
    value = getattr(mapping, name)
    if not value:
        return ()
    return tuple(one for one in value.split("+") if one) if name in SEVERAL else (value,)


def _refuse_unknown(given: Mapping, rows: Sequence[Any], columns: Sequence[str], files: str) -> None:
    inner = {key for row in rows for key in _turn_keys(row, given)}
    for name in COLUMNS:
        for column in parts_of(given, name):
            within = name in ("role", "text") and column in inner
            if column in columns or column in PLACES or within or (name == "system" and given.drops_system):
                continue
            error = unknown_name(
                "column", column, (*columns, *inner) if name in ("role", "text") else columns
            )
            raise EngineError(f"{files}: {error.message[:-1]} (--map {name}={column}).", error.hint)


def _turn_keys(row: Named[str, Any], given: Mapping) -> set[str]:
    turns = turns_in(value_at(row, given.messages)) if given.messages else None
    cells = [turns] if turns is not None else [turns_in(value) for value in row.values()]
    return {key for cell in cells if cell for turn in cell if isinstance(turn, dict) for key in turn}


def _guess(name: str, found: Mapping, rows: Sequence[Named[str, Any]], free: Sequence[str]) -> str:
    """Return the column of a part, by its name and by what it holds; "" for none."""
    if name == "messages":
        return _messages_column(rows, free)
    if found.messages and name in ("role", "text", "input", "output"):
        return ""
    if name == "output" and (found.role or found.text):
        return ""
    if name == "input":
        return "+".join(_called("input", free)[:2]) if found.output else ""
    if found.output and name in ("role", "text"):
        return ""
    called = [one for one in _called(name, free) if any(value_at(row, one) is not None for row in rows)]
    if name == "role":
        called = [one for one in called if _is_role(one, rows)]
    if name == "text":
        called = called if found.role else []
    if name == "time":
        dated = [one for one in called if any(read_time(value_at(row, one)) is not None for row in rows)]
        # In words that nobody reads as a date: then they are said to be none, not passed over.
        called = dated or [one for one in called if any(isinstance(value_at(row, one), str) for row in rows)]
    if name in ("turn", "parent"):
        called = called if found.role and found.text else []
    ids = _called("id", free)
    if name == "parent":
        called = [one for one in called if any(_names_all(own, one, rows) for own in ids)]
    if name == "turn" and found.parent:
        called = [own for own in ids if _names_all(own, found.parent, rows)]
    if name == "split":
        called = [one for one in called if any(named_split(value_at(row, one)) for row in rows)]
    if name == "user":
        called = [one for one in called if all(_is_name(value_at(row, one)) for row in rows)]
    return called[0] if called else ""


def _names_all(column: str, parent: str, rows: Sequence[Named[str, Any]]) -> bool:
    """Whether a column holds an id for every row, and those that a column of parents names are among them."""
    ids = {str(value_at(row, column)) for row in rows}
    told = {str(value) for row in rows if (value := value_at(row, parent)) is not None}
    return len(ids) == len(rows) and not ids.isdisjoint(told)


def _called(name: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that are usually called so, the likeliest first; a nested one after the others."""
    names = _NAMES[name]
    ranked = [
        (names.index(last), "." in column, place, column)
        for place, column in enumerate(columns)
        if (last := _last_name(column if name != "user" else column.removesuffix(".id"))) in names
    ]
    return [column for *_, column in sorted(ranked)]


def _last_name(column: str) -> str:
    return column.rsplit(".", 1)[-1].strip().lower().replace(" ", "_").replace("-", "_")


def _messages_column(rows: Sequence[Named[str, Any]], free: Sequence[str]) -> str:
    """Return the column of turns of several speakers; of one, where no other column holds turns: those of a
    question and of its reply stand apart (TRL's prompt and completion).
    """
    held = {one: [turns for row in rows if (turns := _turns(value_at(row, one)))] for one in free}
    among = [one for one, found in held.items() if any(_speakers(turns) > 1 for turns in found)]
    alone = [one for one, found in held.items() if found and "." not in one]
    there = among or (alone if len(alone) == 1 else [])
    texts = [one for one in _called("messages", free) if any(_are_texts(value_at(row, one)) for row in rows)]
    return (_called("messages", there) or there or texts or [""])[0]


def _are_texts(value: Any) -> bool:
    """Whether a cell holds what two people say in turns, and no name (DailyDialog, UltraChat)."""
    turns = turns_in(value)
    return turns is not None and len(turns) > 1 and all(isinstance(turn, str) for turn in turns)


def _turns(value: Any) -> list[dict[str, Any]]:
    turns = turns_in(value)
    if not turns or not all(isinstance(turn, dict) for turn in turns):
        return []
    keys = {key for turn in turns for key in turn}
    return turns if keys & set(ROLE_KEYS) and keys & set(TEXT_KEYS) else []


def _speakers(turns: Sequence[Named[str, Any]]) -> int:
    named = {str(turn[key]) for turn in turns for key in ROLE_KEYS if turn.get(key) is not None}
    return sum(role_of(one) not in ("system", "tool") for one in named)


def _is_role(column: str, rows: Sequence[Named[str, Any]]) -> bool:
    """Whether a column says who speaks: a few names, one of them a known role or a name that comes again."""
    held = [value_at(row, column) for row in rows]
    if not held or not all(isinstance(value, str) for value in held):
        return False
    names = {value.strip().lower() for value in held}
    return bool(names & {*USERS, *ASSISTANTS, *SYSTEMS, *TOOLS}) and len(names) <= _FEW


def _is_name(value: Any) -> bool:
    if isinstance(value, float):  # whole numbers among which one is missing
        return value.is_integer()
    return value is None or isinstance(value, str | int) and not isinstance(value, bool)
