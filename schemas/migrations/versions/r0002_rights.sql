-- Who trains and promotes adds to these three. What served, when and why stays as it was written: of a model only its
-- folder changes, of a promotion whether its message is out. Nobody but the tables' owner removes a row.

GRANT SELECT, INSERT ON model, promotion, training_run TO moodstream_trainer;
GRANT UPDATE (path) ON model TO moodstream_trainer;
GRANT UPDATE (announced_at) ON promotion TO moodstream_trainer;
GRANT UPDATE ON training_run TO moodstream_trainer;
GRANT SELECT ON v_model, v_promotion, v_training_run TO moodstream_analyst;

-- An extract as of a moment asks when a text was scored.
GRANT SELECT (scored_at, ingested_at, brand) ON sentiment TO moodstream_trainer;
