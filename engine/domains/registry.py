"""Which domains there are, and which one a workspace's data belongs to.

Owns the built-in list, a user's own (a file in the workspace's settings that defines DOMAIN), and the meaning
of a workspace that names none: those made before domains are smart homes, prompted and scored as they were.
"""

from dataclasses import replace
from typing import Final

from engine.core import extensions
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.core.types import Dataset
from engine.domains.chat import CHAT
from engine.domains.domain import Domain
from engine.domains.smart_home import SMART_HOME
from engine.domains.tasks import LABELS, RATINGS, TASKS

BUILT_IN: Final = (SMART_HOME, CHAT, TASKS, LABELS, RATINGS)
_OLDER: Final = replace(SMART_HOME, shows_all=True, version="")
_SHA_DIGITS = 12


def domains(ws: Workspace | None = None) -> dict[str, Domain]:
    """Return every domain by name, the built-in ones first, then those of the workspace's approved files.

    Raises EngineError for a file whose DOMAIN is none, or has the name of another.
    """
    found = {domain.name: domain for domain in BUILT_IN}
    for extension, defined in extensions.defined(ws, "DOMAIN") if ws else ():
        with extensions.held(extension):
            if not isinstance(defined, Domain):
                raise EngineError(
                    f"{extension.path}: DOMAIN is a {type(defined).__name__}.",
                    "Make it a Domain: from engine.domains.domain import Domain",
                )
            if defined.name in found:
                raise EngineError(
                    f"{extension.path}: there is a domain {defined.name!r} already.",
                    "Give yours another name.",
                )
            # Its version is its text: whatever changes in the file may change a prompt or a score.
            found[defined.name] = replace(defined, version=extension.sha256[:_SHA_DIGITS])
    return found


def find_domain(ws: Workspace | None, name: str) -> Domain:
    """Return the domain named `name`. Raises EngineError when there is none, or its file may not run."""
    found = domains(ws)
    if name in found:
        return found[name]
    for extension in extensions.waiting(ws) if ws else ():
        raise extension.refusal()
    for fault in extensions.failing(ws) if ws else ():
        raise fault
    raise unknown_name("domain", name, found)


def domain_of(ws: Workspace) -> Domain:
    """Return the domain of a workspace. Raises EngineError when `init` has not run here."""
    config = ws.read_config()
    name = config.get("domain")
    found = _OLDER if name is None else find_domain(ws, str(name))
    return found.where_nothing_acts() if config["dataset"].get("acts") is False else found


def recognise(ws: Workspace, dataset: Dataset) -> Domain:
    """Return the domain that knows the dataset as its own, a user's own before the others; else chat."""
    return next((one for one in reversed(domains(ws).values()) if one.recognises(dataset)), CHAT)
