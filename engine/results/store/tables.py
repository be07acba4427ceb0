"""The tables of results.duckdb and the questions put to them. SQL only: opens nothing.

Migrations are named functions; `migrate` applies each once and records it in the same transaction.
"""

from __future__ import annotations

from typing import Any, Protocol

from engine.results.store.intake import METRIC_COLUMNS
from engine.runs.runfolder import now


class Connection(Protocol):
    """What is used of a database connection here."""

    def execute(self, query: str, parameters: Any = ..., /) -> Any: ...


TABLES = ("runs", "protocols", "variants", "scores", "texts")

VARIANTS = """
select v.run_id, v.variant_id, v.name, v.family, v.recipe, v.parameters_trained, v.train_seconds, v.aliases,
       r.finished_at as made_at, r.has_defaults
from variants v join runs r using (run_id)
"""
PROTOCOLS = """
select s.protocol, s.split,
       count(distinct s.variant_id) as variants, count(distinct s.persona_id) as personas,
       count(distinct s.example_id) as examples, max(r.finished_at) as newest_at
from scores s join runs r using (run_id)
group by s.protocol, s.split
order by max(max(r.finished_at)) over (partition by s.protocol) desc, s.protocol, s.split
"""
COVERAGE = """
select s.protocol, s.split, n.variant,
       count(distinct s.persona_id) as personas, count(distinct s.example_id) as examples
from scores s join runs r using (run_id) join names n using (variant_id)
group by s.protocol, s.split, n.variant
order by max(max(r.finished_at)) over (partition by s.protocol) desc, s.protocol, s.split, n.variant
"""
SCORES = """
select n.variant, s.persona_id, s.example_id, {value} as value
from best_scores s join names n using (variant_id)
where s.split = ? and s.protocol = ?
order by n.variant, s.persona_id, s.example_id
"""
MEANS = """
select n.variant, s.persona_id,
       avg({value}) as mean,
       coalesce(sum(coalesce(s.n_examples, 1)) filter (where {value} is not null), 0)::bigint as n,
       count(*) - count({value}) as n_undefined
from best_scores s join names n using (variant_id)
where s.split = ? and s.protocol = ?
group by n.variant, s.persona_id
order by n.variant, s.persona_id
"""
COSTS = """
select n.variant, avg(s.seconds) as seconds, avg(s.reply_tokens) as reply_tokens
from best_scores s join names n using (variant_id)
where s.split = ? and s.protocol = ?
group by n.variant
order by n.variant
"""
# Filtered before the newest run is chosen, and the texts as well: neither is looked through whole.
EXAMPLES = f"""
with asked as (
    select * from scores
    where split = ? and protocol = ?
      and (?::varchar is null or persona_id = ?)
      and (?::varchar is null or example_id = ?)
), best as (
    select s.* from asked s join runs r using (run_id)
    qualify row_number() over (
        partition by s.variant_id, s.example_id order by r.finished_at desc, r.run_id desc) = 1
), said as (
    select * from texts where example_id in (select example_id from asked)
)
select n.variant, s.persona_id, s.dialogue_id, s.turn, s.example_id, t.reply, t.reference, t.retrieved,
       s.prompt_tokens, s.reply_tokens, s.seconds, {", ".join(f"s.{name}" for name in METRIC_COLUMNS)}
from best s
join said t using (run_id, variant_id, split, protocol, example_id)
join names n using (variant_id)
where (?::varchar is null or n.variant = ?)
order by s.persona_id, s.dialogue_id, s.turn, n.variant
"""
PROTOCOL_FIELDS = "select protocol, list(fields order by run_id) from protocols group by protocol"
ORIGINS = "select run_id, experiment, version, seed, data_hash, base, parameters, upstream from runs"
SCORED = "select distinct protocol, split, variant_id from scores"
SCORED_THERE = "select distinct variant_id from scores where protocol = ? and split = ?"
SCORES_OF = """
select variant_id, example_id, persona_id, {columns} from best_scores
where protocol = ? and split = ? and variant_id in ({marks})
"""
_KEPT_WHERE = "where protocol = ? and split = ? and reference_id = ?"
KEPT = f"select metric, variant_id from statistics {_KEPT_WHERE} and version = ?"
STATISTICS = f"select metric, variant_id, record from statistics {_KEPT_WHERE} and version = ?"
KEEP_STATISTICS = "insert into statistics values (?, ?, ?, ?, ?, ?, ?)"
DROP_STATISTICS = f"delete from statistics {_KEPT_WHERE} and version <> ?"
FORGET_STATISTICS = """
delete from statistics
where variant_id in (select variant_id from variants where run_id = ?)
   or reference_id in (select variant_id from variants where run_id = ?)
"""
_SCORE_COLUMNS = (
    *("variant_id", "split", "protocol", "example_id", "persona_id", "dialogue_id", "turn"),
    *("prompt_tokens", "reply_tokens", "seconds"),
    *METRIC_COLUMNS,
    "n_examples",
)
_TEXT_COLUMNS = ("variant_id", "split", "protocol", "example_id", "reply", "reference", "retrieved")
INSERT_SCORES = f"insert into scores select ?, {', '.join(_SCORE_COLUMNS)} from incoming"
INSERT_TEXTS = f"insert into texts select ?, {', '.join(_TEXT_COLUMNS)} from incoming where reply is not null"


VOTES = """
select vote_id, cast_at, question_id, conversation_id, persona_id, example_id, message, choice,
       left_side, right_side
from votes order by place
"""
VOTES_TAKEN = "select signature from votes_file"
INSERT_VOTE = "insert into votes values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _m001_first_tables(connection: Connection) -> None:
    connection.execute(
        "create table runs (run_id varchar, experiment varchar, version integer, seed bigint,"
        " data_hash varchar, base varchar, parameters varchar, upstream varchar, has_defaults boolean,"
        " created_at varchar,"
        " finished_at varchar, seconds double, signature varchar)"
    )
    connection.execute("create table protocols (protocol varchar, run_id varchar, fields varchar)")
    connection.execute(
        "create table variants (run_id varchar, variant_id varchar, name varchar, family varchar,"
        " recipe varchar, parameters_trained bigint, train_seconds double, aliases varchar)"
    )
    metrics = ", ".join(f"{name} double" for name in METRIC_COLUMNS)
    connection.execute(
        "create table scores (run_id varchar, variant_id varchar, split varchar, protocol varchar,"
        " example_id varchar, persona_id varchar, dialogue_id varchar, turn bigint, prompt_tokens bigint,"
        f" reply_tokens bigint, seconds double, {metrics})"
    )
    connection.execute(
        "create table texts (run_id varchar, variant_id varchar, split varchar, protocol varchar,"
        " example_id varchar, reply varchar, reference varchar, retrieved varchar)"
    )


def _m002_one_score_an_example(connection: Connection) -> None:
    """Of several runs that scored one recipe on one example, the newest counts."""
    connection.execute(
        "create view best_scores as select s.* from scores s join runs r using (run_id)"
        " qualify row_number() over (partition by s.variant_id, s.protocol, s.split, s.example_id"
        " order by r.finished_at desc, r.run_id desc) = 1"
    )


def _m003_scores_of_several_examples(connection: Connection) -> None:
    """A row may be a persona's published mean: over how many examples it was taken; null for one example."""
    connection.execute("alter table scores add column n_examples bigint")
    connection.execute("drop view best_scores")
    _m002_one_score_an_example(connection)


def _m004_statistics(connection: Connection) -> None:
    """Paired statistics, one row a metric and pair of variants; `record` is a Comparison as JSON."""
    connection.execute(
        "create table statistics (protocol varchar, split varchar, reference_id varchar, metric varchar,"
        " variant_id varchar, version varchar, record varchar)"
    )


def _m005_votes(connection: Connection) -> None:
    """Blind votes, as data/votes.jsonl has them, and which state of that file they are."""
    connection.execute(
        "create table votes (place bigint, vote_id varchar primary key, cast_at varchar, question_id varchar,"
        " conversation_id varchar, persona_id varchar, example_id varchar, message varchar, choice varchar,"
        " left_side varchar, right_side varchar)"
    )
    connection.execute("create table votes_file (signature varchar)")


MIGRATIONS = (
    *(_m001_first_tables, _m002_one_score_an_example, _m003_scores_of_several_examples),
    *(_m004_statistics, _m005_votes),
)


def migrate(connection: Connection) -> None:
    """Bring a database, empty or of any earlier form, to the present one."""
    connection.execute("create table if not exists migrations (name varchar primary key, applied_at varchar)")
    applied = {name for (name,) in connection.execute("select name from migrations").fetchall()}
    for migration in MIGRATIONS:
        name = migration.__name__.removeprefix("_")
        if name in applied:
            continue
        connection.execute("begin")
        migration(connection)
        connection.execute("insert into migrations values (?, ?)", [name, now()])
        connection.execute("commit")
