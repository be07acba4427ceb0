"""What did the study find, as a document to keep and to send?"""

from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import ago, count, duration
from engine.show.report import default_folder, making
from engine.show.report.making import Making
from pages.shared import downloads, frame, reads

_POLL_SECONDS = 1.0
_PREVIEW_HEIGHT = 860
# The report holds no script and fetches nothing; this makes the browser hold it to that.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)


def show() -> None:
    ws = frame.workspace()
    frame.heading("Report", "What did the study find, as a document to keep and to send?")
    if not frame.is_prepared(ws):
        frame.no_data_yet(
            "The study is written up here: leaderboard, who wins and loses, replies, limits and commands."
        )
        return
    if reads.protocols(ws).empty:
        frame.empty_state(
            "Nothing is scored yet",
            "A report tells what was compared and what came out. Two scored variants are enough.",
        )
        return
    under_way = making.status(ws)
    if under_way is not None and under_way.state == "making":
        st.fragment(_follow, run_every=_POLL_SECONDS)(ws)
    else:
        _state(ws)
    _preview(ws)


@frame.guarded
def _follow(ws: Workspace) -> None:
    """How far the making is; draws the whole page anew when it ends."""
    found = making.status(ws)
    if found is None or found.state != "making":
        st.rerun()
    share = found.done / found.total if found.total else 0.0
    counted = f", {found.done} of {found.total}" if found.total else ""
    with st.container(border=True):
        st.progress(share, text=frame.plain(f"Writing the report: {found.stage}{counted}"))
        st.caption("It is written in the background; this page may be left or closed.")


def _state(ws: Workspace) -> None:
    """What there is, whether it still holds, and the button that writes it."""
    found, prints = making.status(ws), making.prints(ws)
    if found is not None and found.state in ("failed", "lost"):
        st.error(frame.plain(found.error or "The report could not be written."), icon=":material/error:")
        frame.remedy(found.hint)
    if not prints:
        _offer(ws)
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _badge(ws, found, prints)
        st.caption(_made(ws, found, prints))
    with st.container(horizontal=True, gap="small", key="report_files"):
        _button(ws, "Write it again", primary=False)
        _downloads(default_folder(ws))
    _looks(ws)


def _offer(ws: Workspace) -> None:
    """The empty state: what a report holds, and the one button."""
    with st.container(border=True, horizontal_alignment="left"):
        st.subheader("No report yet", anchor=False)
        st.markdown(
            "It tells the question, data and protocol, the leaderboard with intervals, who wins and "
            "who loses, replies before and after, the trees walked with the numbers that decided, the "
            "criteria met, the limits, and the commands that make it all again."
        )
        _button(ws, "Write the report", primary=True)
        _looks(ws)


def _button(ws: Workspace, label: str, *, primary: bool) -> None:
    frame.action(
        label,
        type="primary" if primary else "secondary",
        icon=":material/description:",
        key="report_write",
        command=frame.command("report"),
        on_click=_write,
        args=(ws,),
    )


def _looks(ws: Workspace) -> None:
    """Say what writing looks at, where somebody has to press for it first."""
    try:
        reads.compared(ws, split="test")
    except reads.NotJudged as waiting:
        number = count(len(waiting.waiting), "variant")
        st.caption(f"Writing it judges {number} on test in every headline metric, and counts it.")
    except EngineError:  # test is not scored
        return


def _write(ws: Workspace) -> None:
    with frame.boundary():
        making.start(ws)


def _badge(ws: Workspace, found: Making | None, prints: dict[str, str]) -> None:
    """Say in a word whether the report still tells what the results say."""
    if found is None or found.prints != prints:
        st.badge("Written elsewhere", icon=":material/help:", color="gray", help=_ELSEWHERE)
    elif found.basis == making.basis(ws):
        st.badge("Up to date", icon=":material/check_circle:", color="green", help=_HOLDS)
    else:
        st.badge("Results have changed since", icon=":material/update:", color="orange", help=_CHANGED)


_ELSEWHERE = "Brought here, or changed since it was written: what it was made from is not known."
_HOLDS = (
    "Made from the results, looks at test and trees as they are now: writing it again gives the same bytes."
)
_CHANGED = "Results, looks at test or trees are others than those that it was made from. Write it again."


def _made(ws: Workspace, found: Making | None, prints: dict[str, str]) -> str:
    """When it was made, how long it took, and whether making it again gave the same."""
    known = found is not None and found.prints == prints
    at = found.ended_at if found is not None and known else _written_at(ws)
    took = f" in {duration(found.seconds)}" if found is not None and known and found.seconds else ""
    again = {
        True: " Written again from the same results, it came out the same, byte for byte.",
        False: " :orange[Written again from the same results, it came out otherwise.]",
    }.get(found.same if found is not None and known else None, "")  # type: ignore[arg-type]
    return f"Written {ago(at)}{took}.{again} sha256 {prints.get('report.html', '')[:12]}"


def _written_at(ws: Workspace) -> str:
    at = (default_folder(ws) / "report.html").stat().st_mtime
    return datetime.fromtimestamp(at, UTC).isoformat()


def _downloads(folder: Path) -> None:
    html, markdown = folder / "report.html", folder / "report.md"
    for path, label, kind in ((html, "HTML", "text/html"), (markdown, "Markdown", "text/markdown")):
        if path.is_file():
            st.download_button(
                label, path.read_bytes(), file_name=path.name, mime=kind, icon=":material/download:",
                key=f"report_{path.suffix[1:]}", on_click="ignore",
            )  # fmt: skip
    st.download_button(
        "All files",
        lambda: downloads.zipped(folder, inside="report"),
        file_name="report.zip",
        mime="application/zip",
        icon=":material/folder_zip:",
        key="report_zip",
        on_click="ignore",
        help="Both texts, and every figure as PNG and SVG.",
    )


def _preview(ws: Workspace) -> None:
    path = default_folder(ws) / "report.html"
    if not path.is_file():
        return
    st.subheader("Preview", anchor=False)
    text = path.read_text(encoding="utf-8", errors="replace")
    with st.container(border=True):
        st.iframe(text.replace("<head>", f"<head>{_POLICY}", 1), height=_PREVIEW_HEIGHT, alt="The report")


if __name__ == "__main__":
    frame.run(show)
