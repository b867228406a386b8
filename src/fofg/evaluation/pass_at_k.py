"""pass@k: the chance that at least one of k responses to a problem is correct (paper §4.4; Chen et al. 2021, equation 1)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fofg.data.files import read_rows, write_parquet
from fofg.data.rollout_files import RolloutFile
from fofg.data.schemas import PASSK_COUNTS
from fofg.errors import UserError
from fofg.evaluation.accuracy import verdicts, wilson
from fofg.evaluation.tables import files_by_model
from fofg.tasks.task import AnswerRule

_COLUMNS = ["data_source", "reward_model", "extra_info", "responses", "finish_reasons"]


def pass_at_k(samples: int, correct: int, ks: Sequence[int]) -> np.ndarray:
    """Unbiased estimates 1 - C(n - c, k) / C(n, k) for ``correct`` (c) of ``samples`` (n) responses: [len(ks)], in [0, 1].

    The ratio is the product of (n - c - i) / (n - i) over i < k, summed as logarithms so that neither large binomials nor small
    estimates lose digits. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not 0 <= correct <= samples or not all(1 <= k <= samples for k in ks):
        raise ValueError(f"pass@k of {correct} correct among {samples} for k in {list(ks)}: 0 <= c <= n and 1 <= k <= n must hold")
    wrong = samples - correct
    most = min(max(ks, default=0), wrong)
    logarithms = np.concatenate([[0.0], np.cumsum(np.log1p(-correct / np.arange(samples, samples - most, -1.0)))])
    # More than the wrong responses can't be drawn without a correct one.
    return np.array([correct / samples if k == 1 else 1.0 if k > wrong else -np.expm1(logarithms[k]) for k in ks])


def ladder(samples: int) -> list[int]:
    """1, 2, 4, ... up to the number of samples, and that number."""
    powers = [1 << exponent for exponent in range(samples.bit_length())]
    return powers if powers[-1:] == [samples] else [*powers, samples]


def count(rollouts: Iterable[str | Path], output: str | Path, rule: AnswerRule) -> int:
    """Writes how many responses to each problem are correct (schemas.PASSK_COUNTS), by index; returns the number of problems.

    ``rollouts``: all shards, in any order; a few of their problems are in memory at a time. A problem without responses (its prompt
    was skipped) is counted with none. Raises UserError for a problem that occurs twice, problems with different numbers of
    responses, and files that are missing or damaged.
    """
    rows: dict[int, dict] = {}
    asked: tuple[int, str | Path] | None = None
    for path in rollouts:
        for row in _problems(path):
            index, made = row["extra_info"]["index"], verdicts(row, rule, f"{path}: problem {row['extra_info']['index']}")
            if index in rows:
                raise UserError(f"{path}: problem {index} was counted before; give every shard once")
            if made and asked and len(made) != asked[0]:
                differing = f"problem {index} has {len(made)} responses, those of {asked[1]} have {asked[0]}"
                raise UserError(f"{path}: {differing}; make the shards again with the same settings")
            asked = asked or ((len(made), path) if made else None)
            right = sum(verdict["correct"] for verdict in made)
            rows[index] = {"index": index, "level": row["extra_info"]["level"], "samples": len(made), "correct": right}
    return write_parquet(output, PASSK_COUNTS, [[rows[index] for index in sorted(rows)]])


def _problems(path: str | Path) -> Iterable[dict]:
    for batch in RolloutFile(path).batches(f"scoring {Path(path).name}", _COLUMNS):
        for place in range(batch.num_rows):
            yield from batch.slice(place, 1).to_pylist()


def summarize(models: list[str], entries: Iterable[str]) -> list[dict]:
    """Rows of schemas.PASSK from ``MODEL=FILE`` entries of counts: models in order, levels and k ascending.

    Raises UserError as ``files_by_model`` does, and for a file without responses.
    """
    table = []
    for model, path in files_by_model("--counts", entries, models).items():
        levels: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for row in read_rows(path, PASSK_COUNTS):
            if row["samples"]:
                levels[row["level"]].append((row["samples"], row["correct"]))
        if not levels:
            raise UserError(f"{path}: no response in it; were all prompts skipped as too long?")
        for level, counts in sorted(levels.items()):
            table += [{"model": model, "level": level, **row} for row in curve(counts)]
    return table


def curve(counts: Sequence[tuple[int, int]]) -> list[dict]:
    """pass@k over k for problems with (samples, correct) responses: k, problems, samples, pass_at_k, low, high; rising with k.

    The mean over problems; k is at most the fewest samples of a problem. The 95% interval is Wilson's, a trial being a problem: the
    spread of estimates in [0, 1] is at most that of coin tosses of the same mean, so that the interval is wide enough for every k;
    and it keeps a width where all problems or none are solved.
    """
    ks = ladder(min(samples for samples, _ in counts))
    estimates = np.stack([pass_at_k(samples, correct, ks) for samples, correct in counts])
    rows = []
    for k, mean in zip(ks, np.maximum.accumulate(estimates.mean(axis=0)).tolist()):
        low, high = wilson(mean, len(counts))
        total = sum(samples for samples, _ in counts)
        rows.append({"k": k, "problems": len(counts), "samples": total, "pass_at_k": mean, "low": low, "high": high})
    return rows
