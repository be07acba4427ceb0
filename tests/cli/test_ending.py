"""What is told to end, ends: also where what that raises is swallowed, as it is in the middle of imports."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from engine.core.paths import REPOSITORY

PROGRAM = """
import signal, sys, time, weakref
from engine.cli import ending

class Thing:
    pass

def told():
    thing = Thing()
    kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.{number}))
    del thing  # what such a callback raises goes nowhere
    print("swallowed", flush=True)
    time.sleep(600)

ending.listen()
"""
TIDIES = """
try:
    try:
        told()
    finally:
        time.sleep(1)
        print("tidied", flush=True)
except KeyboardInterrupt:
    sys.exit(128 + ending.heard())
"""
EVALUATES = """
try:
    eval("told()")  # of a mere KeyboardInterrupt that passes here, Python makes SIGINT of any exit code
except KeyboardInterrupt:
    print("tidied", flush=True)
    sys.exit(128 + ending.heard())
"""
IMPATIENT = """
try:
    told()
except KeyboardInterrupt:
    print("tidied", flush=True)
    ending.heard()
    signal.raise_signal(signal.{number})
"""
IN_A_TERMINAL = """
import signal, sys
signal.signal(signal.SIGHUP, signal.{before})
from engine.cli import ending
ending.listen()
try:
    signal.raise_signal(signal.SIGHUP)
except KeyboardInterrupt:
    sys.exit(128 + ending.heard())
"""
IN_IMPORTS = """
import signal, sys

class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == "engine.cli":
            signal.raise_signal(signal.SIGINT)

from engine.__main__ import main
sys.meta_path.insert(0, Finder)
sys.argv = ["engine", "status"]
main()
"""
SERVES = """
with ending.until_told():
    told()
time.sleep(1)
print("went on", flush=True)
"""


def called(program: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", program]
    return subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(
    ("rest", "said", "base"),
    [
        (TIDIES, "tidied", 128),
        (EVALUATES, "tidied", 128),
        (IMPATIENT, "tidied", None),
        (SERVES, "went on", 0),
    ],
    ids=("tidies", "evaluates", "impatient", "serves"),
)
def test_an_end_that_was_swallowed_comes_again_and_once(
    number: str, rest: str, said: str, base: int | None
) -> None:
    done = called((PROGRAM + rest).format(number=number))
    assert done.stdout.split("\n")[:2] == ["swallowed", said], done.stderr
    told = signal.Signals[number].value
    assert done.returncode == (-told if base is None else base and base + told)


def test_an_end_before_anything_has_begun_needs_no_words() -> None:
    done = called(IN_IMPORTS)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(("before", "code"), [("SIG_DFL", 128 + signal.SIGHUP), ("SIG_IGN", 0)])
def test_a_terminal_that_goes_ends_a_command_unless_nohup_holds_it(before: str, code: int) -> None:
    done = called(IN_A_TERMINAL.format(before=before))
    assert done.returncode == code, done.stderr
