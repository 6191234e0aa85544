-- What analysts read: which model served when, and why; no folders of a machine, which errors name, and no logins.

CREATE VIEW v_model WITH (security_barrier) AS
SELECT model, created, fingerprint, text_version, metrics, registered_at
  FROM model;

CREATE VIEW v_promotion WITH (security_barrier) AS
SELECT promotion_id, model, previous, kind, promoted_at, reason
  FROM promotion;

CREATE VIEW v_training_run WITH (security_barrier) AS
SELECT run_id, trigger, state, started_at, ended_at, as_of, champion, candidate, data_fingerprint, rows, verdict
  FROM training_run;
