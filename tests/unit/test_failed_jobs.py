"""The end of a failed run: each failed job, with the error of its own log."""

import pytest

from fofg import failed_jobs

BLOCK = """Error in rule {rule}:
    message: None
    jobid: 3
    output: a, b
    log: {log} (check log file(s) for error details)
    shell:
        run_logged {log} program --spec '{{}}'
        (command exited with non-zero exit code)
"""


def test_each_failed_job_is_named_once_with_its_last_error(tmp_path):
    failed, crashed = tmp_path / "failed.log", tmp_path / "my crash.log"
    failed.write_text("error: an earlier one\nprogress\nerror: base_model: no folder x\nlast words\n")
    crashed.write_text("Traceback (most recent call last):\n  ...\nValueError: odd\n")
    blocks = [("train_rl", failed), ("train_rl", failed), ("create_chunk", crashed), ("gather_rollouts", tmp_path / "none.log")]
    log = tmp_path / "snakemake.log"
    log.write_text("\n".join(BLOCK.format(rule=rule, log=path) for rule, path in blocks))
    report = failed_jobs.report([str(log)])
    assert report.startswith("Failed jobs: 3\n")
    assert "  train_rl: error: base_model: no folder x\n" in report
    assert f"  create_chunk: ValueError: odd\n    log: {crashed}" in report
    assert "  gather_rollouts: no message" in report


def test_a_run_that_failed_before_any_job_reports_none(tmp_path):
    log = tmp_path / "snakemake.log"
    log.write_text("WorkflowError: something\n")
    assert failed_jobs.report([str(log)]) == ""


@pytest.mark.parametrize("message", [f"{failed_jobs.INTERRUPTED}, this might take some time.\n", ""], ids=["noticed", "missed"])
def test_an_interrupted_run_says_what_is_done_and_what_its_jobs_have_kept(tmp_path, message):
    """Also if the signal reached the jobs alone."""
    saved, other, log = tmp_path / "saved.log", tmp_path / "other.log", tmp_path / "snakemake.log"
    saved.write_text("train: 1/9\nerror: stopped by Ctrl-C after step 3 of 9; run the same command to resume\n")
    other.write_text("KeyboardInterrupt\n")
    blocks = "".join(BLOCK.format(rule=rule, log=path) for rule, path in (("train_sft", saved), ("create_chunk", other)))
    log.write_text(f"2 of 7 steps (29%) done\n{message}{blocks}")
    assert failed_jobs.report([str(log)]).splitlines() == [
        "Stopped by Ctrl-C: 2 of 7 jobs are done and kept",
        "  train_sft: stopped by Ctrl-C after step 3 of 9",
        "  create_chunk: starts again",
        "Run the same command to resume.",
    ]
