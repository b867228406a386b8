"""Final report of a run that failed or was interrupted: each job that did not finish, with the reason from its log."""

import re
from pathlib import Path

#: How Snakemake's message about Ctrl-C begins.
INTERRUPTED = "Terminating processes on user request"
#: How the error of a job begins that Ctrl-C has stopped.
STOPPED = "error: stopped by Ctrl-C"


def report(snakemake_logs: list[str]) -> str:
    """Return a line for each job that failed: its rule, its last error, its log. Empty if the logs name no such job.

    After Ctrl-C, say instead what is done, and what the jobs that ran have kept.
    """
    text = "\n".join(Path(path).read_text(encoding="utf-8", errors="replace") for path in snakemake_logs)
    interrupted = re.search(f"^{INTERRUPTED}", text, re.MULTILINE) is not None
    # Snakemake has a block for each failure: a line with the rule, then indented lines, ``log: FILE (check log file(s) ...)``.
    blocks = re.findall(r"^Error in rule (\w+):\n((?: +.*\n|\n(?= ))*)", text, re.MULTILINE)
    logs = [(rule, re.search(r"^ +log: (.*?)(?: \(check|$)", block, re.MULTILINE)) for rule, block in blocks]
    failed = {(rule, log[1] if log else ""): "" for rule, log in logs}
    # Snakemake misses a Ctrl-C that comes while it writes a message; the jobs do not.
    interrupted |= any(_last_error(path).startswith(STOPPED) for _, path in failed)
    for rule, path in failed:
        if interrupted:
            kept = _last_error(path).removeprefix("error: ").removesuffix("; run the same command to resume")
            failed[rule, path] = f"  {rule}: {kept or 'starts again'}"
        else:
            failed[rule, path] = f"  {rule}: {reason(path)}" + (f"\n    log: {path}" if path else "")
    if interrupted:
        done = re.findall(r"^(\d+) of (\d+) steps", text, re.MULTILINE)
        count = "{} of {} jobs are done and kept".format(*done[-1]) if done else "no job is done yet"
        return "\n".join([f"Stopped by Ctrl-C: {count}", *failed.values(), "Run the same command to resume."])
    return "\n".join([f"Failed jobs: {len(failed)}", *failed.values()]) if failed else ""


def reason(path: str) -> str:
    """Return why the job with a log failed: the last line with ``error:``, or else its last line."""
    return _last_error(path) or next((line[:1000] for line in reversed(_lines(path))), "no message")


def _last_error(path: str) -> str:
    return next((line[:1000] for line in reversed(_lines(path)) if line.startswith("error: ")), "")


def _lines(path: str) -> list[str]:
    """Return the lines of a log that are not empty; none if it can't be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip()]
