"""`--log-json`: what mocktrial's modules log, as one JSON object a line on standard error.

The modules log by Python's own `logging`, with what they know as `extra`; without `--log-json` only warnings are seen.
Secrets are taken out (`redaction`). Nothing here fails.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO

import structlog

from mocktrial.mocktools.observing.redaction import Redaction


def log_json(out: TextIO | None = None, secrets: Iterable[str] = ()) -> None:
    """Log all of mocktrial's lines from here on. secrets: values that no line may hold, besides the known ones."""
    redaction = Redaction(secrets)

    def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        return redaction.fields(event)

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
    )
    handler = logging.StreamHandler(out or sys.stderr)
    handler.setFormatter(formatter)
    logger = logging.getLogger("mocktrial")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
