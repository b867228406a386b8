"""Rows of problems and rollouts, and settings for sampling and selection."""

import json

from fofg.config import Rollouts, Selection


def problem(index, level=1, *, x="a", output="b", expression="func_0(x)", functions=(), split="train", text="q", **columns) -> dict:
    """Return a row of PROBLEMS; ``columns`` replace its own."""
    info = {"index": index, "split": split, "level": level, "depth": level, "calls": level}
    truth = {"ref_input": x, "ref_output": output, "expression": expression}
    row = {
        "data_source": "string_task",
        "prompt": [{"role": "user", "content": text}],
        "ability": "composition",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(truth)},
        "extra_info": info | {"functions": list(functions)},
    }
    return row | columns


def rollout(index, responses, level=1, reasons=None, **values) -> dict:
    """Return a row of ROLLOUTS; ``reasons``: why each response ended, "stop" by default."""
    row = problem(index, level, **{"split": "test", "functions": ["deterministic_shuffle"], **values})
    count = len(responses)
    return row | {"responses": responses, "finish_reasons": reasons or ["stop"] * count, "token_counts": [1] * count}


def sampling(**changes) -> Rollouts:
    values = {"samples": 3, "temperature": 1.0, "top_p": 1.0, "max_prompt_tokens": 100, "max_response_tokens": 20}
    return Rollouts(**(values | {"long_prompts": "error", "seed": 1} | changes))


def selection(**changes) -> Selection:
    """Return settings that keep every correct response."""
    values = {"keep_truncated": False, "drop_duplicates": False, "max_per_problem": None, "max_tokens": None}
    return Selection(**(values | {"turns_per_example": 1, "test_rows": 0, "seed": 1} | changes))
