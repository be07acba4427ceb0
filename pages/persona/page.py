"""Who is this persona, and what does each way of personalising do for this one person?"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import count, known
from engine.domains import metrics
from engine.domains.domain import Routine
from engine.results.comparing.remarks import NotComputed
from engine.show.persona.replies import Answered
from engine.show.persona.table import scored
from engine.strategies.clusterings import Clusters
from pages.persona import scene as persona_scene
from pages.persona import scores as persona_scores
from pages.persona.scene import Scene
from pages.shared import addresses, aside, downloads, frame, judging, reads, replies, rescore

_LEAD = "Who is it, and what does each way of personalising do for this one person?"
_LAST = "persona_looked_at_last"


def show() -> None:
    ws = frame.workspace()
    if not frame.is_prepared(ws):
        frame.heading("Persona", _LEAD)
        frame.no_data_yet(
            "One person stands here: her scores under each variant, and each reply word by word."
        )
        return
    with st.container(key="persona_top"):  # head.css keeps its place: it is drawn once all is chosen
        head = st.container(horizontal=True, vertical_alignment="center", key="persona_head")
        told = st.container()
    title = head.empty()
    asked = str(st.query_params.get("persona") or st.session_state.get(_LAST) or "")
    title.title(frame.plain(reads.called(ws, asked)) or "Persona", anchor=False)
    frame.remarks()
    with st.container(key="persona_asked"):
        is_scored = _is_scored(ws)
        columns = st.columns(
            [3, 2.4, 3, 2.6, 3, 2.7] if is_scored else [3, 2.4],
            vertical_alignment="bottom",
            width="stretch" if is_scored else 520,
        )
    scene, instead = _scene(ws, columns[2:])
    clusters: Clusters | None = None
    with frame.boundary():
        clusters = persona_scene.clusters(ws)
    names, order = persona_scene.in_order(ws, scene, clusters, columns[1])
    with columns[0]:
        persona_id = _persona(ws, names)
    called = reads.called(ws, persona_id)
    frame.named(called)
    title.title(frame.plain(called), anchor=False)
    with head:
        _steps(names, persona_id)
    with told:
        _told(names, persona_id, order, scene)
    with frame.boundary():
        _numbers(ws, scene, clusters, names, persona_id)
    if scene is not None:
        _scored(ws, scene, persona_id)
    else:
        instead()
    left, right = st.columns([3, 2], gap="large")
    with left:
        with frame.boundary():
            _character(ws, persona_id)
        if scene is not None:
            _origins(ws, scene, persona_id)
    with right:
        persona_scores.place(clusters, persona_id, on_choose=_choose_persona)


def _scene(ws: Workspace, columns: Sequence[Any]) -> tuple[Scene | None, Callable[[], None]]:
    """What is compared, as chosen in these columns; where it cannot be, what stands in its place."""
    try:
        scene = persona_scene.choose(ws, columns)
        if scene is not None:
            persona_scene.scored(ws, **scene.place)  # who is listed: it may take as long
        return scene, _nothing_scored
    except NotComputed as missing:
        return None, partial(rescore.instead, ws, missing)
    except reads.NotJudged as waiting:
        return None, partial(judging.instead, ws, waiting, page="persona")
    except aside.Underway as waiting:
        return None, partial(frame.underway, waiting.job)
    except EngineError as error:  # the scores cannot be read; who she is can
        return None, partial(frame.show_error, error)


def _scored(ws: Workspace, scene: Scene, persona_id: str) -> None:
    """Her scores, the example that loses most, and every reply."""
    found: list[Answered] = []
    with frame.boundary():
        found = _examples(ws, scene, persona_id)
    downloads.tell(f"{scene.metric.label}, {scene.split}, protocol {scene.protocol}")
    left, right = st.columns(2, gap="large")
    with left:
        _scores(ws, scene, persona_id)
    with right:
        _worst(ws, scene, found)
    _replies(ws, scene, persona_id, found)


def _is_scored(ws: Workspace) -> bool:
    try:
        return not reads.protocols(ws).empty
    except aside.Underway:  # only of scores, which the page then waits for where they stand
        return True
    except EngineError:
        return False


def _persona(ws: Workspace, names: Sequence[str]) -> str:
    """The persona of the address; on coming back without one, the last that was looked at."""
    last = st.session_state.get(_LAST)
    if last in names and "persona" not in st.query_params and "persona_persona" not in st.session_state:
        frame.choose("persona", "persona", last)
    st.session_state[_LAST] = _whose(ws, names) or names[0]
    return str(st.session_state[_LAST])


def _whose(ws: Workspace, names: Sequence[str]) -> str | None:
    called = reads.names(ws)
    return persona_scene.choice("Persona", names, name="persona", words=lambda name: called.get(name, name))


# --- the head of the page


def _steps(names: Sequence[str], persona_id: str) -> None:
    """The page's link, and the ways to the persona before and after."""
    at = names.index(persona_id)
    with st.container(horizontal=True, width="content", gap="small", vertical_alignment="center"):
        addresses.link()
        before, after = names[max(0, at - 1)], names[min(len(names) - 1, at + 1)]
        st.button(
            "Previous", icon=":material/arrow_back:", key="persona_previous", shortcut="K",
            disabled=at == 0, on_click=_choose_persona, args=(before,),
        )  # fmt: skip
        st.button(
            "Next", icon=":material/arrow_forward:", key="persona_next", shortcut="J",
            disabled=at == len(names) - 1, on_click=_choose_persona, args=(after,),
        )  # fmt: skip


def _told(names: Sequence[str], persona_id: str, order: str, scene: Scene | None) -> None:
    """What the page asks, and where in which order the persona stands."""
    by = {
        "id": "by name",
        "gain": f"by gain of {scene.variant}" if scene else "",
        "loss": f"by loss under {scene.variant}" if scene else "",
        "score": f"by score under {scene.reference}" if scene else "",
        "cluster": "by cluster",
    }[order]
    place = f"{names.index(persona_id) + 1:,} of {count(len(names), 'persona')}"
    st.caption(f"{_LEAD} {place}, {frame.plain(by)}.")


def _choose_persona(persona_id: str) -> None:
    frame.choose("persona", "persona", persona_id)
    addresses.forget("example")


def _numbers(
    ws: Workspace, scene: Scene | None, clusters: Clusters | None, names: Sequence[str], persona_id: str
) -> None:
    """The few numbers that place this persona among all."""
    facts: list[tuple[str, str, str]] = []
    if scene is not None:
        facts += _score_facts(ws, scene, persona_id)
    if clusters is not None:
        number = clusters.assignment.get(persona_id)
        within = "" if number is None else f"{count(clusters.sizes[number], 'persona')} in it. "
        among = f"{within}Of {count(len(clusters.sizes), 'cluster')}, by {clusters.features}."
        facts.append(("Cluster", "in none" if number is None else str(number), among))
    if scene is not None and (routed := persona_scene.routed(ws)):
        name, run_id = next(iter(routed.items()))
        goes = persona_scene.routes(ws, run_id)["routes"].get(persona_id)
        if goes:
            facts.append(("Routed to", goes, f"By {name}, from validation alone."))
    if facts:
        with st.container(horizontal=True, gap="medium", key=f"facts_persona_{len(facts)}"):
            for label, value, told in facts:
                st.metric(frame.plain(label), frame.plain(value), help=frame.plain(told), width="content")


def _score_facts(ws: Workspace, scene: Scene, persona_id: str) -> list[tuple[str, str, str]]:
    if persona_scene.hers(ws, persona_id, **scene.place).empty:
        return []

    def level(name: str) -> str:
        value = scene.means(name).get(persona_id)
        return scene.metric.level(value) if known(value) else "undefined"

    told = f"{scene.metric.label}, mean over this persona's examples."
    facts = [(f"Under {scene.reference}", level(scene.reference), told)]
    if scene.variant != scene.reference and scene.held.gains:
        gains, sign = scene.gains, scene.metric.sign
        gain = gains.get(persona_id)
        words = f"{level(scene.variant)} ({scene.metric.change(None if gain is None else sign * gain)})"
        facts.append((f"Under {scene.variant}", words, f"{told} In brackets: against {scene.reference}."))
        if gain is not None:
            rank = sum(value > gain for value in gains.values()) + 1
            facts.append(
                ("Place by gain", f"{rank:,} of {len(gains):,}", f"1 gains most from {scene.variant}.")
            )
    return facts


# --- the parts


def _character(ws: Workspace, persona_id: str) -> None:
    st.subheader("Character and routines", anchor=False)
    persona = reads.persona(ws, persona_id)
    if persona is None:
        st.caption("Only published scores are known of this persona.")
        return
    st.markdown(frame.plain(persona.character) if persona.character else ":gray[There is no character text.]")
    _routines(reads.domain(ws).routines(persona.routines))
    dialogues = reads.dialogues_of(ws, persona_id)
    if dialogues:
        st.page_link(
            frame.DATA,
            label=f"Read {count(len(dialogues), 'dialogue')}",
            icon=":material/forum:",
            query_params={"view": "dialogues", "persona": persona_id},
        )


def _routines(found: Sequence[Routine]) -> None:
    if not found:
        st.caption("There are no routines.")
        return
    with st.expander(count(len(found), "routine")):
        for routine in found:
            st.markdown(_routine(routine.when, routine.then))


def _routine(when: str, then: Sequence[tuple[str, str]]) -> str:
    told = "; ".join(f"**{frame.plain(thing)}** {frame.plain(what)}" for thing, what in then)
    return f":gray[{frame.plain(when)}]  \n{told or 'nothing'}"


def _scores(ws: Workspace, scene: Scene, persona_id: str) -> None:
    persona_scores.scores(ws, scene, persona_id)
    persona_scores.true_gain(ws, scene, persona_id)
    st.page_link(
        frame.COMPARE,
        label=f"Compare {frame.plain(scene.variant)} for everybody",
        icon=":material/leaderboard:",
        query_params={"candidate": scene.variant, **scene.asked},
    )


def _origins(ws: Workspace, scene: Scene, persona_id: str) -> None:
    """Whom she is routed to, and whose adapters were merged for her."""
    held = persona_scene.hers(ws, persona_id, **scene.place)
    rows = scored(held, persona_id, scene.reference, scene.grounds)
    deltas: Mapping[str, float | None] = {one.variant: one.delta for one in rows}
    persona_scores.route(
        ws,
        persona_id,
        variant=scene.variant,
        protocol=scene.protocol,
        on_test=deltas if scene.split == "test" and scene.metric == metrics.primary(ws) else {},
        bounds=scene.bounds,
    )
    persona_scores.merge(ws, persona_id, variant=scene.variant)


def _examples(ws: Workspace, scene: Scene, persona_id: str) -> list[Answered]:
    """The persona's examples with every reply, the worst first."""
    found = persona_scene.replies(ws, persona_id, **scene.asked)
    return replies.worst_first(found, scene.variant, scene.metric)


def _worst(ws: Workspace, scene: Scene, found: Sequence[Answered]) -> None:
    """The example where the variant looked at loses most."""
    if not found:
        return
    against = f"against {frame.plain(scene.reference)}" if scene.variant != scene.reference else ""
    st.subheader(f"Where {frame.plain(scene.variant)} does worst {against}".rstrip(), anchor=False)
    _show(ws, scene, found[:1], example_id=found[0].example_id, key="persona_worst", alone=True)


def _show(ws: Workspace, scene: Scene, found: Sequence[Answered], **told: Any) -> None:
    """Examples with their replies, as this page looks at them."""
    replies.show(
        ws,
        found,
        metric=scene.metric,
        reference=scene.reference,
        looked_at=scene.variant,
        bounds=scene.bounds,
        on_choose=partial(addresses.point, "example"),
        **told,
    )


@st.fragment
@frame.guarded
def _replies(ws: Workspace, scene: Scene, persona_id: str, found: Sequence[Answered]) -> None:
    """The examples; a fragment, so that opening one draws nothing else anew."""
    st.subheader("What was said", anchor=False)
    if not found:
        st.caption("There are no replies to read: only scores were published, or none of this persona.")
        return
    shown = addresses.linked("example", [one.example_id for one in found], label="Example")
    st.caption(
        f"{count(len(found), 'example')} on {persona_scene.SPLITS[scene.split].lower()}, the largest loss of "
        f"{frame.plain(scene.variant)} first. Equal replies stand together, the best first; differences are "
        f"against {frame.plain(scene.reference)}. Arrow keys walk the list."
    )
    _show(ws, scene, found, example_id=shown, key="persona_examples")
    cast = [name for name in dict.fromkeys((scene.reference, scene.variant)) if name not in scene.bounds]
    st.page_link(
        frame.PLAYGROUND,
        label="Ask this in the Playground",
        icon=":material/chat:",
        query_params={"persona": persona_id, "example": shown, "variant": cast},
    )


def _nothing_scored() -> None:
    frame.empty_state("Nothing is scored yet", "Scores, routes and replies appear here with the first run.")


if __name__ == "__main__":
    frame.run(show)
