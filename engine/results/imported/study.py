"""A folder of result files as one study: its variants, what they were scored on, and what does not fit.

Owns which files are variants of their own and which repeat another. Refuses a folder with any fault, naming
all of them.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from engine.core.errors import DataError, EngineError, Fault
from engine.core.limits import check_time, in_time, limits
from engine.core.wording import count
from engine.data.folder import files_in
from engine.results.imported.files import PUBLISHED_METRIC, PersonaScore, ResultFile, read_file
from engine.results.variants import BOUND

SUFFIXES = (".json", ".csv")
_RESULTS = ("personas", "routes", "average")
_SAME = 1e-6
_MOST_EXAMPLES = 200
# The study's folders, by what this product calls the same strategy: family, and the variant's name here.
STRATEGIES: Mapping[str, tuple[str, str]] = {
    "baseline": ("prompt", "base"),
    "unified": ("unified", "unified"),
    "personalized": ("per-persona", "per-persona"),
    "hybrid": ("hybrid", "hybrid"),
    "prefix_per_user": ("prefix", "prefix"),
    "cluster_lora": ("cluster", "cluster"),
    "weighted_merge": ("merge", "merge-weighted"),
    "moe_sparse": ("merge", "merge-moe"),
    "selective_routing": ("routing", "routing"),
}
Counted = Literal["file", "inferred", "unknown"]


@dataclass(frozen=True, slots=True)
class PublishedVariant:
    """One variant of the study. `scores` is empty for a file that holds an average only.

    `counted` says where the numbers of examples come from: the file, the lengths of its references, or
    nowhere. `derived` says how it follows from other files, None for a file's own scores.
    """

    name: str
    file: str
    digest: str
    family: str
    scores: tuple[PersonaScore, ...]
    aliases: tuple[str, ...] = ()
    counted: Counted = "unknown"
    average: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    derived: str | None = None

    @property
    def mean(self) -> float | None:
        """The mean similarity over its personas, or the published average; None when there is neither."""
        values = [score.values.get(PUBLISHED_METRIC) for score in self.scores]
        known = [value for value in values if value is not None]
        return fsum(known) / len(known) if known else self.average.get(PUBLISHED_METRIC)


@dataclass(frozen=True, slots=True)
class Study:
    """All that a folder holds. `digests` are the sha256 of the result files, `left_aside` the other files."""

    variants: tuple[PublishedVariant, ...]
    digests: Mapping[str, str]
    left_aside: tuple[str, ...]
    clusters: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def personas(self) -> tuple[str, ...]:
        return tuple(sorted({score.persona_id for one in self.variants for score in one.scores}))


@in_time()
def read_study(folder: Path, *, named: bool = True, label: str = "") -> Study:
    """Return the study in `folder` and below; `named` says that the folder's own name means something.

    `label` is what its user knows it by, where that is not its path.
    Raises DataError with the faults of all files, and EngineError where there are no results by persona.
    """
    paths = _paths(folder)
    found, faults = [], []
    for path in paths:
        check_time()
        one, wrong = read_file(path, path.relative_to(folder).as_posix())
        found.append(one)
        faults += wrong
        if len(faults) >= limits().faults:
            break
    faults += _missing(found)
    if faults:
        files = len({fault.file for fault in faults})
        raise DataError(
            f"{label or folder} was not imported: {count(len(faults), 'fault')} in {count(files, 'file')}.",
            faults,
            "Mend the files, or take the faulty ones out of the folder; nothing was changed here.",
        )
    if not any(one.scores for one in found):
        raise EngineError(
            f"{label or folder} holds no results by persona ({len(paths)} .json and .csv files were read).",
            "Name the folder with the study's result files, such as per_persona_results.json.",
        )
    return _study(_renamed(found, folder.name if named else ""))


def _paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise EngineError(
            f"There is no folder {folder}.", "Name the folder with the result files, or a .zip."
        )
    return files_in(folder, SUFFIXES)


def _renamed(found: Sequence[ResultFile], folder: str) -> list[ResultFile]:
    """Name the files from the folder that all results lie in, so that a study is the same from above it."""
    places = [PurePosixPath(folder, one.name).parent for one in found if one.kind in _RESULTS]
    common = PurePosixPath(os.path.commonpath(places))
    root = common.parent if common in places else common
    return [
        replace(one, name=str(PurePosixPath(folder, one.name).relative_to(root)))
        if one.kind in _RESULTS
        else one
        for one in found
    ]


def _missing(found: Sequence[ResultFile]) -> list[Fault]:
    """Files that claim other numbers of personas than they, or the file they sum up, hold."""
    faults = []
    for one in found:
        if one.scores and one.declared is not None and one.declared != len(one.scores):
            faults.append(Fault(one.name, 0, f"says {one.declared} personas, holds {len(one.scores)}"))
        if one.kind != "average" or one.of_cluster or one.declared is None:
            continue
        for other in found:
            beside = other.kind == "personas" and other.folder == one.folder and other.declared is None
            if beside and len(other.scores) != one.declared:
                says = f"{one.name} says {one.declared} personas, this file holds {len(other.scores)}"
                faults.append(Fault(other.name, 0, says))
    return faults


def _study(found: Sequence[ResultFile]) -> Study:
    scored = [one for one in found if one.kind == "personas"]
    averages = [one for one in found if one.kind == "average"]
    routers = [one for one in found if one.kind == "routes"]
    variants: list[PublishedVariant] = []
    for name in dict.fromkeys(one.folder for one in scored):
        variants += _of_folder(name, [one for one in scored if one.folder == name], averages)
    for one in averages:
        if not any(_repeats(one, other) for other in scored if other.folder == one.folder):
            variants.append(_average_only(one))
    for one in routers:
        variants += _routed(one, variants)
    clusters = next((one.config for one in found if one.kind == "clusters"), {})
    return Study(
        variants=tuple(variants),
        digests={one.name: one.digest for one in (*scored, *averages, *routers)},
        left_aside=tuple(one.name for one in found if one.kind == "other"),
        clusters=_cluster_facts(clusters),
        config=next((one.config for one in averages if one.config.get("model")), {}),
    )


def _of_folder(
    folder: str, files: Sequence[ResultFile], averages: Sequence[ResultFile]
) -> list[PublishedVariant]:
    """The variants of one folder: files with the same scores are one, the one that says most."""
    groups: list[list[ResultFile]] = []
    for one in sorted(files, key=_says_most, reverse=True):
        group = next((held for held in groups if _same(held[0], one)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    family, alias = STRATEGIES.get(folder, ("published", folder))
    found = []
    for group in groups:
        best = group[0]
        alone = len(groups) == 1
        name = folder if alone else f"{folder}/{best.stem}"
        others = [alias] if alone and alias != name else []
        others += [f"{folder}/{one.stem}" for one in group[1:]]
        scores, counted = _counted(best.scores)
        beside = [one for one in averages if one.folder == folder and _repeats(one, best)]
        found.append(
            PublishedVariant(
                name=name,
                file=best.name,
                digest=best.digest,
                family=family,
                scores=scores,
                aliases=tuple(others),
                counted=counted,
                average=beside[0].average if beside else {},
                config=beside[0].config if beside else {},
            )
        )
    return found


def _says_most(one: ResultFile) -> tuple[int, int, str]:
    values = sum(len(score.values) for score in one.scores)
    return values, sum(score.n_examples is not None for score in one.scores), one.name


def _same(one: ResultFile, other: ResultFile) -> bool:
    """Tell whether two files hold the same personas with the same values where both hold one."""
    if one.kind != other.kind or len(one.scores) != len(other.scores):
        return False
    compared = 0
    for ours, theirs in zip(one.scores, other.scores, strict=True):
        if ours.persona_id != theirs.persona_id:
            return False
        for metric in set(ours.values) & set(theirs.values):
            if not _equal(ours.values[metric], theirs.values[metric]):
                return False
            compared += 1
    return compared > 0


def _equal(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else abs(one - other) <= _SAME


def _repeats(average: ResultFile, scored: ResultFile) -> bool:
    """Tell whether an average is that of the file's personas, or of their examples."""
    published = average.average.get(PUBLISHED_METRIC)
    pairs = [
        (score.values[PUBLISHED_METRIC], score.n_examples or 1)
        for score in scored.scores
        if score.values.get(PUBLISHED_METRIC) is not None
    ]
    if published is None or not pairs:
        return False
    means = (
        fsum(float(value or 0) for value, _ in pairs) / len(pairs),
        fsum(float(value or 0) * n for value, n in pairs) / sum(n for _, n in pairs),
    )
    return any(abs(published - mean) <= 1e-5 for mean in means)


def _counted(scores: tuple[PersonaScore, ...]) -> tuple[tuple[PersonaScore, ...], Counted]:
    """The scores with their numbers of examples: as told, else the one number that the lengths allow.

    A mean of n whole numbers times n is whole: the smallest n for which that holds for every persona.
    """
    if all(score.n_examples is not None for score in scores):
        return scores, "file"
    words = [score.reference_words for score in scores]
    if len(words) < 10 or any(one is None for one in words):
        return scores, "unknown"
    for n in range(2, _MOST_EXAMPLES + 1):
        if all(abs(n * (one or 0) - round(n * (one or 0))) < _SAME for one in words):
            return tuple(replace(score, n_examples=n) for score in scores), "inferred"
    return scores, "unknown"


def _average_only(one: ResultFile) -> PublishedVariant:
    return PublishedVariant(
        name=f"{one.folder}/{one.stem}",
        file=one.name,
        digest=one.digest,
        family=STRATEGIES.get(one.folder, ("published", ""))[0],
        scores=(),
        average=one.average,
        config={**one.config, "num_personas": one.declared},
    )


def _routed(one: ResultFile, variants: Sequence[PublishedVariant]) -> list[PublishedVariant]:
    """A router's choices with each persona's own scores, and the best of its candidates as a bound.

    Where the study does not hold the scores of what was chosen, the file's own are all there is.
    """
    family, alias = STRATEGIES.get(one.folder, ("routing", one.folder))
    published = PublishedVariant(one.folder, one.name, one.digest, family, one.scores, (alias,))
    models = {name: _scores_of(name, variants) for name in one.candidates}
    routes = {score.persona_id: score.route or "" for score in one.scores}
    if not models or any(persona not in models.get(route, {}) for persona, route in routes.items()):
        return [published]
    own = tuple(models[route][persona] for persona, route in routes.items())
    best = tuple(
        max((held[persona] for held in models.values() if persona in held), key=_similarity)
        for persona in routes
    )
    strange = Counter(
        theirs.values[PUBLISHED_METRIC]
        for theirs, ours in zip(one.scores, own, strict=True)
        if not _equal(theirs.values[PUBLISHED_METRIC], ours.values.get(PUBLISHED_METRIC))
    )
    routed = replace(
        published,
        scores=own,
        counted="file",
        average={PUBLISHED_METRIC: published.mean or 0.0},
        derived="the file's choices, with each persona's own scores",
        config={"not_own": sum(strange.values()), "alike": strange.most_common(1)},
    )
    bound = replace(
        routed,
        name=f"{one.folder}+best-of-all",
        family=BOUND,
        aliases=(),
        scores=best,
        average={},
        config={},
        derived="the best candidate for each persona, chosen on these very scores",
    )
    return [routed, bound]


def _scores_of(name: str, variants: Sequence[PublishedVariant]) -> dict[str, PersonaScore]:
    held = next((one for one in variants if one.scores and name in (one.name, *one.aliases)), None)
    return {score.persona_id: score for score in held.scores} if held else {}


def _similarity(score: PersonaScore) -> float:
    value = score.values.get(PUBLISHED_METRIC)
    return float("-inf") if value is None else value


def _cluster_facts(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a cluster file says of its quality: number, silhouette and sizes."""
    if not document:
        return {}
    sizes = Counter(str(cluster) for cluster in document["cluster_map"].values())
    return {
        "k": len(sizes),
        "silhouette": document.get("silhouette_score"),
        "sizes": [sizes[name] for name in sorted(sizes)],
    }
