"""The tables of results.duckdb and the questions put to them. SQL only, never built of values: opens nothing.

All that the tables hold comes from the run folders, so a database of an earlier form is made anew and the
runs are taken in again.
"""

from __future__ import annotations

FORM = "m007_votes_in_their_file_alone"
EARLIER_FORMS = frozenset(
    {
        *("m001_first_tables", "m002_one_score_an_example", "m003_scores_of_several_examples"),
        *("m004_statistics", "m005_votes", "m006_long_scores"),
    }
)
# An answer counts once (`best`: of several runs with one recipe, the newest); a score is a row a metric.
CREATE = """
create table migrations (name varchar primary key, applied_at varchar);
create table runs (run_id varchar, experiment varchar, version integer, seed bigint,
    data_hash varchar, base varchar, parameters varchar, upstream varchar, has_defaults boolean,
    created_at varchar, finished_at varchar, seconds double, signature varchar);
create table protocols (protocol varchar, run_id varchar, fields varchar);
create table variants (run_id varchar, variant_id varchar, name varchar, family varchar,
    recipe varchar, parameters_trained bigint, train_seconds double, aliases varchar);
create table answers (answer bigint, run_id varchar, variant_id varchar, split varchar,
    protocol varchar, example_id varchar, persona_id varchar, dialogue_id varchar, turn bigint,
    prompt_tokens bigint, reply_tokens bigint, seconds double, n_examples bigint, best boolean);
create table texts (answer bigint, example_id varchar, reply varchar, reference varchar, retrieved varchar);
create table scores (answer bigint, metric varchar, version varchar, part varchar, value double);
create table persona_sums (protocol varchar, split varchar, metric varchar, version varchar,
    part varchar, variant_id varchar, persona_id varchar, mean double, total double, n bigint,
    n_undefined bigint);
create table coverage (protocol varchar, split varchar, variant_id varchar, personas bigint,
    examples bigint, newest_at varchar);
create table places (protocol varchar, split varchar, personas bigint, examples bigint);
create table replied (run_id varchar);
create table computed (run_id varchar, metric varchar, version varchar);
create table scored (protocol varchar, split varchar, metric varchar, version varchar, variant_id varchar);
create table statistics (protocol varchar, split varchar, reference_id varchar, metric varchar,
    variant_id varchar, version varchar, record varchar);
"""
TABLES = frozenset(line.split()[2] for line in CREATE.splitlines() if line.startswith("create"))
OF_A_RUN = ("runs", "protocols", "variants", "answers", "replied", "computed")

VARIANTS = """
select v.run_id, v.variant_id, v.name, v.family, v.recipe, v.parameters_trained, v.train_seconds, v.aliases,
       r.finished_at as made_at, r.has_defaults
from variants v join runs r using (run_id)
"""
PROTOCOLS = """
select c.protocol, c.split, count(*) as variants, any_value(p.personas) as personas,
       any_value(p.examples) as examples, max(c.newest_at) as newest_at
from coverage c join places p using (protocol, split)
group by c.protocol, c.split
order by max(max(c.newest_at)) over (partition by c.protocol) desc, c.protocol, c.split
"""
COVERAGE = """
select c.protocol, c.split, n.variant, c.personas, c.examples
from coverage c join names n using (variant_id)
order by max(c.newest_at) over (partition by c.protocol) desc, c.protocol, c.split, n.variant
"""
# Of one metric's scores, those of the version in force, or of none, count.
_SCORES = """
from answers a join scores s using (answer)
where a.best and a.split = $split and a.protocol = $protocol
  and s.metric = $metric and s.version in ($version, '')
"""


def scores(*, of_variants: bool, of_persona: bool) -> str:
    """Return the question for scores, example by example: of all, of `$variants` (ids), of `$persona_id`."""
    only = " and a.variant_id in (select unnest($variants))" if of_variants else ""
    only += " and a.persona_id = $persona_id" if of_persona else ""
    return f"""
select n.variant, x.persona_id, x.example_id, x.value
from (select a.variant_id, a.persona_id, a.example_id, s.value {_SCORES}{only}) x
join names n using (variant_id)
order by n.variant, x.persona_id, x.example_id
"""


MEANS = """
select n.variant, p.persona_id, p.part, p.mean, p.total, p.n, p.n_undefined
from persona_sums p join names n using (variant_id)
where p.split = $split and p.protocol = $protocol and p.metric = $metric and p.version in ($version, '')
order by n.variant, p.persona_id
"""
WHOSE = """
select distinct p.persona_id
from persona_sums p
where p.split = $split and p.protocol = $protocol and p.metric = $metric and p.version in ($version, '')
order by p.persona_id
"""
# Persona by persona: what two variants share, over the examples that both hold a value for.
_PAIRS = f"""
with held as (select a.variant_id, a.example_id, a.persona_id, s.value {_SCORES}),
reference as (select example_id, persona_id, value from held where variant_id = $reference)
select h.variant_id, h.persona_id,
       {{ours}} as candidate,
       {{theirs}} as reference,
       {{apart}} as difference,
       {{square}} as square,
       count(h.value - r.value) as n_examples,
       count(*) filter (where r.example_id is null) as n_only_candidate,
       count(*) filter (where r.example_id is not null and h.value is null and r.value is not null)
           as n_null_candidate,
       count(*) filter (where r.example_id is not null and h.value is not null and r.value is null)
           as n_null_reference,
       count(*) filter (where r.example_id is not null and h.value is null and r.value is null)
           as n_null_both,
       coalesce(any_value(h.example_id) filter (where r.persona_id <> h.persona_id), '') as misplaced
from held h left join reference r using (example_id)
where h.variant_id in (select unnest($variants))
group by h.variant_id, h.persona_id
order by h.variant_id, h.persona_id
"""


def pairs(*, fractions: bool) -> str:
    """Return the question for pairs. The same values give the same means to the last bit, in whatever order.

    Fractions are added up as whole numbers, times 2^60: quicker than sorting every persona's examples.
    """
    apart = "h.value - r.value"
    both = {"ours": "h.value", "theirs": "r.value", "apart": apart, "square": f"({apart}) * ({apart})"}
    shared = "filter (where h.value is not null and r.value is not null)"
    scale = 2**60
    if fractions:
        mean = f"sum((({{}}) * {scale}.0)::hugeint) {shared} / {scale}.0::double / count({{}}) {shared}"
    else:
        mean = f"favg({{}} order by h.example_id) {shared}"
    return _PAIRS.format(**{name: mean.replace("{}", value) for name, value in both.items()})


# Persona by persona, the examples of what was made from several seeds: each the mean over its seeds.
OVER_SEEDS = f"""
with held as (select a.variant_id, a.example_id, a.persona_id, s.value {_SCORES}),
asked as (select unnest($owners) as owner, unnest($variants) as candidate, unnest($against) as reference),
averaged as (
    select asked.owner, c.persona_id, c.example_id, avg(c.value - r.value) as apart
    from asked join held c on c.variant_id = asked.candidate
    join held r on r.variant_id = asked.reference and r.example_id = c.example_id
    where c.value is not null and r.value is not null
    group by all
)
select owner, persona_id, count(*) as n_examples, coalesce(var_samp(apart), 0.0) as variance
from averaged group by all
"""
# The same for a statistic of the whole set: each persona's counts, over the examples that both hold.
COUNTED_PAIRS = f"""
with held as (select a.variant_id, a.example_id, a.persona_id, s.part, s.value {_SCORES}),
reference as (select distinct example_id from held where variant_id = $reference),
shared as (
    select h.variant_id, h.example_id, h.persona_id
    from held h join reference using (example_id)
    where h.variant_id in (select unnest($variants))
    group by all
)
select s.variant_id, s.persona_id, h.variant_id = $reference and s.variant_id <> $reference as of_reference,
       h.part, sum(h.value) as total, count(distinct s.example_id) as n_examples
from shared s join held h on h.example_id = s.example_id and h.variant_id in (s.variant_id, $reference)
group by all
order by all
"""
EXAMPLES_OF = f"""
select a.persona_id, count(distinct a.example_id) as n
{_SCORES} and a.variant_id = $reference
group by a.persona_id
"""
COSTS = """
select n.variant, avg(a.seconds) as seconds, avg(a.reply_tokens) as reply_tokens
from answers a join names n using (variant_id)
where a.best and a.split = $split and a.protocol = $protocol
group by n.variant
order by n.variant
"""
# The answers are filtered before their texts and scores are looked up: neither is looked through whole.
EXAMPLES = """
select a.answer, n.variant, a.persona_id, a.dialogue_id, a.turn, a.example_id, t.reply, t.reference,
       t.retrieved, a.prompt_tokens, a.reply_tokens, a.seconds
from answers a join texts t using (answer) join names n using (variant_id)
where a.best and a.split = $split and a.protocol = $protocol
  and ($persona_id::varchar is null or a.persona_id = $persona_id)
  and ($variants::varchar[] is null or list_contains($variants::varchar[], n.variant))
order by a.persona_id, a.dialogue_id, a.turn, n.variant
"""
EXAMPLE_SCORES = """
select answer, metric, version, value from scores
where part = '' and answer in (select unnest($answers))
"""
PROTOCOL_FIELDS = "select protocol, list(fields order by run_id) from protocols group by protocol"
TAKEN_IN = "select run_id, signature from runs order by run_id"
ORIGINS = "select run_id, experiment, version, seed, data_hash, base, parameters, upstream from runs"
RUNS_OF = "select run_id from runs where experiment = $experiment"
# Which runs were chosen as references is the workspace's word, read anew at each opening: never kept here.
PLACE_REFERENCES = "create or replace temp table chosen_references (run_id varchar)"
ADD_REFERENCE = "insert into chosen_references values (?)"
REFERENCES = "select run_id from chosen_references"
SCORED = "select protocol, split, metric, version, variant_id from scored"
# Published scores have no replies, and nothing can be computed for them.
UNSCORED = """
select m.metric, r.run_id
from runs r join replied using (run_id)
cross join (select unnest($metrics) as metric, unnest($versions) as version) m
where not exists (
    select 1 from computed c
    where c.run_id = r.run_id and c.metric = m.metric and c.version in (m.version, ''))
order by m.metric, r.finished_at, r.run_id
"""
_KEPT_WHERE = "where protocol = ? and split = ? and reference_id = ?"
STATISTICS = f"""
select metric, variant_id, version, record from statistics
{_KEPT_WHERE} and list_contains(?::varchar[], metric)
"""
KEEP_STATISTICS = "insert into statistics values (?, ?, ?, ?, ?, ?, ?)"
FORGET_STATISTIC = f"delete from statistics {_KEPT_WHERE} and metric = ? and variant_id = ?"
# What the scores of a variant rest on: the runs that made it, as they were taken in.
SIGNATURES = """
select v.variant_id, string_agg(r.run_id || ' ' || r.signature, ' ' order by r.run_id)
from variants v join runs r using (run_id)
where v.variant_id in (select unnest($variants))
group by v.variant_id
"""
FORGET_STATISTICS = """
delete from statistics
where variant_id in (select variant_id from variants where run_id = $run)
   or reference_id in (select variant_id from variants where run_id = $run)
"""
FIRST_FREE_ANSWER = "select coalesce(max(answer), -1) + 1 from answers"
INSERT_ANSWERS = """
insert into answers
select answer, $run, variant_id, split, protocol, example_id, persona_id, dialogue_id, turn,
       prompt_tokens, reply_tokens, seconds, n_examples, true
from incoming_answers
"""
INSERT_TEXTS = """
insert into texts select answer, example_id, reply, reference, retrieved
from incoming_answers where reply is not null
"""
INSERT_SCORES = """
insert into scores select a.answer, s.metric, s.version, s.part, s.value
from incoming_scores s join incoming_answers a using (variant, split, protocol, example_id)
order by s.metric, s.part, a.answer
"""
NOTE_REPLIED = """
insert into replied select $run where exists (select 1 from incoming_answers where reply is not null)
"""
NOTE_COMPUTED = "insert into computed select distinct $run, metric, version from incoming_scores"
FORGET_OF_ANSWERS = (
    "delete from scores where answer in (select answer from answers where run_id = $run)",
    "delete from texts where answer in (select answer from answers where run_id = $run)",
)
# Only where several runs scored one recipe is there anything to choose.
CHOOSE_BEST = """
update answers set best = chosen.best from (
    select a.answer, row_number() over (
        partition by a.variant_id, a.protocol, a.split, a.example_id
        order by r.finished_at desc, r.run_id desc) = 1 as best
    from answers a join runs r using (run_id)
    where a.variant_id in (select unnest($variants))
) chosen
where answers.answer = chosen.answer and answers.best <> chosen.best
"""
FORGET_SUMS = "delete from persona_sums where variant_id in (select unnest($variants))"
FORGET_COVERAGE = "delete from coverage where variant_id in (select unnest($variants))"
COVER = """
insert into coverage
select a.protocol, a.split, a.variant_id, count(distinct a.persona_id), count(distinct a.example_id),
       max(r.finished_at)
from answers a join runs r using (run_id)
where a.variant_id in (select unnest($variants))
group by a.protocol, a.split, a.variant_id
"""
FORGET_PLACES = "delete from places"
PLACES = "select count(*) from places"
COUNT_PLACES = """
insert into places
select protocol, split, count(distinct persona_id), count(distinct example_id) from answers group by all
"""
FORGET_SCORED = "delete from scored where variant_id in (select unnest($variants))"
SUM_UP = """
insert into persona_sums
select a.protocol, a.split, s.metric, s.version, s.part, a.variant_id, a.persona_id,
       favg(s.value order by a.example_id), fsum(s.value order by a.example_id),
       coalesce(sum(coalesce(a.n_examples, 1)) filter (where s.value is not null), 0)::bigint,
       count(*) - count(s.value)
from answers a join scores s using (answer)
where a.best and a.variant_id in (select unnest($variants))
group by a.protocol, a.split, s.metric, s.version, s.part, a.variant_id, a.persona_id
order by a.protocol, a.split, s.metric, s.version, s.part, a.variant_id, a.persona_id
"""
NOTE_SCORED = """
insert into scored select distinct protocol, split, metric, version, variant_id from persona_sums
where variant_id in (select unnest($variants))
"""
