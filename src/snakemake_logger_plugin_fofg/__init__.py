"""Logger plugin for Snakemake at a terminal: bars while jobs run. Otherwise, Snakemake's own text.

``profiles/default`` turns it on where standard error is a terminal.
"""

import logging
import sys

from snakemake.logging import ColorizingTextHandler
from snakemake_interface_logger_plugins.base import LogHandlerBase


class LogHandler(LogHandlerBase):
    """Show a run with bars; a dry run, and runs with options about output (``--quiet``, ``--verbose``, ...), as Snakemake does.

    ``shows_jobs``: whether it shows the output of jobs, which then has to go to their logs alone.
    """

    writes_to_stream = True  # instead of Snakemake's own messages
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        options = self.common_settings
        as_usual = options.dryrun or options.quiet or options.verbose or options.printshellcmds or options.debug_dag
        self._text = ColorizingTextHandler(options.nocolor, sys.stdout if options.stdout else sys.stderr)
        self.shows_jobs = not as_usual and self._text.can_color_tty()
        if self.shows_jobs:
            from snakemake_logger_plugin_fofg.screen import Screen  # every command of Snakemake imports this module

            self._screen = Screen(color=not options.nocolor)

    def emit(self, record: logging.LogRecord) -> None:
        if not self.shows_jobs:
            self._text.setFormatter(self.formatter)
            return self._text.emit(record)
        try:
            self._screen.show(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Remove the bars."""
        if self.shows_jobs:
            self._screen.close()
        super().close()
