-- Who trains and promotes writes these three; nobody but the tables' owner removes a row.

GRANT SELECT, INSERT, UPDATE ON model, promotion, training_run TO moodstream_trainer;
GRANT SELECT ON v_model, v_promotion, v_training_run TO moodstream_analyst;

-- An extract as of a moment asks when a text was scored.
GRANT SELECT (scored_at, ingested_at, brand) ON sentiment TO moodstream_trainer;
