"""Where every process begins: `python -m engine`, the command line, and the processes of runs.

The one place that stands in no room and may know all: it tells runs, which know experiments by name only,
what these names mean. Imports as little as the process at hand needs.
"""

import signal
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from engine.runs.registry import Registry


def registry() -> "Registry":
    """What experiments mean, for the processes of runs."""
    return cast("Registry", _Later())


class _Later:
    """The registry of strategies, loaded when a process first asks it."""

    def __getattr__(self, name: str) -> Any:
        from engine.strategies.runnable import REGISTERED

        return getattr(REGISTERED, name)


def receive_keys() -> None:
    """Take the keys that this process was handed, and put them where libraries look for them."""
    from engine.core import keyring

    keyring.receive()
    keyring.use()


def main() -> None:
    """Start what the arguments name; the last words of a process are its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # to be seen as what ended it, and lost in no import
    match sys.argv[1:]:
        case ["supervise", root, run_id, attempt]:
            from engine.core import keyring
            from engine.core.paths import WorkspaceGone
            from engine.runs import supervisor
            from engine.runs.launchers.local import leave

            keyring.receive()
            try:
                supervisor.main(root, run_id, attempt, registry=registry())
            except WorkspaceGone as gone:
                print(gone, flush=True)
            leave(0)
        case ["work", root, run_id, attempt]:
            from engine.runs import worker
            from engine.runs.launchers.local import leave

            receive_keys()
            leave(worker.main(root, run_id, attempt, registry=registry()))
        case ["work-on-ray", root, run_id, attempt]:
            from engine.runs.launchers import ray_driver

            receive_keys()
            sys.exit(ray_driver.main(root, run_id, attempt, registry=registry()))
        case _:
            from engine.cli import run

            run()


if __name__ == "__main__":
    main()
