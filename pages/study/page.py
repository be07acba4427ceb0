"""Where does the study stand, and what should be run next?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from engine.core.base_identity import shown_base
from engine.core.paths import Workspace
from engine.core.wording import ago, count
from engine.data import prepare
from engine.data.worlds import ABOUT
from engine.domains import metrics
from engine.results import store
from engine.results.study import autopilot
from engine.results.study import standing as study
from engine.results.study.picture import picture as tree_picture
from engine.results.study.standing import Stand, clusters
from engine.results.trees import tree_library
from engine.results.trees.tree import Node, Tree
from engine.results.trees.tree_words import ahead_words, gate_words, remaining_words, scale_words
from engine.runs import jobs
from engine.runs.records import RunRecord
from engine.show.run_words import title as run_title
from engine.show.run_words import underway, waiting
from engine.strategies import registry
from engine.strategies.plan import Seen
from pages.shared import frame, judging, launch, reads
from pages.study import answer, onward, tree_node, tree_tools
from pages.study import upload as study_upload

_PAGE = "home"
_LEAD = "Which way of personalising beats one unified model, and for whom?"
_FIRST_PERSONAS = 20
_RECENT = 5
_KEY = (
    "All gains are points over {reference}. Bars: {expected}the dashed line what the gate needs, the dot "
    "with its line the gain measured and its 95 % interval (blue up, orange down). Gates are judged on "
    "validation, the choice on test. Click a box for more."
)
_EXPECTED = "the grey band is the gain expected before any run, "


def show() -> None:
    ws = frame.workspace()
    if not frame.is_prepared(ws):
        _first_visit(ws)
        return
    frame.heading("Study", _LEAD)
    frame.changed_files(ws)
    records = jobs.list_runs(ws)  # heals a queue that nobody looks after
    left, right = st.columns([3, 2], gap="medium")
    losers = st.container()  # below both: on a telephone the next step comes before it
    choices = st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="home_choices")
    answered: answer.Shown | None = None
    is_told = False
    with left, frame.boundary():
        answered = answer.show(ws)
        is_told = True
    with choices:
        name = _tree_choice(ws)
    seen: Seen | None = None
    stood: Stand | None = None
    offered = False
    waiting: list[reads.NotJudged] = []
    with frame.boundary():  # what is not sound hides nothing but itself
        seen = reads.look(ws)
        tree = tree_library.find(ws, name)
        with choices:
            with frame.boundary():
                tree = _on_cluster(tree, clusters(ws, seen))
            st.caption(frame.plain(tree.question), width="content")
        stood = study.stand(ws, tree, compared=partial(_compared, waiting), seen=seen)
        is_first = False
        if is_told and answered is None:
            with left:
                is_first = _no_answer_yet(ws, stood, seen)
        with right, st.container(border=True, gap="small", key="home_step"):
            offered = _next(ws, stood, seen, waiting, prominent=not is_first)
    with losers, frame.boundary():
        frame.torn_runs(ws)
        if answered is not None:
            answer.who_loses(ws, answered)
    if stood is not None and seen is not None:
        with frame.boundary():
            _study(ws, stood, seen, offered=offered)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _other_ways_on(ws, seen, name)
    with right:
        _recent(records)


def _other_ways_on(ws: Workspace, seen: Seen | None, tree: str) -> None:
    """What can be done beside the next step, and what the study is of."""
    if seen is not None and seen.ground.dialogues:
        frame.folded(
            "Pilot, tune or cluster first",
            partial(onward.plan_ahead, ws, seen),
            key="home_first_steps",
            icon=":material/science:",
        )
        frame.folded(
            "Run another experiment",
            partial(launch.experiment_form, ws, key="home"),
            key="home_another",
            icon=":material/tune:",
        )
    with st.expander("Copy or edit this tree", icon=":material/edit:"):
        tree_tools.edit(ws, tree)
    with frame.boundary():
        _facts(ws)


def _no_answer_yet(ws: Workspace, stood: Stand, seen: Seen) -> bool:
    """What an empty study says: that nothing is scored, and what to press. Says whether a first verdict is
    offered: it stands out then."""
    with st.container(border=True, gap="small"):
        st.subheader("No answer yet", anchor=False)
        if _at_work(seen) or reads.walking(ws):
            st.markdown("The first scores are on their way. The answer comes here by itself, and grows.")
            return False
        st.markdown("Nothing is scored here. Get a first verdict, run the next step, or start the autopilot.")
        return onward.first_verdict(ws, stood.next_plan, seen)


def _at_work(seen: Seen) -> bool:
    return any(record.state in ("queued", "running") and not record.elsewhere for record in seen.records)


def _first_visit(ws: Workspace) -> None:
    frame.heading("Persona Lab", "Which way of personalising a small language model really helps, and whom?")
    st.space("small")
    with st.container(border=True, gap="small", width=760):
        st.subheader("Start with a small world", anchor=False)
        st.markdown(f"{_FIRST_PERSONAS} {ABOUT} It takes seconds and runs on this machine.")
        with st.container(horizontal=True, vertical_alignment="center"):
            clicked = frame.action(
                f"Prepare {_FIRST_PERSONAS} personas",
                type="primary",
                icon=":material/play_arrow:",
                key="home_prepare",
                command=frame.command("init", dataset="world:default", personas=_FIRST_PERSONAS),
                least="own",
            )
            st.page_link(
                frame.DATA,
                label="Bring my own data",
                icon=":material/upload:",
                query_params={"source": "upload"},
            )
        if clicked:
            _prepare(ws)
    with st.expander("Look at a published study", icon=":material/history_edu:"):
        study_upload.show(ws, key="home")
    st.space("small")
    for column, (icon, title, text) in zip(st.columns(3, gap="medium"), _HOW, strict=True):
        with column:
            st.markdown(f"{icon} **{title}**")
            st.caption(text)


_HOW = (
    (
        ":material/forum:",
        "Prepare data",
        "Personas, their dialogues, and a split that keeps test answers unseen.",
    ),
    (
        ":material/model_training:",
        "Run experiments",
        "Each runs in the background and goes on when this page is closed.",
    ),
    (
        ":material/leaderboard:",
        "See who wins",
        "Every variant on the same examples: paired, with intervals, and for each persona.",
    ),
)


def _prepare(ws: Workspace) -> None:
    with st.spinner("Writing the personas, their dialogues and the split ..."):
        prepare(ws, dataset="world:default", personas=_FIRST_PERSONAS)
    st.rerun()


def _facts(ws: Workspace) -> None:
    counts, config = reads.card(ws)["counts"], ws.read_config()
    source, base = str(config["dataset"]["source"]), shown_base(str(config["base"])).rsplit("/", 1)[-1]
    told = [count(counts["personas"], "persona"), count(_scored(ws), "variant") + " scored", f"data {source}"]
    if counts["dialogues"]:  # scores that were imported stand on no base and no split of this workspace
        told.insert(1, count(counts["dialogues"], "dialogue"))
        told += [f"split {config['split'].replace('-', ' ')}", f"base model {base}"]
    st.caption(frame.plain(", ".join(told)))


@reads.lasting(int)
def _scored(ws: Workspace) -> int:
    """How many variants are scored, bounds left out."""
    return sum(not one.is_bound for one in store.overview(ws).variants.values())


def _tree_choice(ws: Workspace) -> str:
    wanted = st.session_state.pop(tree_tools.WANTED, None)
    if wanted is not None:
        frame.choose(_PAGE, "tree", wanted)
    titles = {entry.name: entry.title for entry in tree_library.entries(ws)}
    chosen = frame.linked_choice(
        "Decision tree", list(titles), page=_PAGE, name="tree", words=lambda one: titles[one], segmented=True
    )
    return chosen or tree_library.DEFAULT


def _on_cluster(tree: Tree, assigned: Mapping[str, int]) -> Tree:
    """The tree judged on the personas that are chosen, once a clustering says which there are."""
    sizes = Counter(assigned.values())
    if not sizes:
        return tree
    default = str(tree.cluster)
    options = [default, *(one for one in ("all", "largest", *map(str, sorted(sizes))) if one != default)]

    def words(name: str) -> str:
        if name.isdigit():
            return f"cluster {name}, {count(sizes.get(int(name), 0), 'persona')}"
        return {"all": "all personas", "largest": "the largest cluster"}[name]

    with st.container(width=300):
        chosen = frame.linked_choice("Judged on", options, page=_PAGE, name="cluster", words=words)
    return autopilot.with_cluster(tree, chosen)


def _study(ws: Workspace, stood: Stand, seen: Seen, *, offered: bool) -> None:
    """The tree large, and beside it the chosen node and the tools."""
    picture, side = st.columns([5, 3], gap="medium")
    with side:
        detail = st.container(border=True, gap="small", key=tree_node.DETAIL)
        with frame.boundary():
            tree_tools.autopilot_box(ws, stood)
        with st.expander("What if?", icon=":material/help:"):
            changed = tree_tools.what_if(stood)
    done = stood.walk if changed is None else study.rewalk(stood, changed)
    with detail:
        node = _chosen_node(stood)
        records = {record.run_id: record for record in seen.records}
        is_next = offered and node.id == stood.walk.next
        tree_node.show_node(ws, stood, done, node, records, is_next=is_next)
    with picture:
        if changed is not None:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge("What if: thresholds moved, nothing saved", icon=":material/help:", color="orange")
                st.button("Back", on_click=tree_tools.reset_what_if, args=(stood.tree,), key="home_reset")
        tree_node.show_map(
            tree_picture(stood, done, chosen=node.id),
            key=f"home_map_{stood.tree.name}",
            on_choose=lambda name: frame.choose(_PAGE, "node", name),
        )
        reference = frame.plain(stood.tree.reference)
        scale = scale_words(metrics.chosen(ws, stood.tree.gate.metric), reference)
        expected = _EXPECTED if any(node.expected for node in stood.tree.nodes) else ""
        st.caption(f"{_KEY.format(reference=reference, expected=expected)} {scale}")


def _chosen_node(stood: Stand) -> Node:
    """The node to tell about: the one chosen, else where the walk stands."""
    here = stood.walk.next or stood.walk.result or stood.tree.start.id
    others = [node.id for node in stood.tree.nodes if node.id != here]
    names = {node.id: node.name for node in stood.tree.nodes}
    chosen = frame.linked_choice(
        "Step", [here, *others], page=_PAGE, name="node", words=lambda one: names[one]
    )
    return stood.tree.node(chosen or here)


def _compared(waiting: list[reads.NotJudged], ws: Workspace, **asked: Any) -> dict[str, Any]:
    """A comparison for the tree; what waits for a press before test is looked at is noted."""
    try:
        return reads.compared(ws, **asked)
    except reads.NotJudged as missing:
        waiting.append(missing)
        raise


def _next(
    ws: Workspace, stood: Stand, seen: Seen, waiting: Sequence[reads.NotJudged], *, prominent: bool
) -> bool:
    """The next step; what runs already comes before it. Says whether its button is there."""
    active = _at_work(seen)
    if active:
        _running()
    if stood.walk.result is not None:
        _at_the_end(ws, stood, seen, waiting)
        return False
    _judge(ws, waiting)
    node = stood.tree.node(stood.walk.next or "")
    standing = stood.walk.standings[node.id]
    if reads.walking(ws):
        if not active:
            st.subheader(f":blue[Now:] {frame.plain(node.name)}", anchor=False)
            st.caption("The autopilot is at it, and launches each step by itself.")
        return False
    if standing.state == "running" or node.experiment is None or node.experiment not in seen.known:
        return False
    experiment = registry.get(node.experiment, ws)
    st.subheader(f":blue[Next step:] {frame.plain(node.name)}", anchor=False)
    st.markdown(experiment.question)
    if standing.state == "stopped":
        st.badge(frame.plain(standing.reason), icon=":material/error:", color="orange")
    asked = launch.Asked(node.parameters)
    launch.show_plan(
        ws, experiment, asked, key="home_next", prominent=prominent and not active, seen=seen, brief=True
    )
    gate = "" if node.gate is None else f"It passes with {gate_words(node.gate, stood.tree.reference)}. "
    st.caption(frame.plain(f"{gate}To the end of the tree: {remaining_words(stood.remaining)}."))
    return True


def _judge(ws: Workspace, waiting: Sequence[reads.NotJudged]) -> None:
    """The presses that judge on test what the tree asks for there."""
    for number, missing in enumerate(waiting):
        names = ", ".join(missing.waiting)
        judging.offer(ws, missing, frame.plain(f"Judge {names} on test"), key=f"home_judge_{number}")


def _at_the_end(ws: Workspace, stood: Stand, seen: Seen, waiting: Sequence[reads.NotJudged]) -> None:
    node = stood.tree.node(stood.walk.result or "")
    st.caption("The tree is walked to its end")
    st.subheader(frame.plain(node.name), anchor=False)
    reason = stood.walk.standings[node.id].reason
    if reason:
        st.markdown(frame.plain(reason))
    if stood.verdict is not None:
        tree_node.verdict(stood.verdict, stood.tree.reference)
        if stood.verdict.ahead is not None:
            st.markdown(frame.plain(ahead_words(stood.verdict.ahead)))
    _judge(ws, waiting)
    if not seen.ground.dialogues:
        return  # scores that were imported: nothing can be run over them
    if node.outcome == "use":
        onward.another_seed(ws)
    else:
        onward.keep_trying(ws, stood, seen)


@st.fragment(run_every=1.0)
@frame.guarded
def _running() -> None:
    """The runs at work now, each second; the dock sees to it that the page is drawn anew when they change."""
    active = [record for record in jobs.list_runs(frame.workspace()) if not record.ended]
    for record in active:
        if record.state == "running":
            frame.run_link(record.run_id, f"Running: {run_title(record)}", icon=frame.STATE_ICONS["running"])
            st.progress(record.progress, text=frame.plain(underway(record)))
    queued = [record for record in active if record.state == "queued"]
    foreign = sum(record.elsewhere for record in queued)
    if len(queued) > foreign:
        st.caption(waiting([record for record in queued if not record.elsewhere]))
    if foreign:
        st.caption(f"{count(foreign, 'run')} from elsewhere, not started: see Runs")


def _recent(records: Sequence[RunRecord]) -> None:
    if not records:
        return
    st.subheader("Recent runs", anchor=False)
    for record in sorted(records, key=lambda one: one.order, reverse=True)[:_RECENT]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            frame.run_link(record.run_id, width="stretch")
            frame.state_badge(record.state)
            when = record.status.ended_at or record.status.started_at or record.status.queued_at
            st.caption(ago(when), width="content")
    st.page_link(frame.RUNS, label="All runs", icon=":material/timeline:")


if __name__ == "__main__":
    frame.run(show)
