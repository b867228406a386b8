"""The terminal during a run: a line per finished rule or failed job, below them a bar of all jobs and one per running job."""

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text
from snakemake_interface_logger_plugins.common import LogEvent

from fofg.failed_jobs import INTERRUPTED, reason

#: Messages of Snakemake that the bars and the last lines replace.
_REPLACED = re.compile(
    "Using .*profile|Config file .* is extended|Assuming unrestricted|Conda environments: ignored|host: |Building DAG|Using shell|"
    "Provided (cores|resources)|Rules claiming|Job stats|Select jobs|Execute |Complete log|Elapsed time|Shutting down|"
    "Exiting because|Removing output files of failed|None$|"
    "WorkflowError:\nAt least one job did not complete|RuleException:\nCalledProcessError"
)
#: Where in the workflow an error was raised: nothing that its sentence does not say.
_LOCATION = re.compile(r'^WorkflowError.*:\n|\n +File ".*", line \d+, in .*')
#: A line of tqdm's: what is done, of how much, and the time left.
_TQDM = re.compile(r"(.*?):? +\d+%\|.*\| +(\d+)/(\d+) \[[^<]*<([^,\]]*)")
#: Bytes at the end of a log that are read for its last line.
_TAIL = 4096


@dataclass
class _Job:
    rule: str
    log: str
    bar: TaskID


@dataclass
class _Rule:
    jobs: int = 0
    done: int = 0
    began: float = field(default_factory=time.monotonic)


class Screen:
    """What a terminal shows of a run, from the records that Snakemake logs."""

    def __init__(self, color: bool = True):
        self._bars = _Bars(Console(stderr=True, no_color=not color, highlight=False))
        self._jobs: dict[int, _Job] = self._bars.jobs
        self._totals: Counter[str] = Counter()
        self._rules: dict[str, _Rule] = {}
        self._began = time.monotonic()
        self._interrupted = False

    def show(self, record: logging.LogRecord) -> None:
        """Show a record of Snakemake's log."""
        event, values = getattr(record, "event", None), vars(record)
        if event == LogEvent.RUN_INFO:
            self._totals.update({name: count for name, count in values["stats"].items() if name != "total"})
            self._bars.begin(values["stats"]["total"])
        elif event == LogEvent.JOB_INFO:
            self._start(values["jobid"], values["rule_name"], values["wildcards"].values(), values["log"])
        elif event == LogEvent.JOB_FINISHED:
            self._finish(values["job_id"])
        elif event == LogEvent.JOB_ERROR:
            self._fail(values["jobid"], values["rule_name"], values["log"])
        elif event == LogEvent.PROGRESS:
            self._bars.count(values["done"], values["total"])
            if values["done"] == values["total"]:
                self._bars.stop()
                self._print(f"✓ all {values['total']} jobs  {_clock(time.monotonic() - self._began)}", "bold")
        elif event in (None, LogEvent.ERROR):
            self._message(record.getMessage(), record.levelno)

    def close(self) -> None:
        """Remove the bars; may be called again."""
        self._bars.stop()

    def _start(self, number: int, rule: str, wildcards: Iterable[str], logs: list[str]) -> None:
        self._rules.setdefault(rule, _Rule())
        if logs:  # jobs without a log are targets
            name = " ".join([rule, *map(str, filter(None, wildcards))])
            self._jobs[number] = _Job(rule, logs[0], self._bars.add_task(name, total=None, inside=""))

    def _end(self, number: int) -> None:
        if job := self._jobs.pop(number, None):
            self._bars.remove_task(job.bar)

    def _finish(self, number: int) -> None:
        job = self._jobs.get(number)
        self._end(number)
        if not job:
            return
        rule, total = self._rules[job.rule], self._totals[job.rule]
        rule.done += 1
        if rule.done >= total:
            jobs = f"{rule.done} jobs, " if rule.done > 1 else ""
            self._print(f"✓ {job.rule}  {jobs}{_clock(time.monotonic() - rule.began)}", "green")

    def _fail(self, number: int, rule: str, logs: list[str]) -> None:
        self._end(number)
        if not self._interrupted:  # then it only stopped
            self._print(f"✗ {rule}: {reason(logs[0] if logs else '')}", "red")

    def _message(self, text: str, level: int) -> None:
        if text.startswith(INTERRUPTED):
            self._interrupted = True
            self._bars.rename("stopping; running jobs save what they have")
        elif not _REPLACED.match(text):
            text = _LOCATION.sub("", text)
            self._print(text, {logging.WARNING: "yellow", logging.ERROR: "red"}.get(level, ""))

    def _print(self, text: str, style: str) -> None:
        self._bars.console.print(Text(text, style=style), soft_wrap=True)


def _clock(seconds: float) -> str:
    return f"{round(seconds) // 60}:{round(seconds) % 60:02}"


class _Bars(Progress):
    """A bar of all jobs, and one for each that runs, from the last line of its log. They are read whenever the bars are drawn."""

    def __init__(self, console: Console):
        self.jobs: dict[int, _Job] = {}
        self._all: TaskID | None = None
        inside = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[inside]}", markup=False, table_column=inside),
            TimeElapsedColumn(),
        )
        super().__init__(*columns, console=console, transient=True, expand=True, refresh_per_second=4)

    def begin(self, total: int) -> None:
        """Start drawing."""
        if self._all is None:
            self._all = self.add_task("all jobs", total=total, inside=f"0 of {total}")
            self.start()

    def count(self, done: int, total: int) -> None:
        """Show how many of all jobs are done."""
        if self._all is not None:
            self.update(self._all, completed=done, total=total, inside=f"{done} of {total}")

    def rename(self, text: str) -> None:
        """Change what stands before the bar of all jobs."""
        if self._all is not None:
            self.update(self._all, description=text)

    def make_tasks_table(self, tasks: Iterable[Task]) -> Padding:  # type: ignore[override]
        # Room for the ^C that a terminal writes at the end of the last line.
        return Padding(super().make_tasks_table(tasks), (0, 4, 0, 0))

    def get_renderables(self) -> Iterable[RenderableType]:
        for job in list(self.jobs.values()):
            line = last_line(job.log)
            with suppress(KeyError):  # the job may have ended meanwhile
                if bar := _TQDM.match(line):
                    what, done, total, left = bar.groups()
                    self.update(job.bar, completed=int(done), total=int(total), inside=f"{what} {done}/{total}  {left} left")
                else:
                    self.update(job.bar, inside=line)
                    self._tasks[job.bar].total = None  # `update` keeps it
                self._tasks[job.bar].finished_time = None  # at the end of its bar the job goes on, and so does its clock
        return super().get_renderables()


def last_line(log: str) -> str:
    """Return the last line of a log that is being written, also of one that a progress bar overwrites; empty without a log."""
    try:
        with open(log, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _TAIL, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(re.split(r"[\r\n]", text)) if line.strip()), "")
