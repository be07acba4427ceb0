"""What is told to end, ends: also where what that raises is swallowed, as it is in the middle of imports."""

from __future__ import annotations

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
    sys.exit(130 if ending.heard() else 1)
"""
SERVES = """
with ending.until_told():
    told()
time.sleep(1)
print("went on", flush=True)
"""


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(("rest", "said", "code"), [(TIDIES, "tidied", 130), (SERVES, "went on", 0)])
def test_an_end_that_was_swallowed_comes_again_and_once(number: str, rest: str, said: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(number=number) + rest],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.split("\n")[:2] == ["swallowed", said], done.stderr
    assert done.returncode == code
