"""The first tables, the views on them, the function that makes partitions, and who may do what."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    for part in ("tables", "views", "partitions", "rights"):
        _run(Path(__file__).with_name(f"r0001_{part}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Takes everything recorded with it. The roles stay: other databases of the server may use them."""
    _run("DROP VIEW v_sentiment, v_mood_hourly, v_alert, v_dead_letter, v_label")
    _run("DROP FUNCTION moodstream_make_partitions(date)")
    _run("DROP TABLE sentiment, alert, dead_letter, label, kafka_offset, mood_hourly")
    _run("REVOKE ALL ON alembic_version FROM moodstream_worker, moodstream_trainer")


def _run(script: str) -> None:
    """Several statements at once, as the driver takes them: a colon or a percent sign means nothing but itself."""
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.get_bind().exec_driver_sql(script.replace(":schema", schema).replace("%", "%%"))
