"""What the settings page changes of the machine: the queue and its launcher, and keys that runs may need."""

import streamlit as st

from engine.core import keyring
from engine.core.machine import Machine, change_machine, refuse_if_read_only
from engine.core.paths import Workspace
from engine.runs.launchers import LAUNCHERS
from engine.show import about
from pages.shared import frame


def queue(ws: Workspace, settings: Machine) -> None:
    """The launcher and the queue, to be changed: what is at work goes on, what waits starts by these."""
    with st.container(border=True):
        left, right = st.columns(2)
        slots = left.number_input(
            "Runs at work at once", min_value=0, max_value=64, value=settings.training_slots, step=1,
            key="settings_slots", help="On the processor; with GPUs it is one a GPU. 0 pauses the queue.",
        )  # fmt: skip
        launcher = right.selectbox(
            "Launcher", LAUNCHERS, list(LAUNCHERS).index(settings.launcher), key="settings_launcher"
        )
        with st.expander("Of a Ray cluster", icon=":material/hub:", expanded=settings.launcher == "ray"):
            address = st.text_input(
                "Address", settings.ray_address, key="settings_ray_address", placeholder="HOST:PORT, or auto"
            )
            left, right = st.columns(2)
            cpus = left.number_input(
                "Processors a task", 0.5, None, settings.ray_cpus, 0.5, key="settings_cpus"
            )
            gpus = right.number_input(
                "GPUs a task", 0.0, None, settings.ray_gpus, 0.5, key="settings_gpus",
                placeholder="1 where there is one",
            )  # fmt: skip
            tasks = left.number_input(
                "Tasks a run", 1, 256, settings.ray_tasks, 1, key="settings_tasks",
                placeholder="as many as fit",
            )  # fmt: skip
            runs = right.number_input("Runs at once", 0, 64, settings.ray_runs, 1, key="settings_runs")
        told = {"ray_address": address.strip(), "ray_cpus": cpus, "ray_gpus": gpus, "ray_tasks": tasks}
        told |= {"training_slots": slots, "launcher": launcher, "ray_runs": runs}
        changed = {name: one for name, one in told.items() if one != getattr(settings, name)}
        saved = frame.action(
            "Save", least="own", icon=":material/save:", key="settings_queue_save",
            command=frame.command("machine", **(changed or {"training_slots": slots})),
        )  # fmt: skip
    if saved:
        with frame.boundary():
            change_machine(ws, **told)
            st.toast("Saved.")
            st.rerun()


def keys(ws: Workspace) -> None:
    st.subheader("Keys", anchor=False)
    for key in about.endpoint_keys():
        mark = (
            ":green[:material/check_circle: present]"
            if key.present
            else ":gray[:material/do_not_disturb_on: absent]"
        )
        goes = frame.plain(", ".join(key.addresses))
        st.markdown(f"`{key.name}` {mark}  \n:gray[sent to {goes} alone]")
    if keyless := about.keyless_addresses():
        st.markdown(f"Asked without a key  \n:gray[{frame.plain(', '.join(keyless))}]")
    with st.form("settings_keys", border=True, clear_on_submit=True):
        left, right = st.columns(2)
        name = left.selectbox("Key", keyring.names(), key="settings_key")
        value = right.text_input(
            "Its value", type="password", key="settings_key_value", autocomplete="off",
            placeholder="kept, and never shown again",
        )  # fmt: skip
        with st.container(horizontal=True):
            kept = frame.action("Keep it", form=True, least="own", icon=":material/key:")
            dropped = frame.action("Delete what is kept", form=True, least="own", icon=":material/delete:")
    if kept or dropped:
        with frame.boundary():
            refuse_if_read_only(ws, "change a key")
            keyring.keep(name, value) if kept else keyring.drop(name)
            st.toast(f"{name} is {'kept' if kept else 'not kept any more'}.")
            st.rerun()
    st.caption(
        "A key of the environment comes first. Kept ones are for all your studies, in a file that only this "
        f"account can read: {frame.plain(str(keyring.kept_in()))}. The owner of this machine says where keys "
        "go: `python -m engine keys`"
    )
