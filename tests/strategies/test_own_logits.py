"""A strategy of a user's own that acts on logits, over chats: what ships builds on any kind of effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.core import extensions
from engine.core.paths import Workspace
from engine.core.questions import Answer, Question, Reply, Speaker, new_id
from engine.data import load_dataset, prepare
from engine.domains.registry import domain_of
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.runs.runfolder import RunSpec
from engine.serve.answering import Answering, Stage
from engine.serve.conversation import can_answer
from tests import in_process
from tests.scores_for_tests import scores_of
from tests.test_recipes_domain import write_tickets

FILE = '''
"""What a persona's own adapter changes in the next token's logits, taken further than it goes."""

from typing import Annotated

from pydantic import Field

from engine.core.parameters import Parameters
from engine.strategies.spec import Experiment, Having, Traits, Upstream


class FurtherParameters(Parameters):
    """Whose logits are taken further, and how far."""

    over: Annotated[str, Having("personal")] = Field("per-persona", description="Whose experiment.")
    strength: float = Field(0.5, gt=0, le=10, description="How much of the difference is added.")


def step(context):
    from engine.lm.effects import Recipe, steered
    from engine.strategies.steps.made import made_by
    from engine.strategies.steps.scoring import score_variant

    over = made_by(context, "over")
    recipe = steered(over.recipe, Recipe(), context.spec.parameters["strength"])
    score_variant(context, "further", recipe, family="further")


STRATEGY = Experiment(
    name="further",
    title="Further than her adapter",
    family="further",
    group="Mine",
    question="Does it help to take further what her own adapter changes?",
    makes="further",
    step=step,
    parameters=FurtherParameters,
    needs=lambda given: (Upstream(role="over", experiment=given.over),),
    stages={"generate": 90.0, "score": 10.0},
    beside=("base", "unified"),
    traits=Traits(personal=True, readable=True, mixable=True, divides=("replies",)),
)
'''
SETTINGS = {"examples_per_persona": 1, "max_new_tokens": 4}
do = in_process.doing(SETTINGS)


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("further")
    ws, own = Workspace(root / "study"), root / "further.py"
    prepare(ws, dataset=write_tickets(root / "chats.jsonl"), base=str(tiny_base))
    assert domain_of(ws).name == "chat"
    own.write_text(FILE, encoding="utf-8")
    extensions.name_file(ws, own)
    extensions.approve(ws, own)
    do(ws, "per-persona", epochs=1)
    return ws


@pytest.fixture(scope="module")
def further(ws: Workspace) -> RunSpec:
    return do(ws, "further")


@pytest.mark.parametrize(
    ("experiment", "parameters", "variant"),
    [
        ("retrieval", {"over": "further", "k": 1}, "further+retrieval-1"),
        ("mixture", {"first": "further", "second": "base", "weights": 0.6}, "mixture-0.6-further-base"),
        ("placebo", {"of": "further"}, "further~placebo"),
        ("routing", {"among": ["unified", "further"], "margin": 0.0}, "routing"),
        (
            "context-steering",
            {"over": "further", "k": 1, "strengths": 1.5},
            "further+steered-retrieval-1-x1.5",
        ),
        ("further", {"over": "further"}, "further"),
    ],
)
def test_what_ships_builds_on_it(
    ws: Workspace, further: RunSpec, experiment: str, parameters: dict[str, Any], variant: str
) -> None:
    spec = do(ws, experiment, **parameters)
    rows = scores_of(ws, spec.run_id)
    assert further.run_id in spec.upstream.values()
    assert set(rows["variant"]) == {variant}
    assert len(rows) == 4 * 2  # personas, splits


def test_it_is_compared_chatted_with_and_shown_with_its_lineage(ws: Workspace, further: RunSpec) -> None:
    from engine.lm.load import load_base

    do(ws, "placebo", of="further")
    rows = {row["variant"]: row for row in compare_variants(ws, split="val")["rows"]}
    assert rows["further"]["above_placebo"]["placebo"] == "further~placebo"
    (own,) = [one for one in store.variants(ws) if one.run_id == further.run_id]
    assert can_answer(own)
    asked = Question(
        new_id(),
        load_dataset(ws).personas[0].persona_id,
        "It broke.",
        (Speaker(own.variant, own.variant_id, dict(own.recipe)),),
        max_new_tokens=4,
    )
    going = Answering(
        Stage(ws, load_base(further.base)), asked, Answer(asked.question_id, "answering", replies=(Reply(),))
    )
    while (told := going.step()).state not in ("done", "failed"):
        pass
    (reply,) = told.replies
    assert (told.state, reply.error) == ("done", None)
    first, second = reply.lineage["sides"]
    assert [one["experiment"] for one in first["adapters"]] == ["per-persona"]
    assert second["adapters"] == []
