"""The channel that is always there: an alert as one line of the worker's log."""

import structlog

from schemas.events import AlertRaised


class LogChannel:
    """Satisfies `Channel`. No text of the customer goes into the log, only where to find it."""

    name = "log"

    def __init__(self) -> None:
        self._log = structlog.get_logger("moodstream.alerts")

    async def send(self, alert: AlertRaised) -> None:
        self._log.warning(
            "alert",
            alert_id=alert.alert_id,
            incident=alert.incident,
            rule=alert.rule,
            severity=alert.severity,
            reason=alert.reason,
            customer=alert.customer,
            conversation_id=alert.conversation_id,
            product_id=alert.product_id,
            event_id=alert.event_id,
            event_time=alert.event_time.isoformat(),
        )

    async def close(self) -> None:
        return None
