"""The process that does a run's work: `python -m engine work ROOT RUN ATTEMPT`.

Owns the answer to SIGTERM, and the run's last words: done.json, then its
state. Never opens the database and never touches another run.
"""

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.core import integrity
from engine.core.base_identity import refuse_other_base
from engine.core.errors import EngineError
from engine.core.locks import locked, queue_lock
from engine.core.paths import TornFile, Workspace, WorkspaceGone, anchor
from engine.core.secrecy import without_secrets
from engine.core.wording import spelled
from engine.runs import manifest
from engine.runs.context import Cancelled, RunContext
from engine.runs.launchers import local
from engine.runs.leases import Holder, lease
from engine.runs.processes import running
from engine.runs.registry import Registry, Step
from engine.runs.runfolder import (
    RunSpec,
    State,
    Status,
    cancel_requested,
    forget_work,
    read_spec,
    read_status,
)
from engine.runs.slots import is_gpu

GONE_HINT = "At its new place it reads as lost, and resumes from its last checkpoint."


def work(ws: Workspace, run_id: str, attempt: int, registry: Registry, *, do: Step | None = None) -> int:
    """Execute the run as attempt `attempt`; return the exit code (0 only when it succeeded).

    `do` takes the place of the spec's step. Does nothing when the run has meanwhile been given to a later
    attempt.
    """
    folder = ws.run_folder(run_id)
    if not folder.is_dir():
        print(WorkspaceGone(ws.root), flush=True)
        return 1
    with locked(folder / ".worker.lock", what=f"Run {run_id}"):
        with queue_lock(ws):
            status = read_status(folder)
        if status.state != "running" or status.attempt != attempt:
            print(f"Attempt {attempt} of {run_id} is no longer wanted.", flush=True)
            return 1
        return execute(ws, run_id, status, registry=registry, do=do)


def execute(
    ws: Workspace, run_id: str, status: Status | None = None, *, registry: Registry, do: Step | None = None
) -> int:
    """Run the step (or `do` in its place) in this process and write how it ended; return the exit code.

    Side effect: SIGTERM asks the step to stop while it runs.
    """
    spec = read_spec(ws.run_folder(run_id))
    if spec.run_id != run_id:  # its folder would be another run's
        raise EngineError(f"{run_id} cannot run here: its spec is that of {spec.run_id}.")
    with RunContext(ws, spec, status=status) as context:
        before = signal.signal(signal.SIGTERM, lambda *_: context.request_stop())
        asked = "; ".join(f"{name} {spelled(value)}" for name, value in spec.parameters.items())
        context.log(f"{run_id} starts: {spec.experiment} {spec.version}, seed {spec.seed}; {asked}")
        state, error, hint = _run_step(context, registry, do)
        signal.signal(signal.SIGTERM, before)
    if context.is_gone:
        print(f"The folder of {run_id} was moved or deleted, so the work ends. {GONE_HINT}", flush=True)
        return 1
    context.end(state, error=error, hint=hint)
    context.log(f"{run_id} {state}" + (f": {error}" if error else ""))
    if state == "succeeded":
        with suppress(EngineError, OSError):  # nobody waits for it: the next estimate is a little poorer
            registry.learn(ws, run_id)
    return 0 if state == "succeeded" else 1


def _run_step(
    context: RunContext, registry: Registry, do: Step | None
) -> tuple[State, str | None, str | None]:
    """Run the step and say how it ended. This is the worker's one boundary for exceptions."""
    run_id = context.spec.run_id
    try:
        with _device(context):
            _do(context, do or registry.step(context.workspace, context.spec))
    except Cancelled:
        hint = f"Resume it from its last checkpoint: python -m engine resume {run_id}"
        if cancel_requested(context.folder, context.attempt):
            return "cancelled", None, hint
        return "lost", "The process was stopped from outside, by SIGTERM.", hint
    except EngineError as error:
        return "failed", str(error).removesuffix(f"\n{error.hint}"), error.hint or None
    except Exception as error:  # noqa: BLE001 - the boundary: the traceback goes to the log
        if context.is_gone:
            return "lost", "Its folder has gone.", None
        print(without_secrets(traceback.format_exc()), file=sys.stderr, flush=True)
        summary = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return "failed", summary, f"The traceback is in the log: python -m engine logs {run_id}"
    return "succeeded", None, None


def _do(context: RunContext, step: Step) -> None:
    """Run the step, then write done.json; where a file of the run's own is torn, once more from the start."""
    workspace, run_id = context.workspace, context.spec.run_id
    _refuse_other_ground(workspace, context.spec)
    try:
        step(context)
        context.flush()
        manifest.write(workspace, run_id)
    except TornFile as torn:
        if not {context.folder, context.adapters}.intersection(torn.path.parents):
            raise
        context.log(f"{torn.path.name} is torn, so the run starts over.")
        forget_work(workspace, run_id)
        step(context)
        context.flush()
        manifest.write(workspace, run_id)


def _refuse_other_ground(ws: Workspace, spec: RunSpec) -> None:
    """Raise EngineError where data, base or a result it builds on is not what the run was launched on."""
    integrity.refuse_changed(ws, base=True)
    refuse_other_base(spec.base, spec.base_fingerprint)
    told = ws.read_config()["dataset"].get("data_hash")
    if told and spec.data_hash and told != spec.data_hash:
        raise EngineError(
            f"{spec.run_id} was launched on other data ({spec.data_hash[:12]}) than the workspace holds now.",
            "Launch the experiment again, on this data.",
        )
    for run_id in dict.fromkeys(spec.upstream.values()):
        integrity.refuse_changed_results(ws, run_id)


@contextmanager
def _device(context: RunContext) -> Iterator[None]:
    """Hold the lease on the run's GPU; while another holds it, wait and say who does."""
    if not is_gpu(context.device):
        yield
        return

    def waiting(who: Holder | None) -> None:
        context.progress(f"waiting for the GPU, held by {who.what if who else 'another process'}", 0, 1)
        if context.stop_requested():
            raise Cancelled

    with lease(context.device, what=context.spec.run_id, waiting=waiting):
        yield


def _replace_supervisor(ws: Workspace, run_id: str, attempt: int) -> None:
    """Start another supervisor where the first one was killed: somebody must move the queue on."""
    with suppress(EngineError, OSError):  # the next look at the queue moves it
        supervisor = read_status(ws.run_folder(run_id)).supervisor
        if supervisor is not None and not running(supervisor):
            local.start(ws, run_id, attempt)


def main(root: str, run_id: str, attempt: str, *, registry: Registry) -> int:
    """Do the run, then see that the queue goes on; return the exit code."""
    ws = Workspace(Path(root))
    for folder in (ws.root, ws.run_folder(run_id)):
        anchor(folder)
    exit_code = work(ws, run_id, int(attempt), registry)
    _replace_supervisor(ws, run_id, int(attempt))
    return exit_code
