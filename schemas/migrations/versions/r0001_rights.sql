-- Who may do what. The three are group roles nobody logs in as: GRANT moodstream_analyst TO dana;
-- Roles belong to the whole server, so another database of it may have made them already, or at this moment.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['moodstream_worker', 'moodstream_analyst', 'moodstream_trainer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
    -- A login that may make temporary tables can fill the disk, and shadow a table for whoever trusts its search path.
    EXECUTE format('REVOKE TEMPORARY, CREATE ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

REVOKE CREATE ON SCHEMA :schema FROM PUBLIC;
GRANT USAGE ON SCHEMA :schema TO moodstream_worker, moodstream_analyst, moodstream_trainer;

GRANT SELECT, INSERT ON sentiment, alert, dead_letter, label, kafka_offset, mood_hourly TO moodstream_worker;
GRANT UPDATE ON kafka_offset, mood_hourly TO moodstream_worker;
GRANT SELECT ON alembic_version TO moodstream_worker, moodstream_trainer;
REVOKE ALL ON FUNCTION moodstream_make_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION moodstream_make_partitions(date) TO moodstream_worker;

GRANT SELECT ON v_sentiment, v_mood_hourly, v_alert, v_dead_letter, v_label TO moodstream_analyst;

GRANT SELECT (event_id, event_time, source, customer, text, flags, language, label, negative, neutral, positive, score,
              intensity, anger, angry, model, text_version, conversation_id, side, turn, product_id, category, channel,
              rating)
   ON sentiment TO moodstream_trainer;
GRANT SELECT ON label, v_label TO moodstream_trainer;
