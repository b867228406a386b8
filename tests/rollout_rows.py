"""A row of rollouts, as a model may have answered."""

import json


def rollout(
    index, responses, level=1, reasons=None, *, expression="func_0(x)", x="a", output="b", functions=("deterministic_shuffle",)
):
    """``reasons``: why each response ended; "stop" if not given."""
    truth = {"ref_input": x, "ref_output": output, "expression": expression}
    return {
        "data_source": "string_task",
        "prompt": [{"role": "user", "content": "q"}],
        "ability": "composition",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(truth)},
        "extra_info": {
            "index": index,
            "split": "test",
            "level": level,
            "depth": level,
            "calls": level,
            "expression": expression,
            "functions": list(functions),
        },
        "responses": responses,
        "finish_reasons": reasons or ["stop"] * len(responses),
        "token_counts": [1] * len(responses),
    }
