"""The catalogue of metrics: each with what it tells you and what to do when it moves.

Names follow Prometheus' conventions: a unit suffix, `_total` on counters. The worker serves them at `/metrics`.
"""

from prometheus_client import Counter, Gauge, Histogram

# --- the loop, by stage ----------------------------------------------------------------------------------------------
EVENTS = Counter(
    "moodstream_events_total",
    "Deliveries settled and committed. Flat while publishers are busy: look at the stage's log and batch_held.",
    ["stage"],
)
RECORDS = Counter("moodstream_records_total", "Records published, by topic.", ["stage", "topic"])
DEAD_LETTERS = Counter(
    "moodstream_dead_letters_total",
    "Events nobody could process. A sudden rise: a publisher changed its format; see `moodstream tail dead.letters`.",
    ["stage", "reason"],
)
BATCH_EVENTS = Histogram(
    "moodstream_batch_events",
    "Deliveries in a batch. At its upper bound all the time: the stage is behind; add workers.",
    ["stage"],
    buckets=(1, 10, 50, 100, 250, 500, 1000, 2000, 5000, 20_000),
)
SETTLE_SECONDS = Histogram(
    "moodstream_settle_seconds", "Time a stage takes to settle one batch.", ["stage"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip
COMMIT_SECONDS = Histogram(
    "moodstream_commit_seconds", "Time from a settled batch to its commit. High: the broker or its disk is slow.",
    ["stage"], buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip
BATCH_HELD = Counter(
    "moodstream_batch_held_total",
    "A batch was held and will be tried again. Rising: the named neighbour is down; nothing is lost, only late.",
    ["stage", "cause"],
)
SESSIONS = Counter(
    "moodstream_sessions_total",
    "Kafka clients opened. More than one a rebalance or outage: workers share a slot, or batches take too long.",
    ["stage"],
)
DELAY_SECONDS = Histogram(
    "moodstream_delay_seconds",
    "From the record's arrival in its input topic to the commit of what became of it.",
    ["stage"], buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)  # fmt: skip
LAST_PROGRESS = Gauge(
    "moodstream_last_progress_timestamp_seconds",
    "When the stage last polled or committed. Older than a minute: it hangs; /health fails, restart it.",
    ["stage"],
)

# --- scoring ---------------------------------------------------------------------------------------------------------
TEXTS = Counter("moodstream_texts_total", "Texts scored, by language and label.", ["language", "label"])
TEXTS_SEEN = Counter("moodstream_texts_seen_total", "Texts answered from memory of those just seen, not scored again.")
SCORER_BROKEN = Counter("moodstream_scorer_broken_total", "Batches held because the model failed its own canary text.")
MODEL = Gauge("moodstream_model_info", "The model that serves now (value 1).", ["model"])
MODEL_SWITCHES = Counter(
    "moodstream_model_switches_total",
    "Promotions heard, by outcome. A refused one: the log says why; the worker serves with the model it had.",
    ["outcome"],
)

# --- alerting --------------------------------------------------------------------------------------------------------
ALERTS = Counter("moodstream_alerts_total", "Alerts raised, by rule and severity.", ["rule", "severity"])
ALERT_MEMORY_LOST = Counter(
    "moodstream_alert_memory_lost_total",
    "The alert memory in Redis was missing where it should have been. Alerts go on; lasting anger counts anew.",
)

# --- recording -------------------------------------------------------------------------------------------------------
ROWS = Counter("moodstream_rows_total", "Rows new in PostgreSQL, by table.", ["table"])
ROWS_REPEATED = Counter(
    "moodstream_rows_repeated_total", "Rows that were there already: a replay, or an event published twice.", ["table"]
)

# --- notifying -------------------------------------------------------------------------------------------------------
NOTIFICATIONS = Counter(
    "moodstream_notifications_total", "Alerts handed to a channel, by outcome.", ["channel", "outcome"]
)
