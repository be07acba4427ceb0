"""The forms that results.duckdb has had, first to last: SQL text that is never built, and never changed.

`migrate` applies each once, in a transaction that records it. All that the tables hold comes from the run
folders, so a step that changes what is kept of a run empties them, and the runs are taken in again.
"""

from __future__ import annotations

from typing import Any, Protocol

from engine.runs.runfolder import now


class Connection(Protocol):
    """What is used of a database connection here."""

    def execute(self, query: str, parameters: Any = ..., /) -> Any: ...


MIGRATIONS: tuple[tuple[str, str], ...] = (
    (
        "m001_first_tables",
        """
        create table runs (run_id varchar, experiment varchar, version integer, seed bigint,
            data_hash varchar, base varchar, parameters varchar, upstream varchar, has_defaults boolean,
            created_at varchar, finished_at varchar, seconds double, signature varchar);
        create table protocols (protocol varchar, run_id varchar, fields varchar);
        create table variants (run_id varchar, variant_id varchar, name varchar, family varchar,
            recipe varchar, parameters_trained bigint, train_seconds double, aliases varchar);
        create table scores (run_id varchar, variant_id varchar, split varchar, protocol varchar,
            example_id varchar, persona_id varchar, dialogue_id varchar, turn bigint, prompt_tokens bigint,
            reply_tokens bigint, seconds double, embedding_similarity double, device_precision double,
            device_recall double, device_f1 double, param_precision double, param_recall double,
            param_f1 double, numerical_precision double, numerical_recall double, numerical_mae double,
            exact_action_match double, length_ratio double);
        create table texts (run_id varchar, variant_id varchar, split varchar, protocol varchar,
            example_id varchar, reply varchar, reference varchar, retrieved varchar);
        """,
    ),
    (
        "m002_one_score_an_example",
        """
        create view best_scores as select s.* from scores s join runs r using (run_id)
            qualify row_number() over (partition by s.variant_id, s.protocol, s.split, s.example_id
            order by r.finished_at desc, r.run_id desc) = 1;
        """,
    ),
    (
        "m003_scores_of_several_examples",
        """
        alter table scores add column n_examples bigint;
        drop view best_scores;
        create view best_scores as select s.* from scores s join runs r using (run_id)
            qualify row_number() over (partition by s.variant_id, s.protocol, s.split, s.example_id
            order by r.finished_at desc, r.run_id desc) = 1;
        """,
    ),
    (
        "m004_statistics",
        """
        create table statistics (protocol varchar, split varchar, reference_id varchar, metric varchar,
            variant_id varchar, version varchar, record varchar);
        """,
    ),
    (
        "m005_votes",
        """
        create table votes (place bigint, vote_id varchar primary key, cast_at varchar, question_id varchar,
            conversation_id varchar, persona_id varchar, example_id varchar, message varchar, choice varchar,
            left_side varchar, right_side varchar);
        create table votes_file (signature varchar);
        """,
    ),
    # An answer counts once (`best`: of several runs with one recipe, the newest); a score is a row a metric.
    (
        "m006_long_scores",
        """
        drop view best_scores;
        drop table scores;
        drop table texts;
        delete from statistics;
        delete from variants;
        delete from protocols;
        delete from runs;
        create table answers (answer bigint, run_id varchar, variant_id varchar, split varchar,
            protocol varchar, example_id varchar, persona_id varchar, dialogue_id varchar, turn bigint,
            prompt_tokens bigint, reply_tokens bigint, seconds double, n_examples bigint, best boolean);
        create table texts (answer bigint, example_id varchar, reply varchar, reference varchar,
            retrieved varchar);
        create table scores (answer bigint, metric varchar, version varchar, part varchar, value double);
        create table persona_sums (protocol varchar, split varchar, metric varchar, version varchar,
            part varchar, variant_id varchar, persona_id varchar, mean double, total double, n bigint,
            n_undefined bigint);
        create table coverage (protocol varchar, split varchar, variant_id varchar, personas bigint,
            examples bigint, newest_at varchar);
        create table places (protocol varchar, split varchar, personas bigint, examples bigint);
        create table replied (run_id varchar);
        create table computed (run_id varchar, metric varchar, version varchar);
        create table scored (protocol varchar, split varchar, metric varchar, version varchar,
            variant_id varchar);
        """,
    ),
)


TABLES = (
    *("runs", "protocols", "variants", "answers", "texts", "scores", "persona_sums", "coverage", "places"),
    *("replied", "computed", "scored", "statistics", "votes", "votes_file"),
)
"""What a database of the present form holds."""


def migrate(connection: Connection) -> None:
    """Bring a database, empty or of any earlier form, to the present one."""
    connection.execute("create table if not exists migrations (name varchar primary key, applied_at varchar)")
    applied = {name for (name,) in connection.execute("select name from migrations").fetchall()}
    for name, script in MIGRATIONS:
        if name in applied:
            continue
        connection.execute("begin")
        connection.execute(script)
        connection.execute("insert into migrations values (?, ?)", [name, now()])
        connection.execute("commit")
