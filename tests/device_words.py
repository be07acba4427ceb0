"""The words that only the domain of smart homes may know."""

from __future__ import annotations

import re

WORDS = re.compile(
    r"\b(?:tvs?|televisions?|a/?c|air[- ]?con\w*|lights|lamps?|speakers?|security|cameras?|thermostats?"
    r"|heat(?:er|ing)|cooling|brightness|volume|fan(?:[ _]speed)?|armed|smart[-_ ]?homes?|house(?:hold)?s?"
    r"|weather\w*|outdoor\w*|sun_phase|device_\w+|param_(?:precision|recall|f1)|parameter f1|numerical_\w+"
    r"|exact_action_match|(?:ac|room|indoor)[ _.]temperature|temperature (?:to|at|of) \d\d)\b",
    re.IGNORECASE,
)
