"""The last complete checkpoint of a verl run."""

from pathlib import Path

#: verl's trainers write the step of their last complete checkpoint here.
_TRACKER = "latest_checkpointed_iteration.txt"


def last_step(folder: Path) -> int:
    """Return the step of the last complete checkpoint in a run's folder; 0 if there is none."""
    try:
        return int((folder / _TRACKER).read_text())
    except (OSError, ValueError):
        return 0


def stop_message(reason: str, step: int, total: int) -> str:
    """Return the message of a run that was asked to stop; ``step``: that of its last checkpoint."""
    return f"stopped {reason} after step {step} of {total}; run the same command to resume"
