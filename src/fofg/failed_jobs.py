"""Final report of a failed run: each failed job, with the reason from its log."""

import re
from pathlib import Path


def report(snakemake_logs: list[str]) -> str:
    """Return a line for each job that failed: its rule, its last error, its log. Empty if the logs name no such job."""
    text = "\n".join(Path(path).read_text(encoding="utf-8", errors="replace") for path in snakemake_logs)
    # Snakemake has a block for each failure: a line with the rule, then indented lines, ``log: FILE (check log file(s) ...)``.
    blocks = re.findall(r"^Error in rule (\w+):\n((?: +.*\n|\n(?= ))*)", text, re.MULTILINE)
    failed = {}
    for rule, block in blocks:
        log = re.search(r"^ +log: (.*?)(?: \(check|$)", block, re.MULTILINE)
        path = log[1] if log else ""
        failed[rule, path] = f"  {rule}: {_reason(path) or 'no message'}" + (f"\n    log: {path}" if path else "")
    return "\n".join([f"Failed jobs: {len(failed)}", *failed.values()]) if failed else ""


def _reason(path: str) -> str:
    """Return the last line of a log with ``error:``, or else its last line."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    lines = [line.strip() for line in lines if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or [""])[-1][:500]
