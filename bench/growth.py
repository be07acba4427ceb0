"""How this engine's cost grows with the personas and with what each has said; ours alone.

    .venv/bin/python -m engine bench growth             prints the table and the exponents
    .venv/bin/python -m engine bench growth --write     draws docs/growth.svg too
    .venv/bin/python -m engine bench growth --base 0.5b --axes personas      by personas alone, for a GPU

Training: one epoch of one LoRA (rank 8 on q and v) a persona. Answering: ten replies of up to 32 tokens a
persona. Every point runs in a process of its own, so that its peak of memory is its own. The exponent is the
slope of log seconds over log size: 1 is a cost in proportion.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.ground import BASES, ROOT, Clock, load, peak_gb, persona_rows

PERSONAS = (20, 200, 2000)
TOKENS = (1000, 2000, 4000, 8000)
MIDDLE = 100
TOKENS_A_DIALOGUE = 315
FIGURE = ROOT / "docs" / "growth.svg"


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: `axis` is what was varied, `work` the tokens passed over or the replies made."""

    task: str
    axis: str
    size: int
    personas: int
    seconds: float
    work: int
    peak_gb: float


def train(base_name: str, axis: str, size: int, personas: int, tokens: int) -> Point:
    """Train one adapter a persona for one epoch on about `tokens` tokens each."""
    from engine.lm.forms import LoraForm
    from engine.lm.shape import LoraShape
    from engine.lm.train import Lesson, Trainer, TrainSettings

    base, clock = load(base_name, "fp32" if base_name == "embedded" else "bf16"), Clock()
    rows = persona_rows(base, personas, max(1, round(tokens / TOKENS_A_DIALOGUE)))
    settings = TrainSettings(epochs=1)
    lessons = [Lesson(str(number), mine) for number, mine in enumerate(rows)]
    with clock.timed():
        Trainer(
            base.model,
            LoraForm(base.model, LoraShape(dropout=0.0, target_modules=["q_proj", "v_proj"])),
            settings,
            lessons,
            pad_id=0,
        ).fit()
    work = sum(len(row) for mine in rows for row in mine)
    return Point("train", axis, size, personas, clock.seconds[0], work, peak_gb())


def answer(base_name: str, axis: str, size: int, personas: int, _: int) -> Point:
    """Answer ten prompts a persona, each with the persona's own adapter."""
    from bench.eval import LAYERS, NEW, prompts_of
    from engine.lm.adapters import fresh, targets
    from engine.lm.bank import change_of
    from engine.lm.generate import generate
    from engine.lm.shape import LoraShape

    base, clock = load(base_name, "fp32" if base_name == "embedded" else "bf16"), Clock()
    asked = prompts_of(base, personas, 10)
    modules, form = targets(base.model, LAYERS), LoraShape(target_modules=LAYERS)
    changes = [change_of([(fresh(modules, form, seed=number), 1.0)]) for number in range(personas)]
    own = [changes[number] for number, _ in asked]
    with clock.timed():
        generate(base.model, base.tokenizer, [ids for _, ids in asked], changes=own, max_new_tokens=NEW)
    return Point("answer", axis, size, personas, clock.seconds[0], len(asked), peak_gb())


TASKS = {"train": train, "answer": answer}


def plan() -> list[tuple[str, str, int, int, int]]:
    """Return (task, axis, size, personas, tokens) of every point."""
    points = [("train", "personas", size, size, TOKENS[0]) for size in PERSONAS]
    points += [("train", "tokens a persona", size, MIDDLE, size) for size in TOKENS]
    return points + [("answer", "personas", size, size, 0) for size in PERSONAS]


def measured(base_name: str, point: tuple[str, str, int, int, int]) -> Point:
    """Measure one point in a process of its own."""
    command = [sys.executable, __file__, "--base", base_name, "--point", json.dumps(point)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{point} failed:\n{done.stderr[-3000:]}")
    found = Point(**json.loads(done.stdout.splitlines()[-1]))
    print(f"  {found.task} {found.axis} {found.size}: {found.seconds:.1f} s", file=sys.stderr, flush=True)
    return found


def exponent(points: list[Point]) -> float:
    """Return the least-squares slope of log seconds over log size."""
    x = [math.log(point.size) for point in points]
    y = [math.log(point.seconds) for point in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return over / sum((a - mean_x) ** 2 for a in x)


def figure(points: list[Point]) -> Any:
    """Return the growth of seconds, both axes logarithmic, a panel for each thing that was varied."""
    import altair as alt
    import pandas as pd

    def panel(task: str, axis: str) -> Any:
        mine = [point for point in points if (point.task, point.axis) == (task, axis)]
        title = f"{'Training' if task == 'train' else 'Answering'}, by {axis} (exponent {exponent(mine):.2f})"
        sizes = alt.Axis(values=[point.size for point in mine], grid=False)
        drawn = alt.Chart(pd.DataFrame([asdict(point) for point in mine]), title=title).encode(
            x=alt.X("size:Q", title=axis, scale=alt.Scale(type="log"), axis=sizes),
            y=alt.Y("seconds:Q", title="seconds", scale=alt.Scale(type="log"), axis=alt.Axis(tickCount=4)),
        )
        label = drawn.mark_text(dy=-12).encode(text=alt.Text("seconds:Q", format=".3~s"))
        return (drawn.mark_line(point=True) + label).properties(width=210, height=200)

    return alt.hconcat(
        panel("train", "personas"), panel("train", "tokens a persona"), panel("answer", "personas")
    )


def main() -> None:
    """Measure every point and print the table."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    made.add_argument("--write", action="store_true", help="Draw docs/growth.svg.")
    made.add_argument("--base", choices=BASES, default="embedded")
    made.add_argument("--axes", nargs="+", help="What is varied: personas, tokens; by default both.")
    made.add_argument("--point", help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.point:
        task, *rest = json.loads(options.point)
        print(json.dumps(asdict(TASKS[task](options.base, *rest))))
        return
    varied = options.axes or ("personas", "tokens")
    points = [measured(options.base, point) for point in plan() if point[1].partition(" ")[0] in varied]
    if options.write:
        figure(points).save(FIGURE)
    slopes = {
        f"{task} by {axis}": exponent([p for p in points if (p.task, p.axis) == (task, axis)])
        for task, axis in dict.fromkeys((point.task, point.axis) for point in points)
    }
    if options.json:
        print(json.dumps({"points": [asdict(point) for point in points], "exponents": slopes}, indent=2))
        return
    print("| task | varied | size | personas | seconds | a second | peak GB |\n|---|---|---|---|---|---|---|")
    for point in points:
        unit = "tokens" if point.task == "train" else "replies"
        rate = f"{point.work / point.seconds:,.0f} {unit}"
        sizes = f"{point.axis} | {point.size:,} | {point.personas:,}"
        print(f"| {point.task} | {sizes} | {point.seconds:.1f} | {rate} | {point.peak_gb:.2f} |")
    for name, slope in slopes.items():
        print(f"\nExponent, {name}: {slope:.2f}")


if __name__ == "__main__":
    main()
