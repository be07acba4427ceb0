"""What the results decide: criteria met, and decision trees as far as they were walked. Writes no file."""

from collections.abc import Iterator

from engine.core.errors import EngineError
from engine.core.wording import points, signed_points
from engine.results.study.standing import Stand, stand
from engine.results.trees import tree_library
from engine.results.trees.tree_words import ahead_words, decision, gate_words
from engine.show.report.blocks import Block, Bullets, Section, Table, Text
from engine.show.report.gathering import Compared, Gathered

_MET = {True: "reached", False: "missed", None: "open"}


def criteria_section(gathered: Gathered) -> Section | None:
    """The study's success bands for every variant, and what is missing; None where unified is not scored."""
    judged = [compared for compared in gathered.compared if compared.found["criteria"]]
    if not judged:
        return None
    blocks: list[Block] = []
    for compared in judged:
        blocks += _criteria(compared)
    return Section("Criteria", tuple(blocks))


def _criteria(compared: Compared) -> Iterator[Block]:
    """One line a variant: each band as a gain over unified, and what the first missed one still needs."""
    criteria = compared.found["criteria"]
    names = [row["variant"] for row in compared.rows if row["variant"] in criteria]
    if not names:
        return
    bands = criteria[names[0]]
    asked = "; ".join(f"{band['title']} {signed_points(band['gain'])}" for band in bands)
    yield Text(f"What each band asks for over unified on the same personas, in points: {asked}.")
    rows = []
    for name in names:
        missed = next((band for band in criteria[name] if not band["met"]), None)
        missing = "" if missed is None else f"{missed['title']}: {'; '.join(missed['missing'])}"
        rows.append((name, *(_MET[band["met"]] for band in criteria[name]), missing))
    where = f"imported, {compared.protocol}" if compared.imported else compared.protocol
    columns = ("variant", *(band["title"] for band in bands), "what the first missed band needs")
    yield Table(f"Criteria on {compared.split} ({where}).", columns, tuple(rows))
    if compared.imported:
        own = [
            f"{name} {', '.join(reached)}"
            for name in names
            if (reached := [band["title"].lower() for band in criteria[name] if band["met_absolute"]])
        ]
        told = "; ".join(own) or "no variant reaches any"
        values = ", ".join(f"{band['title'].lower()} {points(band['absolute'])}" for band in bands)
        yield Text(f"By the study's own absolute values ({values}): {told}.")


def trees_section(gathered: Gathered) -> Section | None:
    """The trees that were begun, with the numbers that decided; None where none was."""
    blocks: list[Block] = []
    for entry in tree_library.entries(gathered.ws):
        try:
            found = stand(gathered.ws, tree_library.find(gathered.ws, entry.name))
        except EngineError as error:
            blocks.append(Text(f"{entry.title}: {error.message}", "note"))
            continue
        if any(finding.measured for finding in found.walk.findings.values()):
            blocks += _walked(found)
    return Section("Decision trees", tuple(blocks)) if blocks else None


def _walked(found: Stand) -> Iterator[Block]:
    tree, walk = found.tree, found.walk
    yield Text(f"{tree.title}: {tree.question}", "lead")
    yield Bullets(
        tuple(decision(walk, node_id).replace(" -> ", " \N{RIGHTWARDS ARROW} ") for node_id in walk.path)
    )
    gates = {gate_words(node.gate, tree.reference) for node in tree.nodes if node.gate and node.is_gated}
    if gates:
        yield Text(f"Its gates ask for {' or '.join(sorted(gates))}.")
    if (verdict := found.verdict) is not None:
        yield Text(f"Verdict: {verdict.words}.")
        if verdict.ahead is not None:
            yield Text(ahead_words(verdict.ahead))
