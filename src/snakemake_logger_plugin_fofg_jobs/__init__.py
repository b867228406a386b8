"""Logger plugin for Snakemake: print each planned job as a line of JSON (``snakemake --dry-run --logger fofg-jobs``)."""

import json
import logging
import sys

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent


class LogHandler(LogHandlerBase):
    writes_to_stream = True  # instead of Snakemake's own messages
    writes_to_file = False
    has_filter = True
    has_formatter = False
    needs_rulegraph = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print jobs to stdout, warnings and errors to stderr."""
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            job = {name: getattr(record, name) for name in ("rule_name", "wildcards", "input", "output", "threads", "reason")}
            print(json.dumps(job | {"resources": dict(record.resources.items())}, default=str))
        elif record.levelno >= logging.WARNING:
            print(record.getMessage(), file=sys.stderr)
