"""Bars of running jobs: what they read from logs."""

import io

import pytest
from rich.console import Console
from tqdm import tqdm

from snakemake_logger_plugin_fofg import screen
from snakemake_logger_plugin_fofg.screen import _TQDM, last_line


def test_a_bar_follows_the_last_line_of_a_log(tmp_path):
    log = tmp_path / "train.log"
    assert last_line(str(log)) == ""
    with open(log, "w") as file:
        file.write("x" * 10000 + "\nloading the model\n")
        file.flush()
        assert last_line(str(log)) == "loading the model"
        with tqdm(total=30, desc="train", unit="step", file=file, mininterval=0, miniters=1) as bar:
            bar.set_postfix(loss="0.1")
            bar.update(12)
            file.flush()
            assert _TQDM.match(last_line(str(log))).groups()[:3] == ("train", "12", "30")


@pytest.fixture
def bars(monkeypatch):
    """Bars of one job, and a function that draws them when the job's log ends with a line."""
    bars = screen._Bars(Console(file=io.StringIO()))
    bars.jobs[1] = screen._Job("train", "", bars.add_task("train", total=None, inside=""))

    def draw(line, meanwhile=lambda: None):
        monkeypatch.setattr(screen, "last_line", lambda log: meanwhile() or line)
        bars.console.print(*bars.get_renderables())

    return bars, draw


LINES = "train: 100%|##########| 30/30 [00:02<00:00]", "saving the model"


def test_the_clock_of_a_job_goes_on_after_its_bar_is_full(bars):
    bars, draw = bars
    for line, total in zip(LINES, (30, None), strict=True):
        draw(line)
        assert not bars.tasks[0].finished and bars.tasks[0].total == total


@pytest.mark.parametrize("line", LINES)
def test_a_job_may_end_while_its_log_is_read(bars, line):
    """An error would end the thread that draws."""
    bars, draw = bars
    draw(line, meanwhile=lambda: bars.remove_task(bars.jobs[1].bar))
    assert not bars.tasks
