"""The table of layouts, from a look at small files in each of them: what is recognised, and what is scored.

Owns the one command of each layout. Who is found, the order, the domain and its metrics are what `init
--preview` says of the files, so the table cannot say what an import does not do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.core.paths import Workspace
from engine.data.preview import preview
from engine.data.worlds import write_world
from engine.domains.metrics import METRICS
from engine.domains.registry import find_domain
from tools import layouts

_HEAD: Final = (
    *("layout", "recognised by", "a persona is", "found", "order in time", "domain", "scored by", "command"),
)
_ORDERS: Final = {"file": "not known", "the file alone": "not known"}
PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "your-data.md"
BEGIN, END = "<!-- python -m tools layouts --write -->", "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Told:
    """What is said by hand of a layout: how it is told from others, who a persona is, and its one command."""

    title: str
    told_by: str
    persona: str
    command: str
    options: Mapping[str, Any] = field(default_factory=dict)


_ROWS: Final[Mapping[str, Told]] = {
    "flattened": Told(
        "one dialogue a line", "`persona_id`, `messages`", "`persona_id`", "init --dataset dialogues.jsonl"
    ),
    "edgewise": Told(
        "EdgeWisePersona", "`sessions.jsonl`, and beside it `characters` and `routines`", "the line",
        "init --dataset FOLDER",
    ),
    "prism": Told(
        "PRISM", "`conversation_id`, `user_id`, `conversation_history`",
        "`user_id`; the survey beside is the character", "init --dataset PRISM_FOLDER",
    ),
    "openai": Told(
        "OpenAI chat", "`messages` of `role` and `content`", "a column you name, or one called so",
        "init --dataset chats.jsonl --map user=account",
    ),
    "sharegpt": Told(
        "ShareGPT", "`conversations` of `from` and `value`", "the same",
        "init --dataset sharegpt.json --map user=owner", {"map": "user=owner"},
    ),
    "alpaca": Told(
        "Alpaca", "`instruction`, `output`", "the same", "init --dataset alpaca.json --map user=author",
        {"map": "user=author"},
    ),
    "locomo": Told(
        "LoCoMo", "`session_1`, `session_2` ...", "each speaker", "init --dataset locomo.json"
    ),
    "msc": Told("MSC", "`previous_dialogs`", "each speaker", "init --dataset FOLDER"),
    "lamp": Told(
        "LaMP", "`*_questions.json`, `*_outputs.json` beside", "`user_id`, else the question",
        "init --dataset LaMP_4/dev_questions.json --task lamp-4", {"task": "lamp-4"},
    ),
    "oppu": Told(
        "OPPU", "`user_id`, `profile`, `query`", "`user_id`; `profile_user_N` is the character",
        "init --dataset FOLDER --task lamp-3", {"task": "lamp-3"},
    ),
    "longlamp": Told(
        "LongLaMP", "`input`, `output`, `profile`", "`name`, `author` or `reviewerId`",
        "init --dataset LongLaMP/LongLaMP:product_review_user",
    ),
    "personamem": Told(
        "PersonaMem", "`questions_*.csv`, `shared_contexts_*.jsonl` beside", "`persona_id`",
        "init --dataset FOLDER",
    ),
    "lamp-qa": Told("LaMP-QA", "`question`, `rubric_aspects`", "", ""),
    "tickets": Told(
        "any table", "a dialogue, a turn, or a question with its reply a row", "a column",
        "init --dataset tickets.csv --map ...", {"map": "assistant=Agent Smith"},
    ),
    "headlines": Told(
        "headlines, made", "`world:headlines`", "an author", "init --dataset world:headlines"
    ),
}  # fmt: skip


def table() -> str:
    """Return the table in Markdown: a row a layout."""
    rows = [_HEAD, ("---",) * len(_HEAD)]
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        for name, row in _ROWS.items():
            command = f"`{row.command}`" if row.command else ""
            seen = _seen(Path(folder), name, row.options)
            rows.append((row.title, row.told_by, row.persona, *seen, command))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write() -> None:
    """Put the table into docs/your-data.md, between its marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", encoding="utf-8")


def _write(folder: Path) -> None:
    layouts.write(folder)
    write_world(folder / "edgewise", name="default", personas=layouts.PEOPLE, dialogues=layouts.SESSIONS)
    (folder / "flattened").mkdir()
    (folder / "flattened" / "dialogues.jsonl").write_bytes(layouts.flattened())


def _seen(folder: Path, name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    asked = "world:headlines" if name == "headlines" else folder / name
    sizes: dict[str, Any] = (
        {"personas": layouts.PEOPLE, "dialogues": layouts.SESSIONS} if name == "headlines" else {}
    )
    found = preview(Workspace(folder / "none"), dataset=asked, **options, **sizes)
    if found.refused:
        return ("refused", "", "", found.refused.partition(": ")[2])
    told = found.outcome
    domain = find_domain(None, told["domain"])
    told_by = [METRICS[one] for one in domain.metrics]
    labels = [one.label for one in told_by if one.short and one.higher_is_better is not None]
    order = _ORDERS.get(told["order"]["by"], told["order"]["by"])
    return (f"{told['personas']} people", order, domain.name, ", ".join(labels))
