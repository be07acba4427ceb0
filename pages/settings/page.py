"""What does this workspace stand on, what has this machine got, and is everything in order?"""

import statistics
from pathlib import Path

import streamlit as st

from engine.core import extensions
from engine.core.errors import EngineError
from engine.core.machine import (
    READ_ONLY,
    Machine,
    change_machine,
    read_machine,
    read_only,
    refuse_if_read_only,
    unreadable,
)
from engine.core.paths import Workspace
from engine.core.roles import obstacle, refuse_unless
from engine.core.wording import ago, count, duration, percent
from engine.domains import metrics
from engine.results import store
from engine.runs.launchers import LAUNCHERS
from engine.runs.launchers import ray as ray_launcher
from engine.runs.records import scan
from engine.show import about
from engine.show.doctor import Check, examine
from engine.strategies import costs
from pages.settings import base, clean, queue
from pages.shared import frame, reads, rescore

_SIZES_SECONDS = 60
_LAUNCHER_WORDS = {
    "local": "**This machine** (local): each run is a process of its own that outlives the app.",
    "ray": "**A Ray cluster** (ray): runs are divided over an existing cluster.",
}


def show() -> None:
    ws = frame.workspace()
    frame.heading("Settings", "What does it stand on, what has this machine got, and is everything in order?")
    prepared = frame.is_prepared(ws)
    if not prepared:
        frame.no_data_yet("Base model, launcher, sizes on disk and a check-up of the workspace stand here.")
    left = (base.show, _device, _scored_on, _launcher, queue.keys, _own_code)
    right = (_disk, _doctor, _estimates, clean.show, _looks, _about)
    for column, parts in zip(st.columns(2, gap="large"), (left, right), strict=True):
        for part in parts:
            if prepared or part in (_device, queue.keys, _looks, _about):
                with column, frame.boundary():  # what cannot be read hides nothing else: here it is found
                    part(ws)


def _looks(_: Workspace) -> None:
    st.subheader("Light or dark", anchor=False)
    st.markdown("In the menu at the top right (:material/more_vert:): as the system, light or dark.")


# --- the machine


def _device(_: Workspace) -> None:
    st.subheader("Device", anchor=False)
    found = about.processor()
    memory = f", {about.in_words(found.memory_bytes)} of memory" if found.memory_bytes else ""
    if found.gpus:
        st.markdown(f"**{count(len(found.gpus), 'GPU')}**: {frame.plain(', '.join(found.gpus))}")
    else:
        st.markdown("**Processor**, no GPU that the installed torch can use")
    st.caption(f"{count(found.cores, 'core')}{memory}. Weights are held in {found.number_format}.")


def _launcher(ws: Workspace) -> None:
    """Where runs are executed, and whether any may be."""
    if unreadable(ws):
        return  # said at the head of the page, as on every one
    st.subheader("Launcher", anchor=False)
    settings = read_machine(ws)
    for name in LAUNCHERS:
        st.markdown(f"{_LAUNCHER_WORDS.get(name, frame.plain(name))} {_launcher_state(name, settings)}")
    queue.queue(ws, settings)
    st.subheader("Changes", anchor=False)
    _read_only(ws, settings)


def _scored_on(ws: Workspace) -> None:
    """What the newest scores were really made on, as their protocol says."""
    protocols = reads.protocols(ws)
    if protocols.empty:
        return
    fields = protocols["fields"].iloc[0]
    told = [f"{name} {fields[name]}" for name in ("device", "dtype", "kernel") if fields.get(name)]
    if told:
        st.caption(frame.plain(f"The newest scores were made on: {', '.join(told)}."))


def _launcher_state(name: str, settings: Machine) -> str:
    chosen = " :blue[:material/check_circle: in use]" if settings.launcher == name else ""
    if name == "ray" and not ray_launcher.installed():
        return f"{chosen} :gray[:material/block: Ray is not installed: make setup-ray]"
    if name == "ray" and not settings.ray_address:
        return f"{chosen} :gray[:material/link_off: no address given]"
    return chosen or " :gray[:material/radio_button_unchecked: ready]"


def _read_only(ws: Workspace, settings: Machine) -> None:
    forced = read_only(ws) and not settings.read_only
    st.toggle(
        "Read-only workspace",
        value=read_only(ws),
        key="settings_read_only",
        disabled=forced or bool(obstacle("own")),
        on_change=_change_read_only,
        args=(ws,),
        help=f"Set by {READ_ONLY} for this app."
        if forced
        else obstacle("own")
        or frame.as_command(
            frame.command("machine", **{_OTHER[read_only(ws)]: True}), "For showing a study."
        ),
    )
    st.caption("While it is on, nothing can be launched, cancelled, written or rebuilt.")


_OTHER = {False: "read_only", True: "no_read_only"}


def _change_read_only(ws: Workspace) -> None:
    with frame.boundary():
        change_machine(ws, read_only=bool(st.session_state["settings_read_only"]))


def _own_code(ws: Workspace) -> None:
    """The files this workspace names and whether they run. Approving is the command line's."""
    st.subheader("Your own code", anchor=False)
    for one in extensions.named(ws):
        mark = ":green[:material/check_circle:" if one.approved else ":orange[:material/block:"
        path = frame.plain(str(one.path))
        st.markdown(f"{path} {mark} {one.state}]  \n:gray[sha256 {one.sha256 or '-'}]")
        if not one.approved:
            st.caption("Nothing of it runs.")
            frame.remedy(one.refusal().hint)
    st.caption(
        "Strategies, metrics or a domain of your own, from a terminal: name the file, then approve it as it "
        "is."
    )
    for option in ("extension", "approve"):
        frame.show_command(frame.command("machine", **{option: "FILE.py"}))


# --- the workspace


@st.cache_data(ttl=_SIZES_SECONDS, show_spinner=False)
def _places(root: str, version: str) -> list[about.Place]:
    return about.places(Workspace(Path(root)))


def _disk(ws: Workspace) -> None:
    st.subheader("Workspace", anchor=False)
    st.code(str(ws.root), language=None)
    found = _places(str(ws.root), _results(ws))
    frame.table(
        {
            "Part": [place.name for place in found],
            "Size": [about.in_words(place.size_bytes) if place.files else "none yet" for place in found],
            "What it is": [place.what for place in found],
            "Path": [str(place.path.relative_to(ws.root)) for place in found],
        },
        height="content",
        alt="Parts of the workspace with their sizes on disk",
    )
    st.caption(f"Together {about.in_words(sum(place.size_bytes for place in found))}.")


def _doctor(ws: Workspace) -> None:
    st.subheader("Is everything in order?", anchor=False)
    with st.container(horizontal=True, gap="small"):
        if st.button(
            "Check the workspace", icon=":material/stethoscope:", key="settings_check",
            help=frame.as_command(frame.command("doctor")),
        ):  # fmt: skip
            with st.spinner("Checking every run, file and fingerprint ..."):
                st.session_state["settings_checks"] = (examine(ws), _results(ws))
        if st.button(
            "Rebuild the results", icon=":material/refresh:", key="settings_rebuild",
            help=frame.as_command(frame.command("rebuild-db")),
        ):  # fmt: skip
            _confirm_rebuild(ws)
    with frame.boundary():
        _missing_metrics(ws)
    done = st.session_state.pop("settings_rebuilt", None)
    if done:
        st.success(frame.plain(done), icon=":material/check_circle:")
    held = st.session_state.get("settings_checks")
    if held is None:
        st.caption("The check reads every finished run again and compares it with its fingerprints.")
        return
    checks, version = held
    _findings(checks)
    if any("doctor --fix" in check.hint for check in checks) and frame.action(
        "Mend what loses nothing",
        icon=":material/healing:",
        key="settings_mend",
        least="own",
        help="Removes files half written and folders that never became a run. Touches no result.",
        command=frame.command("doctor", fix=True),
    ):
        with st.spinner("Mending, and checking again ..."):
            st.session_state["settings_checks"] = (examine(ws, fix=True), _results(ws))
        st.rerun()
    if version != _results(ws):
        st.caption("Runs have ended since this check.")


def _results(ws: Workspace) -> str:
    """What changes with the results; "" where they cannot be told, as the check then says."""
    try:
        return store.version(ws)
    except EngineError:
        return ""


def _estimates(ws: Workspace) -> None:
    """How far the times said before runs were off; nothing before a run with one has ended."""
    found = costs.check(scan(ws))
    if not found:
        return
    median = percent(statistics.median(one.error for one in found))
    with st.expander(f"How good are the estimates? Off by {median} at the median", icon=":material/timer:"):
        frame.table(
            {
                "Run": [one.run_id for one in found],
                "Expected": [duration(one.estimate_seconds) for one in found],
                "Took": [duration(one.seconds) for one in found],
                "Off by": [percent(one.error) for one in found],
            },
            alt="Time that each run was expected to take, and took",
        )


def _missing_metrics(ws: Workspace) -> None:
    missing = reads.missing(ws)
    if not missing:
        return
    shown = metrics.of_study(ws)
    runs = len({run_id for lacking in missing.values() for run_id in lacking})
    names = ", ".join(shown[name].label for name in missing)
    st.caption(frame.plain(f"Not computed for the replies of {count(runs, 'run')}: {names}."))
    rescore.offer(ws, [shown[name] for name in missing])


def _findings(checks: list[Check]) -> None:
    faults = [check for check in checks if not check.ok]
    if faults:
        st.warning(f"{count(len(faults), 'finding')} to look at.", icon=":material/warning:")
    else:
        st.success("Everything is in order.", icon=":material/check_circle:")
    for check in [*faults, *(check for check in checks if check.ok)]:
        mark = (
            ":green[:material/check_circle:]"
            if check.ok
            else ":orange[:material/warning:] :orange[look here]"
        )
        st.markdown(f"{mark} **{frame.plain(check.name)}**  \n:gray[{frame.plain(check.detail)}]")
        if check.hint and not check.ok:
            frame.remedy(check.hint)


@st.dialog("Rebuild the results?")
def _confirm_rebuild(ws: Workspace) -> None:
    runs = count(len(list(ws.runs.glob("*/done.json"))), "finished run")
    st.markdown(
        f"`results.duckdb` is deleted and built again from {runs}. Nothing is lost: it holds only what the "
        "runs' folders hold."
    )
    closed = frame.closed("own")
    if closed:
        st.caption(frame.plain(closed))
    if st.button(
        "Rebuild",
        type="primary",
        key="settings_rebuild_yes",
        disabled=bool(closed),
        on_click=_rebuild,
        args=(ws,),
    ):
        st.rerun()


def _rebuild(ws: Workspace) -> None:
    with frame.boundary():
        refuse_unless("own", "rebuild the results")
        refuse_if_read_only(ws, "rebuild the results")
        report = store.rebuild(ws)
        torn = f"; {count(len(report.torn), 'torn run')} left out" if report.torn else ""
        st.session_state["settings_rebuilt"] = f"Rebuilt from {count(len(report.taken_in), 'run')}{torn}."
        st.session_state.pop("settings_checks", None)


# --- about


def _about(ws: Workspace) -> None:
    st.subheader("About", anchor=False)
    st.markdown(
        "Persona Lab finds out which way of personalising a small language model really beats one unified "
        "model, and for whom."
    )
    st.page_link(frame.STATISTICS, label="How its statistics were checked", icon=":material/fact_check:")
    if frame.is_prepared(ws):
        created = str(ws.read_config().get("created_at", ""))
        st.caption(f"This workspace was made {ago(created)}." if created else "")
    found = about.versions()
    frame.table(
        {"Package": list(found), "Version": list(found.values())},
        height="content",
        alt="Versions of Python and of the packages that results depend on",
    )


if __name__ == "__main__":
    frame.run(show)
