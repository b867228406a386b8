"""RFT data from rollouts (paper §3.2): of every problem that not all samples solved, the correct responses.

Two passes over the file, a batch in memory at a time. The first scores every response, in several processes that give back only a
byte a response; the second copies the chosen ones. The result depends on the file and the spec alone.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from fofg.data.files import write_json, write_parquet
from fofg.data.rollout_files import ALONE_BYTES, RolloutFile, ahead, ordered_map
from fofg.data.schemas import RFT
from fofg.errors import UserError
from fofg.rft import filter
from fofg.rft.examples import Part, blocks, conversations, rows
from fofg.rft.filter import Fate, Judged
from fofg.rft.split import hold_back, most_to_hold_back
from fofg.stages import SelectRftData
from fofg.tasks.strings.functions import FUNCTIONS, PUBLIC_NAMES

#: Examples in a block, at most, and their text: the window in which turns are shuffled.
BLOCK_ROWS = 8192
BLOCK_BYTES = 64 << 20


def select(
    spec: SelectRftData,
    rollouts: str | Path,
    train: str | Path,
    test: str | Path,
    summary: str | Path,
    workers: int | None = None,
    batch_rows: int | None = None,
    allow_empty: bool = False,
) -> dict:
    """Writes the two splits (fofg.data.schemas.RFT) and the summary, and returns the summary.

    ``workers``: processes that score, at most (None: one a core; a small file needs none); ``batch_rows``: problems in memory at
    once. Neither changes the result. Raises UserError if a file is bad, nothing is kept, or too little for the test split; with
    ``allow_empty`` the splits are then empty, or the test split smaller than wanted.
    """
    file = RolloutFile(rollouts, batch_rows)
    workers = workers or os.cpu_count() or 1
    judged = _judge(file, spec, workers if file.bytes > ALONE_BYTES else 1)
    kept = judged.fates == Fate.KEPT
    _, groups = np.unique(judged.keys, return_inverse=True)
    groups = np.repeat(groups, judged.samples)
    test_rows = _test_rows(spec, groups[kept], allow_empty) if kept.any() else _nothing_kept(spec, file, judged, allow_empty)
    in_test, unused = (_over(kept, mask) for mask in hold_back(groups[kept], test_rows, spec.selection.seed))
    block_rows = int(np.clip(BLOCK_BYTES * kept.sum() // max(1, judged.kept_bytes), 1, BLOCK_ROWS))
    held: list[pa.RecordBatch] = []
    parts = _parts(file, spec, judged.samples, groups, kept & ~in_test & ~unused, in_test, held)
    turns: dict[int, int] = {}
    talks = conversations(blocks(ahead(parts), block_rows), spec.selection.turns_per_example, spec.selection.seed, turns)
    train_rows = write_parquet(train, RFT, talks)
    write_parquet(test, RFT, [pa.concat_batches(held)] if held else [])
    examples = {"train": train_rows, "test": int(in_test.sum()), "held_back_responses": int(unused.sum())}
    report = summarize(judged) | {
        "examples": examples,
        "turns": {str(count): turns[count] for count in sorted(turns)},
        "spec": spec.model_dump(mode="json"),
    }
    write_json(summary, report)
    return report


def _judge(file: RolloutFile, spec: SelectRftData, workers: int) -> Judged:
    """The whole file judged: a byte a response and a few numbers a problem."""

    exposure = dict.fromkeys(FUNCTIONS, (0, 0, 0))
    results, kept_bytes = [], 0
    judge = partial(filter.judge, selection=spec.selection, answer_rule=spec.answer_rule)
    with tqdm(total=file.rows, desc="scoring", unit=" problems") as bar:
        for result in chain.from_iterable(ordered_map(judge, file.spans(), workers)):
            results.append(result[:4])
            kept_bytes += result.kept_bytes
            for name, counts in result.exposure.items():
                exposure[name] = tuple(map(sum, zip(exposure.get(name, (0, 0, 0)), counts)))
            bar.update(len(result.samples))
    fates, samples, correct, keys = (np.concatenate(arrays) for arrays in zip(*results))
    return Judged(fates, samples, correct, keys, exposure, kept_bytes)


def _parts(
    file: RolloutFile,
    spec: SelectRftData,
    samples: np.ndarray,
    groups: np.ndarray,
    in_train: np.ndarray,
    in_test: np.ndarray,
    held: list[pa.RecordBatch],
) -> Iterator[Part]:
    """The training examples in file order, a batch at a time, with the problem of each; those of the test go to ``held``."""
    problem = response = 0
    for batch in file.batches("writing"):
        counts = samples[problem : problem + batch.num_rows]
        here = slice(response, response + int(counts.sum()))
        place = f"{file.path}: problems from {problem}"
        if in_test[here].any():
            held.append(rows(batch, counts, in_test[here], spec.template, place))
        if in_train[here].any():
            yield rows(batch, counts, in_train[here], spec.template, place), groups[here][in_train[here]]
        problem, response = problem + batch.num_rows, here.stop


def _over(places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A mask over all responses from one over those in the mask ``places``."""
    mask = np.zeros(len(places), dtype=bool)
    mask[places] = values
    return mask


def summarize(judged: Judged) -> dict:
    """Counts of problems and responses, accuracy, and exposure by function; the parts of each count add up to its total."""
    problems, samples, correct = len(judged.samples), judged.samples, judged.correct
    owners = np.repeat(np.arange(problems), samples)
    kept = np.bincount(owners[judged.fates == Fate.KEPT], minlength=problems) > 0
    fates = np.bincount(judged.fates, minlength=len(Fate)).tolist()
    all_solved, none_solved = (samples > 0) & (correct == samples), (samples > 0) & (correct == 0)
    return {
        "problems": {
            "total": problems,
            "kept": int(kept.sum()),
            "skipped": int((samples == 0).sum()),
            "all_solved": int(all_solved.sum()),
            "none_solved": int(none_solved.sum()),
            "nothing_left_by_limits": int(((samples > 0) & ~kept & ~all_solved & ~none_solved).sum()),
        },
        "responses": {
            "total": len(judged.fates),
            "kept": fates[Fate.KEPT],
            "dropped": {fate.name.lower(): fates[fate] for fate in Fate if fate != Fate.KEPT},
        },
        "accuracy": float(correct.sum() / max(1, len(judged.fates))),
        "exposure": {
            name: {
                "public_name": PUBLIC_NAMES.get(name, name),
                "problems": all_,
                "kept_problems": kept_,
                "kept_responses": responses,
            }
            for name, (all_, kept_, responses) in judged.exposure.items()
        },
    }


def _nothing_kept(spec: SelectRftData, file: RolloutFile, judged: Judged, allow_empty: bool) -> int:
    """Says so and why, and holds nothing back. Raises UserError with cures unless that is passed on."""
    dropped = summarize(judged)["responses"]["dropped"]
    reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count)
    nothing = (
        f"{file.path}: no response is left to train on, of {len(judged.fates)} to {len(judged.samples)} problems "
        f"({reasons or 'all skipped'})"
    )
    if allow_empty:
        print(f"{nothing}; the training data are empty, so that the model goes on unchanged", file=sys.stderr)
        return 0
    cures = ["check scoring.answer_rule", "raise rollouts.samples", "use another base_model"]
    if dropped["cut_at_limit"]:
        cures.append("raise rollouts.max_response_tokens")
    if dropped["over_token_limit"]:
        cures.append("raise max_tokens")
    if spec.template is None:  # Stage 1 takes definitions out of its prompts
        cures.append("let Stage 2 go on with the model as it is (stage2.rft.on_empty_selection: keep_model)")
    raise UserError(f"{nothing}; {', or '.join(cures)}")


def _test_rows(spec: SelectRftData, groups: np.ndarray, allow_empty: bool) -> int:
    """Examples to hold back: as wanted, or as many as there can be where a lack of examples is passed on."""
    wanted = spec.selection.test_rows
    possible = most_to_hold_back(groups)
    if not allow_empty or wanted <= possible:
        return wanted
    print(f"test_rows: {possible} of {wanted} examples held back, since only {len(groups)} responses are kept", file=sys.stderr)
    return possible
