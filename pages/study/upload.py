"""A published study brought in by upload: files or one zip. Shows what came in, or every fault at once."""

import streamlit as st

from engine.core.limits import limits, megabytes
from engine.core.paths import Workspace
from engine.core.wording import count, points
from engine.results.imported import Imported, import_upload
from pages.shared import frame

_KEPT = "study_upload_answer"
_TYPES = ["json", "csv", "zip"]


def show(ws: Workspace, *, key: str) -> None:
    """Show the form and, after an import, what it left. A refused study leaves the workspace as it was.

    `key` tells several forms of one session apart.
    """
    st.markdown(
        "Scores by persona that a study published become variants: compared, paired persona by persona, with "
        "the warnings that their files deserve. Replies are not needed."
    )
    if not frame.is_prepared(ws):
        st.caption(
            "There is no data here yet: a workspace of these scores alone is made, to look at and compare."
        )
    most = megabytes(limits().upload_bytes)
    with st.form(f"{key}_study", border=True, width=760):
        uploaded = st.file_uploader(
            f"Result files (.json, .csv) or one .zip of their folder, up to {most}",
            type=_TYPES,
            accept_multiple_files=True,
            key=f"{key}_study_files",
            help="A dictionary by persona, a list `per_persona_metrics`, a router's `routing_decisions`, or "
            "a table with the column persona_id. A zip keeps the folders, which name the variants.",
        )
        sent = frame.action(
            "Import the study", form=True, least="own", icon=":material/upload_file:",
            command=frame.command("import-study", "FILE-OR-FOLDER"),
        )  # fmt: skip
    if sent:
        st.session_state.pop(_KEPT, None)
        with frame.boundary():
            files = [(file.name, file.getvalue()) for file in uploaded or []]
            with st.spinner("Reading and checking every file ..."):
                st.session_state[_KEPT] = import_upload(ws, files)
            st.switch_page(frame.DATA, query_params={"view": "study"})
    found = st.session_state.get(_KEPT)
    if found is not None:
        _came_in(found)


def _came_in(found: Imported) -> None:
    """What an import left: its variants, what to know of them, and the way to the comparison."""
    state = "These files were imported before" if found.unchanged else "Imported"
    variants = count(len(found.rows), "variant")
    st.success(f"{state}: {variants}, protocol {found.protocol}.", icon=":material/check_circle:")
    st.page_link(frame.COMPARE, label="Compare them", icon=":material/arrow_forward:")
    frame.table(
        {
            "Variant": [row["variant"] for row in found.rows],
            "Personas": [row["personas"] or None for row in found.rows],
            "Examples a persona": [row["examples"] for row in found.rows],
            "Mean, points": [points(row["mean"]) for row in found.rows],
            "From": [row["derived"] or row["file"] for row in found.rows],
        },
        alt="Variants that the import made",
    )
    if any(row["examples"].endswith("*") for row in found.rows):
        st.caption("\\* inferred from the lengths of the reference replies; the file does not say.")
    if found.warnings:
        lines = "\n".join(f"- {frame.plain(line)}" for line in found.warnings)
        st.warning(f"Before believing a difference:\n\n{lines}", icon=":material/warning:")
    if found.left_aside:
        names = ", ".join(found.left_aside)
        st.caption(f"Left aside, of no known form: {frame.plain(names)}")
