"""Columns of every Parquet file, after verl's convention."""

import pyarrow as pa

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

_ROW = [
    ("data_source", pa.string()),
    ("prompt", MESSAGES),
    ("ability", pa.string()),
    ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
    (
        "extra_info",
        pa.struct(
            [
                ("index", pa.int64()),
                ("split", pa.string()),
                ("level", pa.int32()),
                ("depth", pa.int32()),
                ("calls", pa.int32()),
                ("expression", pa.string()),
                ("functions", pa.list_(pa.string())),
            ]
        ),
    ),
]

#: One row a problem. ``reward_model.ground_truth`` is JSON: ref_input, ref_output, expression.
PROBLEMS = pa.schema(_ROW)
#: One row a problem; the three lists have one entry a sample. ``finish_reasons``: "stop" or "length".
ROLLOUTS = pa.schema(
    [
        *_ROW,
        ("responses", pa.list_(pa.string())),
        ("finish_reasons", pa.list_(pa.string())),
        ("token_counts", pa.list_(pa.int32())),
    ]
)
#: One row a training example: ``prompt`` ends with a user message (earlier turns before it), ``response`` answers it.
RFT = pa.schema([*_ROW, ("response", pa.string())])
#: One row a response. ``index``: of the problem; ``answered``: an answer was found; ``truncated``: cut at the token limit.
VERDICTS = pa.schema(
    [
        ("index", pa.int64()),
        ("level", pa.int32()),
        ("sample", pa.int32()),
        ("reward", pa.float64()),
        ("correct", pa.bool_()),
        ("answered", pa.bool_()),
        ("truncated", pa.bool_()),
    ]
)
