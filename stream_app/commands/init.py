"""`moodstream init`: topics and tables."""

from __future__ import annotations

import click

from schemas.topics import ALL
from stream_app import settings as configuration
from stream_app.commands.reach import reach_kafka
from stream_app.commands.terminal import json_option, print_json


@click.command("init")
@json_option
def command(as_json: bool) -> None:
    """Create the topics and bring the database to this version.

    Makes what is missing and changes nothing that is there; running it again, or twice at once, does no harm. The
    Kafka user needs the right to create topics, the PostgreSQL user must own its database.

    \b
    moodstream up && moodstream init
    """
    settings = configuration.load()
    configuration.need(settings, "kafka", "database")
    from stream_app.flow.kafka.admin import Admin
    from stream_app.recording.migrate import migrate

    reach_kafka(settings)
    made = Admin(settings).create_topics(ALL)
    revision = migrate(settings.database.get_secret_value())
    if as_json:
        changes = [{"topic": finding.topic, "what": finding.what} for finding in made]
        print_json({"topics": changes, "revision": revision})
        return
    for finding in made:
        click.echo(f"topic {finding.topic}: {finding.what}")
    if not made:
        click.echo(f"topics: all {len(ALL)} there")
    click.echo(f"database: at revision {revision}")
