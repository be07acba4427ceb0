"""Where each command of `python -m engine` has its button: for who comes from a terminal, or goes there."""

from collections.abc import Mapping

import streamlit as st

from engine.cli import PAGES
from pages.shared import frame

_TERMINAL = "in a terminal alone"
# Command -> where on its page; a page named first is another than the command's own.
WHERE: Mapping[str, str] = {
    "demo": "“Prepare 20 personas” in an empty study, then “Get a first verdict”",
    "tree": "the tree and its steps; “What if?”; “Copy or edit this tree”",
    "autopilot": "“Start the autopilot”, “Stop”, and its log beside the tree",
    "import-study": "Data: “Published study”",
    "route-imported": "Compare: below “Who wins?”, where published scores are shown",
    "run": "“Run ...” in each experiment's form; on Study for the next step",
    "experiments": "the cards, and a form for each",
    "estimates": "Settings: “How good are the estimates?”",
    "sweep": "“Sweep a parameter” in each form; named ones under “What does one setting change?”",
    "pilot": "Study: “Pilot, tune or cluster first”",
    "tune": "Study: “Pilot, tune or cluster first”",
    "repeat": "Runs: “Repeat with seeds” in a run; Study: “Another seed”",
    "reference": "Runs: “Make it the reference” in a run",
    "augment": "Data: “Augmentation”",
    "import-adapters": "the form “Adapters from elsewhere”",
    "status": "the list, and a run's “Progress”; the sidebar while something is at work",
    "cancel": "“Cancel” in a run; “Stop” in the sidebar",
    "resume": "“Resume” in a run that has ended badly",
    "start-over": "“Start over” in a run that has ended badly",
    "logs": "a run's “Log”",
    "queue": "the queue above the list: “First”, “Cancel”, “Start them here”",
    "clone": "“Clone and modify” in a run",
    "label": "“Star”, “Pin”, “Hide” and “Title, note, tags” in a run",
    "delete": "“Delete” in a run, or in several that are ticked",
    "restore": "“Undo”, and “deleted runs” at the head",
    "curves": "“Curves as CSV” in a run, or in several that are ticked",
    "export-runs": "“For other trackers” below the list",
    "compare": "“Who wins?” and the questions beside it; “Judge on test”",
    "freeze": "“Freeze this plan first”, where test is not judged yet",
    "rescore": "where a metric is not computed yet; Settings: “Is everything in order?”",
    "export-predictions": "“Take it away”: “Its replies”",
    "serve": "“Take it away”: “Serve”",
    "export": "“Take it away”: “Zip”",
    "push": "“Take it away”: “The Hugging Face Hub”",
    "export-table": "“Save table” below each; on Runs and Votes, too",
    "generate": "the field at the foot",
    "init": "“Import” in an empty study; elsewhere “Import”, and “New study” in the sidebar",
    "worlds": f"a world as data: “A synthetic world”; its files: {_TERMINAL}",
    "scorer": "“Score by another encoder”",
    "report": "“Write the report”",
    "machine": f"“Launcher” and “Changes”; code of your own is named and approved {_TERMINAL}",
    "doctor": "“Check the workspace”, and “Mend what loses nothing”",
    "rebuild-db": "“Rebuild the results”",
    "base": "“Look at it, or use another one”; its card",
    "bench": f"{_TERMINAL}: it measures this program, not a study",
    "keys": f"“Keys”; the addresses that keys may go to are allowed {_TERMINAL}",
    "clean": "“Look for leftovers”",
}


def show() -> None:
    """Show every command with its page and place."""
    st.subheader("Commands", anchor=False)
    st.caption(
        "Whatever a button does, a command does, too: `python -m engine` and its name; `--help` says what "
        "each takes. A button that changes something tells its command with its form's present values, to "
        "copy: hover over it, or come by Tab."
    )
    rows = [
        {"Command": name, "Page": page, "Where": WHERE[name]}
        for page, homes in PAGES.items()
        for names in homes.values()
        for name in names
    ]
    frame.table(
        rows,
        height=420,
        alt="Every command with the page and the place of its button",
        column_config={
            "Command": st.column_config.TextColumn(width=140),
            "Page": st.column_config.TextColumn(width=100),
            "Where": st.column_config.TextColumn(width="large"),
        },
    )
