-- results.duckdb as it was after m005_votes: the tables as the code of that day made them, and a row in each.
CREATE TABLE migrations("name" VARCHAR PRIMARY KEY, applied_at VARCHAR);
CREATE TABLE protocols(protocol VARCHAR, run_id VARCHAR, fields VARCHAR);
CREATE TABLE runs(run_id VARCHAR, experiment VARCHAR, "version" INTEGER, seed BIGINT, data_hash VARCHAR, base VARCHAR, parameters VARCHAR, upstream VARCHAR, has_defaults BOOLEAN, created_at VARCHAR, finished_at VARCHAR, "seconds" DOUBLE, signature VARCHAR);
CREATE TABLE scores(run_id VARCHAR, variant_id VARCHAR, split VARCHAR, protocol VARCHAR, example_id VARCHAR, persona_id VARCHAR, dialogue_id VARCHAR, turn BIGINT, prompt_tokens BIGINT, reply_tokens BIGINT, "seconds" DOUBLE, embedding_similarity DOUBLE, device_precision DOUBLE, device_recall DOUBLE, device_f1 DOUBLE, param_precision DOUBLE, param_recall DOUBLE, param_f1 DOUBLE, numerical_precision DOUBLE, numerical_recall DOUBLE, numerical_mae DOUBLE, exact_action_match DOUBLE, length_ratio DOUBLE, n_examples BIGINT);
CREATE TABLE "statistics"(protocol VARCHAR, split VARCHAR, reference_id VARCHAR, metric VARCHAR, variant_id VARCHAR, "version" VARCHAR, record VARCHAR);
CREATE TABLE texts(run_id VARCHAR, variant_id VARCHAR, split VARCHAR, protocol VARCHAR, example_id VARCHAR, reply VARCHAR, reference VARCHAR, retrieved VARCHAR);
CREATE TABLE variants(run_id VARCHAR, variant_id VARCHAR, "name" VARCHAR, "family" VARCHAR, recipe VARCHAR, parameters_trained BIGINT, train_seconds DOUBLE, aliases VARCHAR);
CREATE TABLE votes(place BIGINT, vote_id VARCHAR PRIMARY KEY, cast_at VARCHAR, question_id VARCHAR, conversation_id VARCHAR, persona_id VARCHAR, example_id VARCHAR, message VARCHAR, choice VARCHAR, left_side VARCHAR, right_side VARCHAR);
CREATE TABLE votes_file(signature VARCHAR);
CREATE VIEW best_scores AS SELECT s.* FROM (scores AS s INNER JOIN runs AS r USING (run_id)) QUALIFY (row_number() OVER (PARTITION BY s.variant_id, s.protocol, s.split, s.example_id ORDER BY r.finished_at DESC, r.run_id DESC) = 1);
INSERT INTO migrations VALUES ('m001_first_tables', '2026-01-05T08:00:00.000+00:00'), ('m002_one_score_an_example', '2026-01-05T08:00:00.000+00:00'), ('m003_scores_of_several_examples', '2026-01-05T08:00:00.000+00:00'), ('m004_statistics', '2026-01-05T08:00:00.000+00:00'), ('m005_votes', '2026-01-05T08:00:00.000+00:00');
INSERT INTO runs VALUES ('gone-11111111', 'gone', 1, 0, 'd', 'embedded', '{}', '{}', true, '2026-01-05T08:00:00.000+00:00', '2026-01-05T08:00:00.000+00:00', 1.0, '1:1');
INSERT INTO protocols VALUES ('aaaaaaaaaaaa', 'gone-11111111', '{"metrics_version": "1-1.1"}');
INSERT INTO variants VALUES ('gone-11111111', '11111111', 'gone', 'test', '{"gone": 1}', 0, NULL, '[]');
INSERT INTO scores VALUES ('gone-11111111', '11111111', 'test', 'aaaaaaaaaaaa', 'p1/1#1', 'p1', 'p1/1', 1, 10, 5, 0.1, 0.5, 0.25, 0.25, NULL, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, NULL);
INSERT INTO texts VALUES ('gone-11111111', '11111111', 'test', 'aaaaaaaaaaaa', 'p1/1#1', 'a reply', 'a reference', NULL);
INSERT INTO statistics VALUES ('aaaaaaaaaaaa', 'test', '11111111', 'device_f1', '11111111', '1-bootstrap-t', '{}');
INSERT INTO votes_file VALUES ('0:0');
