-- One UTC day's partition of `sentiment`; true if it was missing. It belongs to the tables' owner whoever calls, so that
-- the worker needs no right to create anything.
--
-- LIKE and ATTACH, not PARTITION OF: that would lock every reader out of the parent. The advisory lock, because IF NOT
-- EXISTS races. There is no default partition: it would block ATTACH. A day outside the bounds is the row's fault
-- (SQLSTATE 22008), so that one wild date cannot fill the catalogue.
CREATE FUNCTION moodstream_make_partitions(day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = :schema, pg_temp
AS $$
DECLARE
    leaf text := 'sentiment_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF day < date '2000-01-01' OR day > current_date + 366 THEN
        RAISE datetime_field_overflow USING MESSAGE = format('no partition is made for the day %s', day);
    END IF;
    FOR attempt IN 1..2 LOOP
        -- Not to_regclass(): it would answer from a cache that waiting for the advisory lock does not refresh.
        IF EXISTS (SELECT FROM pg_class WHERE relname = leaf AND relnamespace = current_schema()::regnamespace) THEN
            RETURN false;
        END IF;
        PERFORM pg_advisory_xact_lock(hashtextextended('moodstream partitions', 0));
    END LOOP;
    EXECUTE format('CREATE TABLE %I (LIKE sentiment INCLUDING ALL)', leaf);
    EXECUTE format(
        'ALTER TABLE sentiment ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        leaf, day || ' 00:00:00+00', day + 1 || ' 00:00:00+00'
    );
    RETURN true;
END
$$;
