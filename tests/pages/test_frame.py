"""The pages' boundary: what a user can mend is told in words, everything else stays an exception."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def _full_disk() -> None:
    from pathlib import Path

    from pages.shared import frame

    with frame.boundary():
        Path("/dev/full").write_text("a result")


def _missing_file() -> None:
    from pages.shared import frame

    with frame.boundary():
        open("/nowhere/at/all").close()


def test_a_full_disk_is_told_in_words() -> None:
    app = AppTest.from_function(_full_disk, default_timeout=240).run()
    assert not app.exception
    assert "No space left on device" in app.error[0].value
    assert "Free disk space" in app.caption[0].value


def test_a_fault_of_the_app_itself_is_not_hidden() -> None:
    app = AppTest.from_function(_missing_file, default_timeout=240).run()
    assert app.exception
    assert not app.error
