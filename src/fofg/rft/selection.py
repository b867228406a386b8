"""Select RFT data from rollouts (paper §3.2): the correct responses to every problem that not all samples solved.

Two passes over the file, one batch in memory at a time. The first grades every response, in several processes that return one byte
per response; the second copies the chosen ones. The result depends on the file and the spec alone.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial, reduce
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from fofg.data.files import write_json, write_parquet
from fofg.data.messages import with_messages
from fofg.data.rollout_files import ALONE_BYTES, RolloutFile, ahead, ordered_map
from fofg.data.schemas import RFT
from fofg.errors import UserError
from fofg.rft.examples import Part, blocks, conversations, rows
from fofg.rft.filter import Decision, Filtered, filter_span
from fofg.rft.split import hold_back, max_held_back
from fofg.specs import SelectionSpec

#: Maximum examples in a block, and bytes of their text: the window in which turns are shuffled.
BLOCK_ROWS = 8192
BLOCK_BYTES = 64 << 20


def select(
    spec: SelectionSpec,
    rollouts: str | Path,
    train: str | Path,
    test: str | Path,
    summary: str | Path,
    workers: int | None = None,
    batch_rows: int | None = None,
    allow_empty: bool = False,
) -> dict:
    """Write the two splits (fofg.data.schemas.RFT) and the summary, and return the summary.

    ``workers``: maximum processes that grade (None: one per core; a small file needs none); ``batch_rows``: problems in memory at
    once. Neither changes the result. Raises UserError if a file is bad, nothing is kept, or too little for the test split; with
    ``allow_empty`` the splits are then empty, or the test split smaller than requested.
    """
    file = RolloutFile(rollouts, batch_rows)
    workers = workers or os.cpu_count() or 1
    filtered = _filter(file, spec, workers if file.bytes > ALONE_BYTES else 1)
    kept = filtered.decisions == Decision.KEPT
    _, groups = np.unique(filtered.keys, return_inverse=True)
    groups = np.repeat(groups, filtered.samples)
    test_rows = _test_rows(spec, groups[kept], allow_empty) if kept.any() else _nothing_kept(spec, file, filtered, allow_empty)
    in_test, unused = (_over(kept, mask) for mask in hold_back(groups[kept], test_rows, spec.selection.seed))
    block_rows = int(np.clip(BLOCK_BYTES * kept.sum() // max(1, filtered.kept_bytes), 1, BLOCK_ROWS))
    test_batches: list[pa.RecordBatch] = []
    # One pass for both splits: reading the training examples collects the test examples, which are few, in test_batches.
    batches = _examples(file, spec, filtered.samples, groups, kept & ~in_test & ~unused, in_test, test_batches)
    turns: dict[int, int] = {}
    packed = conversations(blocks(ahead(batches), block_rows), spec.selection.turns_per_example, spec.selection.seed, turns)
    train_rows = write_parquet(train, RFT, map(with_messages, packed))
    write_parquet(test, RFT, [with_messages(pa.concat_batches(test_batches))] if test_batches else [])
    examples = {"train": train_rows, "test": int(in_test.sum()), "held_back_responses": int(unused.sum())}
    report = summarize(filtered) | {
        "examples": examples,
        "turns": {str(count): turns[count] for count in sorted(turns)},
        "spec": spec.model_dump(mode="json"),
    }
    write_json(summary, report)
    return report


def _filter(file: RolloutFile, spec: SelectionSpec, workers: int) -> Filtered:
    """Filter the whole file, in ``workers`` processes; only one byte per response and a few numbers per problem stay in memory."""
    results = []
    work = partial(filter_span, selection=spec.selection, rule=spec.answer_rule)
    with tqdm(total=file.rows, desc="scoring", unit=" problems") as bar:
        for result in chain.from_iterable(ordered_map(work, file.spans(), workers)):
            results.append(result)
            bar.update(len(result.samples))
    decisions, samples, correct, keys, names, problems, kept_problems, kept_responses, kept_bytes = zip(*results)
    return Filtered(
        np.concatenate(decisions),
        np.concatenate(samples),
        np.concatenate(correct),
        np.concatenate(keys),
        reduce(dict.__or__, names),
        sum(problems, Counter()),
        sum(kept_problems, Counter()),
        sum(kept_responses, Counter()),
        sum(kept_bytes),
    )


def _examples(
    file: RolloutFile,
    spec: SelectionSpec,
    samples: np.ndarray,
    groups: np.ndarray,
    in_train: np.ndarray,
    in_test: np.ndarray,
    test_batches: list[pa.RecordBatch],
) -> Iterator[Part]:
    """Yield batches of training examples in file order, with the problem of each; append those of the test split."""
    problem = response = 0
    for batch in file.batches("writing"):
        counts = samples[problem : problem + batch.num_rows]
        here = slice(response, response + int(counts.sum()))
        where = f"{file.path}: problems from {problem}"
        if in_test[here].any():
            test_batches.append(rows(batch, counts, in_test[here], spec.template, where))
        if in_train[here].any():
            yield rows(batch, counts, in_train[here], spec.template, where), groups[here][in_train[here]]
        problem, response = problem + batch.num_rows, here.stop


def _over(positions: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Expand a mask over the responses selected by ``positions`` to one over all responses."""
    mask = np.zeros(len(positions), dtype=bool)
    mask[positions] = values
    return mask


def summarize(filtered: Filtered) -> dict:
    """Count problems and responses, accuracy, and exposure by skill; the parts of each count add up to its total."""
    problems, samples, correct = len(filtered.samples), filtered.samples, filtered.correct
    owners = np.repeat(np.arange(problems), samples)
    kept = np.bincount(owners[filtered.decisions == Decision.KEPT], minlength=problems) > 0
    counts = np.bincount(filtered.decisions, minlength=len(Decision)).tolist()
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
            "total": len(filtered.decisions),
            "kept": counts[Decision.KEPT],
            "dropped": {decision.name.lower(): counts[decision] for decision in Decision if decision != Decision.KEPT},
        },
        "accuracy": float(correct.sum() / max(1, len(filtered.decisions))),
        "exposure": {
            skill: {
                "public_name": filtered.names.get(skill, skill),
                "problems": filtered.problems[skill],
                "kept_problems": filtered.kept_problems[skill],
                "kept_responses": filtered.kept_responses[skill],
            }
            for skill in [*filtered.names, *sorted(filtered.problems.keys() - filtered.names.keys())]
        },
    }


def _nothing_kept(spec: SelectionSpec, file: RolloutFile, filtered: Filtered, allow_empty: bool) -> int:
    """Report why nothing is kept, and return 0 test rows. Raises UserError with cures unless an empty selection is allowed."""
    dropped = summarize(filtered)["responses"]["dropped"]
    reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in dropped.items() if count)
    message = (
        f"{file.path}: no response is left to train on, of {len(filtered.decisions)} to {len(filtered.samples)} problems "
        f"({reasons or 'all skipped'})"
    )
    if allow_empty:
        print(f"{message}; the training data are empty, so the model stays unchanged", file=sys.stderr)
        return 0
    cures = ["check scoring.answer_rule", "raise rollouts.samples", "use a base_model that solves some of these problems"]
    if dropped["cut_at_limit"]:
        cures.append("raise rollouts.max_response_tokens")
    if dropped["over_token_limit"]:
        cures.append("raise max_tokens")
    if spec.template is None:  # Stage 1 takes definitions out of its prompts
        cures.append("in Stage 2, continue with the model as it is (stage2.rft.on_empty_selection: keep_model)")
    raise UserError(f"{message}; {', or '.join(cures)}")


def _test_rows(spec: SelectionSpec, groups: np.ndarray, allow_empty: bool) -> int:
    """Return the number of test examples: as requested, or if too few are allowed, as many as possible."""
    requested = spec.selection.test_rows
    possible = max_held_back(groups)
    if not allow_empty or requested <= possible:
        return requested
    print(f"test_rows: {possible} of {requested} examples held back, since only {len(groups)} responses are kept", file=sys.stderr)
    return possible
