"""Settings → the loops of a worker's roles, each with its stage and its port: where the product is wired.

    score    raw.reviews, raw.chats → sentiment, dead.letters     (Kafka transaction)
    alert    sentiment              → alerts, dead.letters        (Kafka transaction, memory in Redis)
    record   sentiment, alerts, dead.letters, labels → PostgreSQL (PostgreSQL transaction)

`notify` and `models` are Faust agents, `trainer` is a task that starts a process: see app.py.
"""

from datetime import timedelta
from functools import partial

from schemas.topics import ALL, MODELS
from stream_app.alerting.alert import AlertStage
from stream_app.alerting.memory import RedisMemory
from stream_app.alerting.rules_file import load_rules
from stream_app.errors import SetupError
from stream_app.flow.kafka.admin import Admin
from stream_app.flow.kafka.clients import no_topic, stage_consumer, stage_producer
from stream_app.flow.kafka.port import Port
from stream_app.flow.kafka.reader import read
from stream_app.flow.kafka.reader_port import ReaderPort
from stream_app.flow.kafka.transactional_port import TransactionalPort
from stream_app.flow.loop import Loop, utc_now
from stream_app.flow.stage import Stage
from stream_app.flow.watchdog import Watchdog
from stream_app.model import load_model
from stream_app.notifying.channel import Channel
from stream_app.notifying.log import LogChannel
from stream_app.notifying.notify import Notifier
from stream_app.notifying.webhook import WebhookChannel
from stream_app.recording.migrate import revision
from stream_app.recording.record import RecordStage
from stream_app.scoring.score import ScoreStage
from stream_app.scoring.scorer import LoadedScorer
from stream_app.serving.confirm import answer, worker_name
from stream_app.serving.model_watch import ModelWatch
from stream_app.settings import Settings, need


def check_neighbours(settings: Settings) -> None:
    """Refuse to start where a person has to do something first.

    Raises SetupError: an address is missing, a topic is not there, the database is not migrated. Raises NeighbourDown:
    a neighbour this worker's roles need does not answer.
    """
    need(settings, "kafka")
    topics = [topic for topic in ALL if {*topic.readers, *topic.writers} & set(settings.roles)]
    if missing := Admin(settings).missing(topics):
        raise no_topic(settings, missing)
    if {"record", "trainer"} & set(settings.roles):
        need(settings, "database")
        current, head = revision(settings.database.get_secret_value())
        if current != head:
            raise SetupError(f"the database is at revision {current}, this build needs {head}: run `moodstream init`")
    if "alert" in settings.roles:
        need(settings, "redis")


def score_stage(settings: Settings, scorer: LoadedScorer) -> ScoreStage:
    return ScoreStage(
        scorer,
        settings.pseudonym_key.get_secret_value().encode(),
        utc_now,
        max_age=timedelta(days=settings.event_max_age_days),
        max_ahead=timedelta(seconds=settings.event_max_ahead_s),
    )


def model_watch(settings: Settings, score: ScoreStage, slot: int) -> ModelWatch:
    """What switches the stage to promoted models; it has heard the latest promotion already.

    A promotion outlives the workers that heard it: one that starts later finds it in the compacted topic.
    """

    def load(path: str) -> LoadedScorer:
        return load_model(settings.model_copy(update={"model": path}))

    watch = ModelWatch(
        load,
        score.switch,
        partial(answer, settings),
        worker=worker_name(settings, slot),
        model=score.model,
        now=utc_now,
    )
    watch.started(delivery.value for delivery in read(settings, [MODELS.name]) if delivery is not None)
    return watch


def alert_stage(settings: Settings) -> AlertStage:
    memory = RedisMemory(settings.redis.get_secret_value(), settings.group)
    memory.check_config()
    return AlertStage(memory, load_rules(settings.alert_rules), utc_now, language=settings.alert_language)


def record_stage(settings: Settings) -> RecordStage:
    admin = Admin(settings)
    return RecordStage(settings.database.get_secret_value(), f"{settings.group}-record", admin.topic_ids)


def notifier(settings: Settings) -> Notifier:
    channels: list[Channel] = [LogChannel()]
    if settings.webhook_url:
        secret = settings.webhook_secret.get_secret_value()
        channels.append(WebhookChannel(settings.webhook_url, secret, settings.webhook_timeout_s))
    return Notifier(channels)


def loop(settings: Settings, stage: Stage, slot: int, watchdog: Watchdog) -> Loop:
    """The loop that drives this stage: `record` keeps its own offsets, everything else writes to Kafka."""
    consumer = stage_consumer(settings, stage.name, slot)
    port: Port
    if stage.name == "record":
        port = ReaderPort(stage.inputs, consumer)
    else:
        producer = stage_producer(settings, stage.name, slot)
        port = TransactionalPort(stage.inputs, consumer, producer, give_up_s=settings.watchdog_s * 2 / 3)
    return Loop(
        stage,
        port,
        batch_events=settings.batch_events,
        batch_wait_s=settings.batch_wait_ms / 1000,
        watchdog=watchdog,
        watchdog_s=settings.watchdog_s,
    )
