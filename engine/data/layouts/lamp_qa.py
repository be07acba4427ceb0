"""LaMP-QA, recognised and refused: it holds questions and what a good answer speaks of, but no answer.

Owns the words of that refusal. A file that has answers beside is read by a mapping.
"""

from engine.core.errors import EngineError
from engine.data.assemble import Imported
from engine.data.layouts.layout import Sample
from engine.data.layouts.mapped import read_mapped
from engine.data.mapping import Mapping


def recognises(sample: Sample) -> bool:
    """Say whether rows are LaMP-QA's."""
    return {"question", "rubric_aspects", "profile"} <= sample.keys


def read_lamp_qa(samples: tuple[Sample, ...], mapping: Mapping) -> Imported:
    """Raise EngineError, unless a column of answers is named."""
    if mapping.output:
        return read_mapped(samples, mapping)
    raise EngineError(
        f"{samples[0].path.name} is LaMP-QA: it holds questions and the aspects of a good answer,"
        " but no answers.",
        "Add a column of answers and name it: --map user=id,input=question,output=COLUMN",
    )
