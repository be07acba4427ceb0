"""No list of metrics but the registry: nothing else in the engine or the pages names one."""

from __future__ import annotations

import re

from engine.core.paths import REPOSITORY
from engine.domains.metrics import METRICS

# Where a metric's name has to stand all the same, and why.
NAMED = {
    "engine/results/comparing/criteria.py": "the success criteria as the study published them",
    "engine/results/imported/files.py": "what published result files are judged by",
    "engine/results/imported/protocol.py": "what published numbers are known to get wrong",
    "engine/results/trees/cluster-rescue.yaml": "what the study's expectations are of",
    "engine/results/trees/quick-wins.yaml": "the same",
    "engine/runs/answers.py": "older files, whose metrics had one version together",
    "engine/strategies/scorer.py": "what is compared where no encoder reads the replies",
}
EXAMPLES_OF_COMMANDS = re.compile(r"^\s*\"[a-z-]+ .*--metric \w+.*\",?$|examples=\(")


def test_no_other_file_names_a_metric() -> None:
    named = re.compile(rf"\b({'|'.join(METRICS)})\b")
    found = {}
    for room in ("engine", "pages"):
        for path in sorted((REPOSITORY / room).rglob("*")):
            place = str(path.relative_to(REPOSITORY))
            if path.suffix not in (".py", ".yaml", ".js") or place.startswith("engine/domains/"):
                continue
            lines = [
                line
                for line in path.read_text(encoding="utf-8").splitlines()
                if named.search(line) and not EXAMPLES_OF_COMMANDS.search(line)
            ]
            if lines and place not in NAMED:
                found[place] = lines
    assert found == {}


def test_every_exception_is_one() -> None:
    named = re.compile(rf"\b({'|'.join(METRICS)})\b")
    assert [place for place in NAMED if not named.search((REPOSITORY / place).read_text())] == []
