"""From a tree's YAML text to plain values, each mapping with the line it starts on.

Owns what YAML lets pass silently and a tree must not hold: keys given twice, aliases (which can loop or swell
without end), depth without end. Knows nothing of what the values mean.
"""

from typing import Any

import yaml

from engine.core.errors import Fault
from engine.core.limits import limits

_OPENS = (
    *(yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken),
    *(yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken),
)
_CLOSES = (yaml.BlockEndToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)


class Located(dict[str, Any]):
    """A mapping that remembers its line (1-based), and the line of each of its keys."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


def read(text: str, *, file: str) -> tuple[Any, list[Fault]]:
    """Return the values of one YAML document and every fault of its form; no values when it is no YAML."""
    longest = limits().tree_characters
    if len(text) > longest:
        return None, [Fault(file, 0, f"more than {longest:,} characters: this is no tree")]
    try:
        if refused := _refused(text, file):
            return None, refused
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            faults: list[Fault] = []
            return None if root is None else _plain(loader, root, file, faults), faults
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        return None, [Fault(file, mark.line + 1 if mark else 0, f"not valid YAML: {what}")]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return None, [Fault(file, 0, f"not valid YAML: {str(error).splitlines()[0]}")]


def _refused(text: str, file: str) -> list[Fault]:
    """The faults to be found before the text is built up: aliases, and depth, which takes long to read."""
    faults, depth = [], 0
    for token in yaml.scan(text):
        if isinstance(token, yaml.AliasToken):
            faults.append(Fault(file, _line(token), "aliases (*) are not allowed"))
        depth += isinstance(token, _OPENS) - isinstance(token, _CLOSES)
        if depth > limits().nesting:
            return [*faults, Fault(file, _line(token), f"nested more than {limits().nesting} deep")]
    return faults


def _plain(loader: yaml.SafeLoader, node: yaml.Node, file: str, faults: list[Fault]) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, entry, file, faults) for entry in node.value]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    made = Located(_line(node))
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        if key in made:
            faults.append(Fault(file, _line(key_node), f"{key}: given twice"))
        made[key] = _plain(loader, value_node, file, faults)
        made.lines[key] = _line(key_node)
    return made


def _line(marked: Any) -> int:
    return int(marked.start_mark.line) + 1
