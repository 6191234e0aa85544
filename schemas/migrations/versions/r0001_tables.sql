-- The tables; schemas/tables.py says what each is for. Every time is UTC, cut to milliseconds.

CREATE TABLE sentiment (
    event_id        text             NOT NULL,
    event_time      timestamptz(3)   NOT NULL,
    scored_at       timestamptz(3)   NOT NULL,
    ingested_at     timestamptz(3)   NOT NULL,
    source          text             NOT NULL,
    raw_topic       text             NOT NULL,
    raw_partition   integer          NOT NULL,
    raw_offset      bigint           NOT NULL,
    customer        text             NOT NULL,
    text            text             NOT NULL,
    flags           text[]           NOT NULL,
    language        text             NOT NULL,
    label           text             NOT NULL,
    negative        double precision NOT NULL,
    neutral         double precision NOT NULL,
    positive        double precision NOT NULL,
    score           double precision NOT NULL,
    intensity       smallint         NOT NULL,
    anger           double precision NOT NULL,
    angry           boolean          NOT NULL,
    model           text             NOT NULL,
    text_version    integer          NOT NULL,
    conversation_id text,
    side            text,
    turn            integer,
    customer_tier   text,
    product_id      text,
    category        text,
    brand           text,
    channel         text,
    order_id        text,
    rating          smallint,
    CONSTRAINT pk_sentiment PRIMARY KEY (event_id, event_time)
) PARTITION BY RANGE (event_time);
COMMENT ON TABLE sentiment IS
    'One row a scored text; a partition a UTC day, made by moodstream_make_partitions(day)';
CREATE INDEX ix_sentiment_product ON sentiment (product_id, event_time);
CREATE INDEX ix_sentiment_customer ON sentiment (customer, event_time);
CREATE INDEX ix_sentiment_conversation ON sentiment (conversation_id) WHERE conversation_id IS NOT NULL;
CREATE INDEX ix_sentiment_angry ON sentiment (event_time) WHERE angry;

CREATE TABLE alert (
    alert_id        text             NOT NULL,
    incident        text             NOT NULL,
    rule            text             NOT NULL,
    severity        smallint         NOT NULL,
    reason          text             NOT NULL,
    event_id        text             NOT NULL,
    event_time      timestamptz(3)   NOT NULL,
    raised_at       timestamptz(3)   NOT NULL,
    source          text             NOT NULL,
    customer        text             NOT NULL,
    turns           jsonb            NOT NULL,
    anger           double precision NOT NULL,
    score           double precision NOT NULL,
    language        text             NOT NULL,
    model           text             NOT NULL,
    rules_version   text             NOT NULL,
    conversation_id text,
    customer_tier   text,
    product_id      text,
    category        text,
    brand           text,
    channel         text,
    order_id        text,
    CONSTRAINT pk_alert PRIMARY KEY (alert_id)
);
COMMENT ON TABLE alert IS 'One row an alert raised';
CREATE INDEX ix_alert_raised_at ON alert (raised_at);
CREATE INDEX ix_alert_incident ON alert (incident);
CREATE INDEX ix_alert_customer ON alert (customer, raised_at);

CREATE TABLE dead_letter (
    dead_letter_id text           NOT NULL,
    reason         text           NOT NULL,
    json_path      text           NOT NULL,
    detail         text           NOT NULL,
    raw_topic      text           NOT NULL,
    raw_partition  integer        NOT NULL,
    raw_offset     bigint         NOT NULL,
    ingested_at    timestamptz(3) NOT NULL,
    failed_at      timestamptz(3) NOT NULL,
    stage          text           NOT NULL,
    key            bytea,
    payload        bytea,
    CONSTRAINT pk_dead_letter PRIMARY KEY (dead_letter_id)
);
COMMENT ON TABLE dead_letter IS 'One row an event nobody could process, kept whole';
CREATE INDEX ix_dead_letter_failed_at ON dead_letter (failed_at);

CREATE TABLE label (
    label_id   text           NOT NULL,
    event_id   text           NOT NULL,
    event_time timestamptz(3) NOT NULL,
    given_at   timestamptz(3) NOT NULL,
    given_by   text           NOT NULL,
    origin     text           NOT NULL,
    sentiment  text,
    angry      boolean,
    note       text           NOT NULL,
    CONSTRAINT pk_label PRIMARY KEY (label_id)
);
COMMENT ON TABLE label IS 'Every label a person gave; v_label has the latest answer to each question';
CREATE INDEX ix_label_event ON label (event_id, given_at);
CREATE INDEX ix_label_given_at ON label (given_at);

-- A few rows, rewritten with every batch: room in the page lets each rewrite stay in it.
CREATE TABLE kafka_offset (
    grp         text           NOT NULL,
    topic       text           NOT NULL,
    kpart       integer        NOT NULL,
    next_offset bigint         NOT NULL,
    topic_id    text,
    moved_at    timestamptz(3) NOT NULL DEFAULT now(),
    CONSTRAINT pk_kafka_offset PRIMARY KEY (grp, topic, kpart)
) WITH (fillfactor = 20);
COMMENT ON TABLE kafka_offset IS
    'Up to where each partition is recorded; moves by compare-and-set in the transaction of the rows';

CREATE TABLE mood_hourly (
    hour       timestamptz(3)   NOT NULL,
    product_id text             NOT NULL,
    category   text             NOT NULL,
    channel    text             NOT NULL,
    language   text             NOT NULL,
    source     text             NOT NULL,
    kpart      integer          NOT NULL,
    events     bigint           NOT NULL,
    negative   bigint           NOT NULL,
    neutral    bigint           NOT NULL,
    positive   bigint           NOT NULL,
    angry      bigint           NOT NULL,
    score_sum  double precision NOT NULL,
    anger_sum  double precision NOT NULL,
    CONSTRAINT pk_mood_hourly PRIMARY KEY (hour, product_id, category, channel, language, source, kpart)
) WITH (fillfactor = 70);
COMMENT ON TABLE mood_hourly IS
    'Customers'' texts (an agent''s turns are not a customer''s mood) counted by hour. kpart is one of the writer''s partitions: it keeps workers off each other''s rows; v_mood_hourly sums over it';
CREATE INDEX ix_mood_hourly_product ON mood_hourly (product_id, hour);
