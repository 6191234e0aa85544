"""What PostgreSQL keeps: one table a topic, the offsets that were recorded, the hourly rollup, the models.

`model`, `promotion` and `training_run` are written by who trains and promotes (`stream_app/serving/registry.py`, the
trainer), everything else by `stream_app/recording` alone. Analysts read the views (`v_sentiment`, `v_mood_hourly`,
`v_alert`, `v_dead_letter`, `v_label`, `v_model`, `v_promotion`, `v_training_run`), which the migrations define. Columns
are named as the events' fields are.

Group roles: nobody logs in as one; an administrator grants them to logins:

    CREATE ROLE dana LOGIN PASSWORD '…';  GRANT moodstream_analyst TO dana;
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

WORKER = "moodstream_worker"  # records: SELECT and INSERT; UPDATE on offsets and rollup only
ANALYST = "moodstream_analyst"  # SELECT on the views
TRAINER = "moodstream_trainer"  # SELECT on labels and what a model learns from; writes models, promotions and runs

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    },
)


def _instant(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    """UTC, milliseconds: times are keys, and one event has one key wherever it is read."""
    return sa.Column(name, pg.TIMESTAMP(timezone=True, precision=3), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _number(name: str, kind: type[sa.types.TypeEngine[Any]], *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def _one_of(name: str, *values: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(sa.column(name).in_(values), name=name)


sentiment = sa.Table(
    "sentiment",
    metadata,
    _text("event_id"),
    _instant("event_time"),
    _instant("scored_at"),
    _instant("ingested_at"),
    _text("source"),
    _text("raw_topic"),
    _number("raw_partition", sa.Integer),
    _number("raw_offset", sa.BigInteger),
    _text("customer"),
    _text("text"),
    sa.Column("flags", pg.ARRAY(sa.Text), nullable=False),
    _text("language"),
    _text("label"),
    _number("negative", sa.Double),
    _number("neutral", sa.Double),
    _number("positive", sa.Double),
    _number("score", sa.Double),
    _number("intensity", sa.SmallInteger),
    _number("anger", sa.Double),
    _number("angry", sa.Boolean),
    _text("model"),
    _number("text_version", sa.Integer),
    _text("conversation_id", nullable=True),
    _text("side", nullable=True),
    _number("turn", sa.Integer, nullable=True),
    _text("customer_tier", nullable=True),
    _text("product_id", nullable=True),
    _text("category", nullable=True),
    _text("brand", nullable=True),
    _text("channel", nullable=True),
    _text("order_id", nullable=True),
    _number("rating", sa.SmallInteger, nullable=True),
    sa.PrimaryKeyConstraint("event_id", "event_time"),
    sa.Index("ix_sentiment_product", "product_id", "event_time"),
    sa.Index("ix_sentiment_customer", "customer", "event_time"),
    sa.Index("ix_sentiment_conversation", "conversation_id", postgresql_where=sa.text("conversation_id IS NOT NULL")),
    sa.Index("ix_sentiment_angry", "event_time", postgresql_where=sa.text("angry")),
    postgresql_partition_by="RANGE (event_time)",
    comment="One row a scored text; a partition a UTC day, made by moodstream_make_partitions(day)",
)

alert = sa.Table(
    "alert",
    metadata,
    sa.Column("alert_id", sa.Text, primary_key=True),
    _text("incident"),
    _text("rule"),
    _number("severity", sa.SmallInteger),
    _text("reason"),
    _text("event_id"),
    _instant("event_time"),
    _instant("raised_at"),
    _text("source"),
    _text("customer"),
    sa.Column("turns", pg.JSONB, nullable=False),
    _number("anger", sa.Double),
    _number("score", sa.Double),
    _text("language"),
    _text("model"),
    _text("rules_version"),
    _text("conversation_id", nullable=True),
    _text("customer_tier", nullable=True),
    _text("product_id", nullable=True),
    _text("category", nullable=True),
    _text("brand", nullable=True),
    _text("channel", nullable=True),
    _text("order_id", nullable=True),
    sa.Index("ix_alert_raised_at", "raised_at"),
    sa.Index("ix_alert_incident", "incident"),
    sa.Index("ix_alert_customer", "customer", "raised_at"),
    comment="One row an alert raised",
)

dead_letter = sa.Table(
    "dead_letter",
    metadata,
    sa.Column("dead_letter_id", sa.Text, primary_key=True),
    _text("reason"),
    _text("json_path"),  # DeadLetter.where: a reserved word in SQL
    _text("detail"),
    _text("raw_topic"),
    _number("raw_partition", sa.Integer),
    _number("raw_offset", sa.BigInteger),
    _instant("ingested_at"),
    _instant("failed_at"),
    _text("stage"),
    sa.Column("key", pg.BYTEA, nullable=True),
    sa.Column("payload", pg.BYTEA, nullable=True),
    sa.Index("ix_dead_letter_failed_at", "failed_at"),
    comment="One row an event nobody could process, kept whole",
)

label = sa.Table(
    "label",
    metadata,
    sa.Column("label_id", sa.Text, primary_key=True),
    _text("event_id"),
    _instant("event_time"),
    _instant("given_at"),
    _text("given_by"),
    _text("origin"),
    _text("sentiment", nullable=True),
    _number("angry", sa.Boolean, nullable=True),
    _text("note"),
    sa.Index("ix_label_event", "event_id", "given_at"),
    sa.Index("ix_label_given_at", "given_at"),
    comment="Every label a person gave; v_label has the latest answer to each question",
)

kafka_offset = sa.Table(
    "kafka_offset",
    metadata,
    _text("grp"),
    _text("topic"),
    _number("kpart", sa.Integer),
    _number("next_offset", sa.BigInteger),
    _text("topic_id", nullable=True),
    sa.Column("moved_at", pg.TIMESTAMP(timezone=True, precision=3), nullable=False, server_default=sa.func.now()),
    sa.PrimaryKeyConstraint("grp", "topic", "kpart"),
    comment="Up to where each partition is recorded; moves by compare-and-set in the transaction of the rows",
)

mood_hourly = sa.Table(
    "mood_hourly",
    metadata,
    _instant("hour"),
    _text("product_id"),  # '' where the event names none: a key has no NULL
    _text("category"),
    _text("channel"),
    _text("language"),
    _text("source"),
    _number("kpart", sa.Integer),
    _number("events", sa.BigInteger),
    _number("negative", sa.BigInteger),
    _number("neutral", sa.BigInteger),
    _number("positive", sa.BigInteger),
    _number("angry", sa.BigInteger),
    _number("score_sum", sa.Double),
    _number("anger_sum", sa.Double),
    sa.PrimaryKeyConstraint("hour", "product_id", "category", "channel", "language", "source", "kpart"),
    sa.Index("ix_mood_hourly_product", "product_id", "hour"),
    comment="Customers' texts (an agent's turns are not a customer's mood) counted by hour. "
    "kpart is one of the writer's partitions: it keeps workers off each other's rows; v_mood_hourly sums over it",
)

model = sa.Table(
    "model",
    metadata,
    sa.Column("model", sa.Text, primary_key=True),
    _text("path"),  # a folder, or "default": the bundle of each worker's own release
    _instant("created", nullable=True),
    _text("fingerprint"),
    _number("text_version", sa.Integer, nullable=True),
    sa.Column("metrics", pg.JSONB, nullable=False),  # held-back set -> figure -> value, as in the manifest
    _instant("registered_at"),
    _text("registered_by"),
    comment="Every bundle that was registered; a name stands for one content for ever",
)

promotion = sa.Table(
    "promotion",
    metadata,
    sa.Column("promotion_id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, sa.ForeignKey("model.model", name="fk_promotion_model"), nullable=False),
    _text("path"),
    _text("previous", nullable=True),
    _text("kind"),
    _instant("promoted_at"),
    _text("promoted_by"),
    _text("reason"),
    _instant("announced_at", nullable=True),  # NULL: the row is there, its message on `models` may not be
    _one_of("kind", "promote", "rollback"),
    sa.Index("ux_promotion_promoted_at", "promoted_at", unique=True),
    comment="Every change of the model that serves; the latest row names the champion",
)

training_run = sa.Table(
    "training_run",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    _text("trigger"),
    _text("state"),
    _instant("started_at"),
    _instant("ended_at", nullable=True),
    _instant("as_of"),
    _text("champion"),
    _text("candidate", nullable=True),
    _text("candidate_path", nullable=True),
    _text("data_fingerprint", nullable=True),
    _number("rows", sa.Integer, nullable=True),
    sa.Column("verdict", pg.JSONB, nullable=True),
    _text("error", nullable=True),
    _one_of("trigger", "labels", "age", "hand"),
    _one_of("state", "running", "refused", "promoted", "passed", "failed"),
    sa.Index("ux_training_run_running", "state", unique=True, postgresql_where=sa.text("state = 'running'")),
    sa.Index("ix_training_run_started_at", "started_at"),
    comment="Every turn of the loop that renews the model, with its verdict; one runs at a time",
)
