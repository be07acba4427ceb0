"""Who a process is: a pid alone is never enough."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

from engine.runs.processes import identity, running, signal_group, wait_until_gone


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)


def test_this_process_runs_and_knows_itself() -> None:
    me = identity()
    assert me is not None
    assert me.pid == os.getpid()
    assert running(me)


def test_a_reused_pid_or_another_boot_is_another_process() -> None:
    me = identity()
    assert me is not None
    assert not running(replace(me, start_ticks=me.start_ticks + 1))
    assert not running(replace(me, boot_id="00000000-0000-0000-0000-000000000000"))
    assert not running(None)


def test_a_zombie_does_not_run() -> None:
    child = sleeper()
    who = identity(child.pid)
    assert running(who)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped
    assert identity(child.pid) == who
    assert not running(who)
    child.wait()
    assert identity(child.pid) is None


def test_a_signal_ends_the_whole_group_and_never_a_stranger() -> None:
    child = sleeper()
    who = identity(child.pid)
    assert who is not None
    assert not signal_group(replace(who, start_ticks=1), signal.SIGKILL)
    assert child.poll() is None
    assert not wait_until_gone(who, timeout_seconds=0.1)
    assert signal_group(who, signal.SIGKILL)
    assert wait_until_gone(who, timeout_seconds=400)
    assert child.wait() == -signal.SIGKILL


def test_a_command_name_with_spaces_and_parentheses_is_read_rightly() -> None:
    rename = "import ctypes, time; ctypes.CDLL(None).prctl(15, b') S 1 (x', 0, 0, 0)"
    script = f"{rename}; print(1, flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    who = identity(child.pid)
    assert who is not None
    assert running(who)
    assert who.start_ticks > 0
    child.kill()
    child.wait()
    child.stdout.close()
