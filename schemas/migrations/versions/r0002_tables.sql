-- The tables of the models; schemas/tables.py says what each is for. Every time is UTC, cut to milliseconds.

CREATE TABLE model (
    model         text           NOT NULL,
    path          text           NOT NULL,
    created       timestamptz(3),
    fingerprint   text           NOT NULL,
    text_version  integer,
    metrics       jsonb          NOT NULL,
    registered_at timestamptz(3) NOT NULL,
    registered_by text           NOT NULL,
    CONSTRAINT pk_model PRIMARY KEY (model)
);
COMMENT ON TABLE model IS 'Every bundle that was registered; a name stands for one content for ever';

CREATE TABLE promotion (
    promotion_id text           NOT NULL,
    model        text           NOT NULL,
    path         text           NOT NULL,
    previous     text,
    kind         text           NOT NULL,
    promoted_at  timestamptz(3) NOT NULL,
    promoted_by  text           NOT NULL,
    reason       text           NOT NULL,
    announced_at timestamptz(3),
    CONSTRAINT pk_promotion PRIMARY KEY (promotion_id),
    CONSTRAINT fk_promotion_model FOREIGN KEY (model) REFERENCES model (model),
    CONSTRAINT ck_promotion_kind CHECK (kind IN ('promote', 'rollback'))
);
COMMENT ON TABLE promotion IS 'Every change of the model that serves; the latest row names the champion';
CREATE UNIQUE INDEX ux_promotion_promoted_at ON promotion (promoted_at);

CREATE TABLE training_run (
    run_id           text           NOT NULL,
    trigger          text           NOT NULL,
    state            text           NOT NULL,
    started_at       timestamptz(3) NOT NULL,
    ended_at         timestamptz(3),
    as_of            timestamptz(3) NOT NULL,
    champion         text           NOT NULL,
    candidate        text,
    candidate_path   text,
    data_fingerprint text,
    rows             integer,
    verdict          jsonb,
    error            text,
    CONSTRAINT pk_training_run PRIMARY KEY (run_id),
    CONSTRAINT ck_training_run_trigger CHECK (trigger IN ('labels', 'age', 'hand')),
    CONSTRAINT ck_training_run_state CHECK (state IN ('running', 'refused', 'promoted', 'passed', 'failed'))
);
COMMENT ON TABLE training_run IS
    'Every turn of the loop that renews the model, with its verdict; one runs at a time';
CREATE UNIQUE INDEX ux_training_run_running ON training_run (state) WHERE state = 'running';
CREATE INDEX ix_training_run_started_at ON training_run (started_at);
