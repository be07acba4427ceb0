"""One persona's numbers as the Persona page shows them: place, scores, route, merge. Computes nothing."""

from collections.abc import Callable, Collection, Mapping, Sequence

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import SPLIT_WORDS, count
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.show.for_whom import single
from engine.show.persona import charts
from engine.show.persona.route import Route, route_of
from engine.show.persona.table import Scored, scored
from engine.strategies.clusterings import Clusters
from engine.strategies.plan import inapplicable, plan
from pages.persona import scene as persona_scene
from pages.persona.scene import Scene
from pages.shared import frame, launch, reads

_DIRECTIONS = {True: "more is better", False: "less is better", None: "neither direction is better"}


def place(clusters: Clusters | None, persona_id: str, *, on_choose: Callable[[str], None]) -> None:
    """Show the cluster map with this persona on it; a click on another persona opens it."""
    st.subheader("Among the others", anchor=False)
    if clusters is None and (reason := inapplicable(frame.workspace(), "clustering")):
        st.caption(frame.plain(reason))
        return
    if clusters is not None and not clusters.places:
        st.caption(frame.plain(f"The clustering of run {clusters.run_id} left no map."))
        return
    if clusters is None:
        st.caption("There is no cluster map yet. Clustering draws one from what the personas do and say.")
        _run("clustering", "Cluster the personas", icon=":material/hub:")
        return

    def clicked() -> None:
        if picked := frame.clicked("persona_map"):
            on_choose(picked["persona_id"])

    frame.chart(
        charts.map_chart(clusters, persona_id),
        key="persona_map",
        on_select=clicked,
        alt=f"Map of {len(clusters.places)} personas by {clusters.features}; {persona_id} is marked",
    )
    number = clusters.assignment.get(persona_id)
    told = (
        f"{persona_id} is in no cluster: it gives nothing to go by."
        if number is None
        else f"Filled: cluster {number}, {count(clusters.sizes[number], 'persona')}. Numbers: clusters."
    )
    likeness = clusters.likeness.get(persona_id)
    told += "" if likeness is None else f" Likeness to its centre {likeness:.2f}."
    st.caption(
        frame.plain(f"{told} By {clusters.features}, run {clusters.run_id}. Click a persona to open it.")
    )
    if clusters.warning:
        st.caption(f":orange[:material/warning:] {frame.plain(clusters.warning)}")


def _run(experiment: str, label: str, *, icon: str) -> None:
    """The button that runs what is missing here, with its defaults."""
    with frame.boundary():
        planned = plan(frame.workspace(), experiment)
        launch.offer(frame.workspace(), planned, label, key=f"persona_run_{experiment}", icon=icon)


def scores(ws: Workspace, scene: Scene, persona_id: str) -> None:
    """Show every variant's difference to the reference, the competing ones first, bounds last."""
    metric, reference, bounds = scene.metric, scene.reference, scene.bounds
    held = persona_scene.hers(ws, persona_id, **scene.place)
    rows = scored(held, persona_id, reference, scene.grounds)
    st.subheader("Which variant serves this persona best?", anchor=False)
    paired = [one for one in rows if one.delta is not None]
    if not paired:
        st.caption(
            frame.plain(
                f"{persona_id} has no score in {metric.named} {_nowhere(ws, persona_id, scene.split)}."
            )
        )
        return
    ordered = sorted(
        paired, key=lambda one: (one.variant in bounds, -metric.sign * (one.delta or 0.0), one.variant)
    )
    where = "test" if scene.split == "test" else "validation"
    _summary(ordered, metric, where, reference=reference, bounds=bounds)

    def clicked() -> None:
        if picked := frame.clicked("persona_scores"):
            frame.choose("persona", "variant", picked["variant"])

    frame.chart(
        charts.score_chart(
            ordered, reference=reference, looked_at=scene.variant, bounds=bounds, metric=metric
        ),
        key="persona_scores",
        on_select=clicked,
        alt=f"{metric.label} of each variant for {persona_id} against {reference}, with intervals",
    )
    most = max(one.n for one in paired)
    bound = " Diamonds know the truth and never win." if any(one.variant in bounds for one in paired) else ""
    spans = (
        f"95 % intervals (Student's t) over {count(most, 'example')} of this persona on {where}. Grey: the "
        "interval holds 0."
        if most > 1
        else f"one value of this persona on {where}, so there is no interval."
    )
    st.caption(
        f"{metric.label}, {_DIRECTIONS[metric.higher_is_better]}; {spans} One persona is one observation, so "
        f"nothing here is a verdict.{bound}"
    )


def true_gain(ws: Workspace, scene: Scene, persona_id: str) -> None:
    """Say what the variant looked at truly gives this persona, the luck of her few examples taken out."""
    if scene.metric.higher_is_better is None:
        return
    found = scene.held.true_gains
    if found is None or persona_id not in found["effect"]:
        return
    own = {name: values[persona_id] for name, values in found.items()}
    called = frame.plain(reads.called(ws, persona_id))
    told = single(scene.metric, own["effect"], own["low"], own["high"], own["chance"])
    st.caption(
        f"With the luck of few examples taken out, {frame.plain(scene.variant)} gives {called} {told}: drawn "
        "to the mean of all personas as far as they are alike."
    )


def _summary(
    rows: Sequence[Scored], metric: Metric, where: str, *, reference: str, bounds: Collection[str]
) -> None:
    rivals = [one for one in rows if one.variant != reference and one.variant not in bounds]
    if not rivals or metric.higher_is_better is None:
        return
    gains = [metric.sign * (one.delta or 0.0) for one in rivals]
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    equal = len(gains) - better - worse
    st.markdown(
        f"Of {count(len(rivals), 'variant')} on {where}, **{better}** did better than "
        f"{frame.plain(reference)}, **{equal}** the same and **{worse}** worse."
    )


def _nowhere(ws: Workspace, persona_id: str, split: str) -> str:
    """Word the split that a persona has no score on, and in which her dialogues lie instead."""
    hers = {reads.splits(ws).assignment.get(one.dialogue_id) for one in reads.dialogues_of(ws, persona_id)}
    told = [word.lower() for name, word in SPLIT_WORDS.items() if name in hers]
    instead = "" if split in hers or not told else f": her dialogues are in {' and '.join(told)}"
    return f"on {SPLIT_WORDS[split].lower()}{instead}"


def route(
    ws: Workspace,
    persona_id: str,
    *,
    variant: str,
    protocol: str,
    on_test: Mapping[str, float | None],
    bounds: Collection[str],
) -> None:
    """Show where this persona is routed to and the val scores that decided it."""
    st.subheader("Which route, and why?", anchor=False)
    routed = persona_scene.routed(ws)
    if not routed and (reason := inapplicable(ws, "routing")):
        published = reads.is_published(ws, protocol)  # whatever that study routed by
        unknown = "Which way it was routed is not in what was imported. " if published else ""
        st.caption(frame.plain(f"{unknown}{reason}"))
        return
    if not routed:
        st.caption("Nobody is routed yet. Routing sends each persona to what won on validation.")
        _run("routing", "Route everybody", icon=":material/alt_route:")
        return
    name = variant if variant in routed else next(iter(routed))
    found = _route(ws, routed[name], persona_id, protocol)
    if found is None:
        st.caption(f"{frame.plain(name)} has no route for {frame.plain(persona_id)}.")
        return
    metric = METRICS[found.metric]
    st.markdown(_reason(found, metric))
    if any(one.gain is not None for one in found.candidates):
        frame.chart(
            charts.route_chart(found),
            key="persona_route",
            alt=f"Gain of each candidate over {found.fallback} on validation for {persona_id}",
        )
    st.caption(_worth(found, metric, on_test, bounds) + frame.plain(f" Run {found.run_id}."))


def _route(ws: Workspace, run_id: str, persona_id: str, protocol: str) -> Route | None:
    routes = persona_scene.routes(ws, run_id)
    val = persona_scene.hers(ws, persona_id, metric=routes["metric"], split="val", protocol=protocol)
    higher = METRICS[routes["metric"]].higher_is_better is not False
    return route_of(run_id, routes, persona_id, val, higher_is_better=higher)


def _reason(found: Route, metric: Metric) -> str:
    def told(value: float | None) -> str:
        return metric.change(None if value is None else metric.sign * value) + metric.unit_words

    chosen, fallback = frame.plain(found.variant), frame.plain(found.fallback)
    margin = metric.size(found.margin) + metric.unit_words
    rival = found.best_rival
    if found.stays:
        best = f" The best rival, {frame.plain(rival.variant)}, had {told(rival.gain)}." if rival else ""
        stays = f"Stays with **{chosen}**: nothing beat it on validation by more than the margin of {margin}."
        return stays + best
    own = next((one for one in found.candidates if one.variant == found.variant), None)
    gain = told(own.gain) if own else "a gain"
    examples = f" on {count(own.n, 'validation example')}" if own and own.n else ""
    return f"Goes to **{chosen}**: {gain} over {fallback}{examples}, more than the margin of {margin}."


def _worth(found: Route, metric: Metric, on_test: Mapping[str, float | None], bounds: Collection[str]) -> str:
    """What the choice came to on test, beside the best that hindsight would have chosen."""
    told = f"Chosen on {metric.named} from validation alone."
    gain = on_test.get(found.variant)
    if gain is None or found.fallback not in on_test:
        return told
    names = {one.variant for one in found.candidates} - set(bounds)
    seen = {name: value for name, value in on_test.items() if name in names and value is not None}
    best = max(seen, key=lambda name: (metric.sign * seen[name], name == found.variant))
    came = f"{told} On test the choice came to {metric.change(gain)}"
    if metric.sign * seen[best] <= metric.sign * gain:
        return f"{came}; hindsight would have chosen no better."
    return (
        f"{came}; hindsight would have chosen {frame.plain(best)} ({metric.change(seen[best])}), which is a "
        "bound and no result."
    )


def merge(ws: Workspace, persona_id: str, *, variant: str) -> None:
    """Show whose adapters went into this persona's merge, and how much of each."""
    known = persona_scene.merges(ws)
    st.subheader("What was merged?", anchor=False)
    if not known and (reason := inapplicable(ws, "clustering") or inapplicable(ws, "merge-moe")):
        st.caption(frame.plain(reason))
        return
    if not known:
        st.caption("No adapters are merged yet. Merges give weights to the adapters of like personas.")
        _run("merge-moe", "Merge adapters", icon=":material/merge:")
        return
    names = list(known)
    name = variant if variant in known else None
    if name is None:
        name = frame.linked_choice("Merge", names, page="persona", name="merge") or names[0]
    found = persona_scene.merge(ws, name, known[name], persona_id)
    if found is None:
        st.caption(f"{frame.plain(name)} has no merge for {frame.plain(persona_id)}: not applicable.")
        return
    st.markdown(
        f"**{frame.plain(name)}** mixes {count(len(found.weights), 'adapter')}, which amounts to "
        f"{found.effective:.1f} of equal weight."
    )
    frame.chart(
        charts.weight_chart(found, persona_id),
        key="persona_merge_weights",
        alt=f"Share of each adapter in {name} for {persona_id}",
    )
    how = "exact" if found.combine == "exact" else found.combine
    st.caption(
        frame.plain(f"Weights by {found.method}, combined by {how}, as {found.name}. Run {known[name]}.")
    )
