"""The press that judges on test, wherever a page asks for it: what it costs, and what it looks at."""

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import ago, count
from engine.results.comparing import freezing, frozen, looks
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.frozen import Frozen
from pages.shared import frame, reads
from pages.shared.reads import NotJudged


def instead(ws: Workspace, missing: NotJudged, *, page: str) -> None:
    """Say what waits for a verdict, in place of its numbers; judge it on a press, or lead back to val."""
    number = count(len(missing.waiting), "variant")
    waits = "waits" if len(missing.waiting) == 1 else "wait"
    with st.container(border=True, gap="small"):
        st.subheader("Test is not judged yet", anchor=False)
        st.markdown(
            f"In {missing.metric.named}, {number} {waits} for a verdict: "
            f"{frame.plain(', '.join(missing.waiting))}. Each look at test is recorded, and the more there "
            "are, the likelier is a lucky winner: choose on validation first."
        )
        planned = _plan(ws, missing)
        if planned is not None:
            st.caption(f":material/lock: Planned beforehand: {planned.hash}, frozen {ago(planned.at)}.")
        with st.container(horizontal=True, gap="small"):
            offer(ws, missing, f"Judge on test ({number})", key=f"{page}_judge_all")
            if planned is None and not missing.asked.get("protocol"):  # a plan is for the usual one
                frame.action(
                    "Freeze this plan first",
                    icon=":material/lock:",
                    key=f"{page}_freeze",
                    help="Writes down what test will be asked, hashed; the report says what was planned.",
                    command=frame.command(
                        "freeze",
                        variant=missing.waiting,
                        primary=missing.metric.name,
                        reference=missing.asked.get("reference"),
                    ),
                    on_click=_freeze,
                    args=(ws, missing),
                )
            st.button(
                "Back to validation",
                icon=":material/arrow_back:",
                key=f"{page}_to_val",
                on_click=frame.choose,
                args=(page, "split", "val"),
            )


def offer(ws: Workspace, missing: NotJudged, label: str, *, key: str) -> None:
    """Show the button that judges what waits, which is recorded."""
    names = ", ".join(missing.waiting)
    frame.action(
        label,
        icon=":material/gavel:",
        key=key,
        help=frame.plain(f"Looks at test for {names}, and counts it."),
        command=_command(missing),
        on_click=_judge,
        args=(ws, missing),
    )


def _command(missing: NotJudged) -> str:
    names = {"variants": "variant"}
    return frame.command(
        "compare", split="test", metric=missing.metric.name,
        **{names.get(name, name): one for name, one in missing.asked.items() if name in _ASKED and one},
    )  # fmt: skip


_ASKED = ("reference", "protocol", "family", "variants", "margin")


def _judge(ws: Workspace, missing: NotJudged) -> None:
    with frame.boundary():
        compare_variants(ws, **missing.asked)


def _plan(ws: Workspace, missing: NotJudged) -> Frozen | None:
    """The frozen plan that holds all that waits."""
    asked = {name: missing.asked[name] for name in ("reference", "protocol") if missing.asked.get(name)}
    on_val = reads.compared(ws, metric=missing.metric.name, split="val", **asked)
    ids = {row["variant_id"] for row in on_val["rows"] if row["variant"] in missing.waiting}
    holding = (
        plan
        for plan in reversed(frozen.plans(ws, looks.at(on_val)))
        if plan.is_whole
        and plan.reference == on_val["reference"]
        and missing.metric.name in plan.metrics
        and ids <= set(plan.variants)
    )
    return next(holding, None)


def _freeze(ws: Workspace, missing: NotJudged) -> None:
    with frame.boundary():
        freezing.freeze(
            ws,
            variants=missing.waiting,
            primary=missing.metric.name,
            reference=missing.asked.get("reference"),
        )
