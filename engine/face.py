"""Persona Lab from Python: open a workspace, run, compare as a table, ask a variant.

    import engine

    study = engine.create("my-study", dataset="world:default", personas=10, dialogues=20)
    study.run("unified")
    study.run("hybrid", epochs=2)
    study.compare()                        # a DataFrame, on validation
    study.ask("hybrid", "persona_001", "It's dark in here.")

A thin face over what the command line does, with the same names. Runs are processes of their own and go on
when this one ends. Errors are `engine.EngineError`: what, and in `hint` what to do.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Unpack

import pandas as pd
from pydantic import ValidationError, validate_call

from engine.core.errors import EngineError as EngineError
from engine.core.errors import unknown_name
from engine.core.paths import Workspace, open_workspace
from engine.data.choices import Options
from engine.data.prepare import prepare
from engine.domains import metrics
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.results.variants import Variant, resolved
from engine.runs import jobs
from engine.runs.records import scan
from engine.show import run_words
from engine.strategies import registry
from engine.strategies.plan import plan
from engine.strategies.scorer import settle

_COLUMNS = (
    *("variant", "family", "mean", "delta", "ci_low", "ci_high", "p_holm", "verdict", "n_paired"),
    *("wins", "ties", "losses", "run_id", "variant_id"),
)
_SPLITS = ("val", "test", "unseen")
P = ParamSpec("P")
Answer = TypeVar("Answer")


def _checked(call: Callable[P, Answer]) -> Callable[P, Answer]:
    """Refuse in words what a call does not take: options nobody knows, values of another type."""
    checked = validate_call(config={"arbitrary_types_allowed": True})(call)

    @functools.wraps(call)
    def called(*given: P.args, **named: P.kwargs) -> Answer:
        try:
            return checked(*given, **named)
        except ValidationError as error:
            raise _refused(call, error) from None

    return called


def _refused(call: Callable[..., Any], error: ValidationError) -> EngineError:
    first, where, named = error.errors()[0], f"{call.__name__}()", list(inspect.signature(call).parameters)
    place, see = first["loc"][0], f"See: help(engine.{call.__qualname__})"
    name = named[place] if isinstance(place, int) and place < len(named) else str(place)
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [*named, *Options.__annotations__] if "options" in named else named
        return unknown_name(
            f"option of {where}", name, [one for one in known if one not in ("self", "options")]
        )
    if first["type"].startswith("missing"):
        return EngineError(f"{where} needs {name}.", see)
    why = first["msg"][:1].lower() + first["msg"][1:]
    return EngineError(f"{where} cannot take {first['input']!r} for {name}: {why}.", see)


@dataclass(frozen=True, slots=True)
class Study:
    """One workspace. Files and numbers are fractions, as everywhere outside screens."""

    workspace: Workspace

    @property
    def experiments(self) -> list[str]:
        """The names of what can be run."""
        return list(registry.experiments(self.workspace))

    @property
    def variants(self) -> list[str]:
        """The names of what is scored, compared or asked, in the order of their making."""
        return [one.variant for one in store.variants(self.workspace)]

    @_checked
    def run(
        self,
        experiment: str,
        *,
        seed: Any = None,
        upstream: Mapping[str, str] | None = None,
        wait: bool = True,
        **parameters: Any,
    ) -> str:
        """Launch an experiment and what it needs; return its run id, by default after its end.

        The same thing launched twice is the run that exists. Raises EngineError for an unknown experiment or
        parameter, and when a run that was waited for has not succeeded.
        """
        try:
            drawn = None if seed is None else index(seed)  # NumPy's whole numbers too
        except TypeError:
            raise EngineError(f"A seed is a whole number, not {seed!r}.") from None
        planned = plan(self.workspace, experiment, parameters, seed=drawn, upstream=upstream or {})
        submitted = jobs.submit(self.workspace, planned)
        if wait:
            self.wait(*(one.record.run_id for one in submitted))
        return planned.target.run_id

    @_checked
    def wait(self, *run_ids: str) -> None:
        """Wait for the end of these runs, of all without names. Raises EngineError for one that failed."""
        wanted = run_ids or tuple(one.run_id for one in scan(self.workspace))
        for record in jobs.wait(self.workspace, wanted):
            if record.state != "succeeded":
                raise run_words.failure(record)

    def runs(self) -> pd.DataFrame:
        """Return one row a run: run_id, experiment, state, seconds, parameters."""
        rows = [
            {
                "run_id": one.run_id,
                "experiment": one.spec.experiment if one.spec else "",
                "state": one.state,
                "seconds": round(one.status.seconds, 3),
                "parameters": dict(one.spec.parameters) if one.spec else {},
            }
            for one in jobs.list_runs(self.workspace)
        ]
        return pd.DataFrame(rows, columns=["run_id", "experiment", "state", "seconds", "parameters"])

    @_checked
    def compare(
        self,
        *,
        split: str = "val",
        metric: str | None = None,
        reference: str | None = None,
        variants: Sequence[str] = (),
    ) -> pd.DataFrame:
        """Return the leaderboard, the reference first: means, differences, 95 % intervals, p (Holm), verdict.

        On validation by default; split="test" is a look at test, which is recorded. What else the comparison
        says (warnings, noise, criteria) is in `DataFrame.attrs`.
        """
        _refuse_unknown(split)
        found = compare_variants(
            self.workspace, split=split, metric=metric, reference=reference, variants=list(variants)
        )
        rows = found.pop("rows")
        columns = [name for name in _COLUMNS if any(name in row for row in rows)]
        made = pd.DataFrame([{name: row.get(name) for name in columns} for row in rows], columns=columns)
        made.attrs.update(found)
        return made

    @_checked
    def scores(self, *, split: str = "val", metric: str | None = None) -> pd.DataFrame:
        """Return one row a variant and example: variant, persona_id, example_id, value.

        `metric` is by default the study's primary one.
        """
        _refuse_unknown(split)
        chosen = metric or metrics.primary(self.workspace).name
        return store.score_table(self.workspace, metric=chosen, split=split)

    @_checked
    def ask(
        self,
        variant: str,
        persona: str,
        message: str,
        *,
        meta: Mapping[str, Any] | None = None,
        max_new_tokens: int = 64,
    ) -> str:
        """Return a variant's greedy reply to a message of a persona; the base is loaded once a process."""
        from engine.lm.respond import respond  # loads the model code

        recipe = self._variant(variant).recipe
        answered = respond(
            self.workspace,
            persona_id=persona,
            recipe=recipe,
            message=message,
            meta=meta,
            max_new_tokens=max_new_tokens,
        )
        return str(answered["reply"])

    @_checked
    def export(self, variant: str, folder: str | Path, *, merged: str | None = None) -> Path:
        """Write a variant as PEFT folders with a card into a new folder; return it."""
        from engine.serve.export import export  # loads the model code

        into = Path(folder).expanduser()
        return export(self.workspace, self._variant(variant), into, merged=merged).folder

    def _variant(self, name: str) -> Variant:
        return resolved(name, store.variants(self.workspace))


@_checked
def create(folder: str | Path, *, dataset: str | Path, **options: Unpack[Options]) -> Study:
    """Make a workspace in `folder` from a dataset, a path, a hub id or "world:NAME", and open it.

    `options` are those of `init`: split, base, domain, personas, dialogues, seed, keep_good, force. Raises
    EngineError when the data cannot be read or the folder holds another study.
    """
    ws = Workspace(Path(folder).expanduser().absolute())  # runs are processes that stand elsewhere
    prepare(ws, dataset=dataset, **options)
    settle(ws)
    return Study(ws)


@_checked
def open(folder: str | Path = ".") -> Study:
    """Open the workspace in `folder`. Raises EngineError when there is none."""
    ws = open_workspace(Path(folder).expanduser().absolute())
    ws.read_config()
    return Study(ws)


def _refuse_unknown(split: str) -> None:
    if split not in _SPLITS:
        raise unknown_name("split", split, _SPLITS)
