"""What this process and verl's share: files in a run's folder, and names of metrics."""

from pathlib import Path

#: Prefix of the metrics that fofg's sampler adds to verl's.
PREFIX = "fofg/"
#: Files in a run's folder: verl's metrics with their time; the sampler's metrics of every step; the message of the error that ends
#: the run; a request to save and exit; the rollouts that are kept of every step.
LINES, DRAWN, ERROR, STOP, KEPT = "lines.jsonl", "drawn.jsonl", "error", "stop", "kept.jsonl"
#: verl's trainers write the step of their last complete checkpoint here.
TRACKER = "latest_checkpointed_iteration.txt"


def last_step(folder: Path) -> int:
    """Return the step of the last complete checkpoint in a run's folder; 0 if there is none."""
    try:
        return int((folder / TRACKER).read_text())
    except (OSError, ValueError):
        return 0
