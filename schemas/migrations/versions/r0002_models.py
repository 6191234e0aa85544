"""The models: what was registered, which of them served when, and the runs that made them."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    for part in ("tables", "views", "rights"):
        _run(Path(__file__).with_name(f"r0002_{part}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Takes the history of the models with it; bundles on disk and the topic `models` stay."""
    _run("REVOKE SELECT (scored_at, ingested_at, brand) ON sentiment FROM moodstream_trainer")
    _run("DROP VIEW v_model, v_promotion, v_training_run")
    _run("DROP TABLE promotion, model, training_run")


def _run(script: str) -> None:
    """Several statements at once, as the driver takes them."""
    op.get_bind().exec_driver_sql(script.replace("%", "%%"))
