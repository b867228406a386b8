"""Accuracy on held-out functions: every model, sampled and greedy, by level (paper §4.1–4.2: avg@n by level)."""

from collections.abc import Iterable
from pathlib import Path

from fofg.data.files import read_rows
from fofg.data.schemas import HELD_OUT_VERDICTS
from fofg.errors import UserError
from fofg.evaluation.accuracy import Counted, by_level, judge_files
from fofg.evaluation.tables import files_by_model
from fofg.tasks.task import AnswerRule

DECODINGS = ("sampled", "greedy")


def judge(entries: Iterable[str], output: str | Path, rule: AnswerRule) -> Counted:
    """Writes a verdict (fofg.data.schemas.HELD_OUT_VERDICTS) for each response of ``DECODING=FILE`` entries, sampled before greedy.

    Raises UserError for an entry of another form, a decoding that is named twice, or a file that is missing or damaged.
    """
    files: dict[str, str] = {}
    for entry in entries:
        decoding, equals, path = entry.partition("=")
        if decoding not in DECODINGS or not (equals and path):
            raise UserError(f"--rollouts: {entry!r} is not of the form {' or '.join(f'{name}=FILE' for name in DECODINGS)}")
        if decoding in files:
            raise UserError(f"--rollouts: {decoding} is named twice; give one file a decoding")
        files[decoding] = path
    ordered = [(files[decoding], {"decoding": decoding}) for decoding in DECODINGS if decoding in files]
    return judge_files(ordered, output, HELD_OUT_VERDICTS, rule)


def summarize(models: list[str], entries: Iterable[str]) -> list[dict]:
    """Rows of fofg.data.schemas.ACCURACY from ``MODEL=FILE`` of verdicts: models in order, sampled before greedy, levels ascending.

    ``accuracy``: the share of correct responses (avg@n with n samples per problem), with Wilson's interval; a trial is a problem.
    Raises UserError as ``files_by_model`` does, and for a file without verdicts.
    """
    table = []
    for model, path in files_by_model("--verdicts", entries, models).items():
        found = [
            {"model": model, "decoding": decoding, **level}
            for decoding in DECODINGS
            for level in by_level(row for row in read_rows(path, HELD_OUT_VERDICTS) if row["decoding"] == decoding)
        ]
        if not found:
            raise UserError(f"{path}: no verdict in it; were all prompts skipped as too long?")
        table += found
    return table
