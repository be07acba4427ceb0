"""Every declared experiment keeps the promises that forms, plans and progress bars rely on."""

from __future__ import annotations

import ast
import dis
import inspect
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY
from engine.strategies import registry
from engine.strategies.spec import EvaluationSettings, Experiment, Parameters, StepOf, validate

ALL = list(registry.EXPERIMENTS.values())
FORMS = [*dict.fromkeys(entry.parameters for entry in ALL), EvaluationSettings]


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.name)
def test_an_entry_is_complete(entry: Experiment) -> None:
    assert entry.question.endswith("?")
    assert entry.makes
    assert all(weight > 0 for weight in entry.stages.values())
    assert validate(entry, {}).changed == ()
    known = set(registry.EXPERIMENTS)
    assert set(entry.beside) <= known
    assert {need.experiment for need in entry.needs(entry.parameters())} <= known
    assert not set(entry.fixed) & set(entry.parameters.model_fields)
    assert not set(entry.parameters.model_fields) & set(EvaluationSettings.model_fields)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_parameter_is_described_and_bounded(form: type[Parameters]) -> None:
    for name, field in form.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        is_number = field.annotation in (int, float)
        assert field.metadata or not is_number, f"{name} has no bounds"


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.name)
def test_the_step_exists_and_reports_only_declared_stages(entry: Experiment) -> None:
    step = entry.step.loaded() if isinstance(entry.step, StepOf) else entry.step
    imported = {one.argval for one in dis.get_instructions(step) if one.opname == "IMPORT_NAME"}
    files = {inspect.getsourcefile(step), *(f"{name.replace('.', '/')}.py" for name in imported)}
    steps = {
        str(REPOSITORY / name) for name in files if name and "strategies" in name and "scoring" not in name
    }
    told = {
        stage for path in steps for stage in stages_told(ast.parse(Path(path).read_text(encoding="utf-8")))
    }
    assert told <= set(entry.stages)


def stages_told(tree: ast.Module) -> set[object]:
    """The first arguments of all `.progress("...", ...)` calls."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    progress = [
        call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "progress"
    ]
    return {call.args[0].value for call in progress if call.args and isinstance(call.args[0], ast.Constant)}


def test_every_fault_is_told_at_once() -> None:
    given = {"rnak": 4, "epochs": 0, "learning_rate": "fast", "splits": ["tset"], "max_new_tokens": 64}
    with pytest.raises(EngineError) as caught:
        validate(registry.get("unified"), given)
    message = caught.value.message
    assert "rnak: there is no such parameter; did you mean 'rank'?" in message
    assert "epochs" in message
    assert "learning_rate" in message
    assert "splits.0" in message
    assert "max_new_tokens" not in message
    assert "rank" in caught.value.hint


def test_a_bare_value_makes_a_list() -> None:
    valid = validate(registry.get("retrieval"), {"k": 3})
    assert valid.parameters.model_dump()["k"] == [3]
    assert valid.changed == ("k",)


def test_an_unknown_experiment_gets_the_nearest_name() -> None:
    with pytest.raises(EngineError) as caught:
        registry.get("unifed")
    assert caught.value.hint == "Did you mean 'unified'?"


ORDERED = {"translators"}
"""Lists whose order means something: there and back."""


@pytest.mark.parametrize("entry", registry.EXPERIMENTS.values(), ids=lambda entry: entry.name)
def test_every_list_of_parameters_is_a_set_in_one_order_or_means_its_order(entry: Experiment) -> None:
    for form in (entry.parameters, EvaluationSettings):
        for name, field in form.model_fields.items():
            default = field.get_default(call_default_factory=True)
            if not isinstance(default, list) or name in ORDERED:
                continue
            turned = validate(entry, {name: [*reversed(default), *default]})
            settings = turned.settings if form is EvaluationSettings else turned.parameters
            assert getattr(settings, name) == default, f"{entry.name}.{name}: is it a SetOf?"


def test_there_is_one_zero_and_one_form_of_a_number() -> None:
    entry = registry.get("retrieval")
    assert repr(validate(entry, {"recency": -0.0}).parameters.recency) == "0.0"  # type: ignore[attr-defined]
    assert validate(entry, {"recency": 1, "k": [3, 1.0]}) == validate(entry, {"recency": 1.0, "k": [1, 3]})
