-- What analysts read: no positions in Kafka, nothing that leads back to a person (an order number does), no payloads.

CREATE VIEW v_sentiment WITH (security_barrier) AS
SELECT event_id, event_time, scored_at, source, customer, text, flags, language,
       label, negative, neutral, positive, score, intensity, anger, angry, model,
       conversation_id, side, turn, customer_tier, product_id, category, brand, channel, rating
  FROM sentiment;

CREATE VIEW v_mood_hourly WITH (security_barrier) AS
SELECT hour, product_id, category, channel, language, source,
       sum(events)::bigint   AS events,
       sum(negative)::bigint AS negative,
       sum(neutral)::bigint  AS neutral,
       sum(positive)::bigint AS positive,
       sum(angry)::bigint    AS angry,
       sum(score_sum)        AS score_sum,
       sum(anger_sum)        AS anger_sum
  FROM mood_hourly
 GROUP BY hour, product_id, category, channel, language, source;

CREATE VIEW v_alert WITH (security_barrier) AS
SELECT alert_id, incident, rule, severity, reason, event_id, event_time, raised_at, source, customer, turns,
       anger, score, language, model, rules_version,
       conversation_id, customer_tier, product_id, category, brand, channel
  FROM alert;

CREATE VIEW v_dead_letter WITH (security_barrier) AS
SELECT dead_letter_id, reason, json_path, detail, raw_topic, raw_partition, raw_offset, ingested_at, failed_at, stage
  FROM dead_letter;

-- A label may answer one question and leave the other open: the latest answer to each.
CREATE VIEW v_label WITH (security_barrier) AS
SELECT event_id,
       max(event_time) AS event_time,
       max(given_at)   AS given_at,
       (array_agg(sentiment ORDER BY given_at DESC, label_id DESC) FILTER (WHERE sentiment IS NOT NULL))[1] AS sentiment,
       (array_agg(angry ORDER BY given_at DESC, label_id DESC) FILTER (WHERE angry IS NOT NULL))[1]         AS angry
  FROM label
 GROUP BY event_id;
