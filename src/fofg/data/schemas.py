"""Columns of every Parquet file, after verl's convention."""

import pyarrow as pa

#: A chat message: ``role`` and ``content``.
Message = dict[str, str]
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

#: Fields of ``extra_info`` that a task fills as it likes, null where it has nothing to say; ``functions`` are the problem's skills.
DETAILS = {
    "depth": pa.int32(),
    "calls": pa.int32(),
    "functions": pa.list_(pa.string()),
}
#: Fields of text that others write as JSON objects.
JSON_FIELDS = frozenset(["ground_truth"])
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
                *DETAILS.items(),
            ]
        ),
    ),
]

#: One row per problem. ``data_source``: its task; ``reward_model.ground_truth``: what the task reads it from.
PROBLEMS = pa.schema(_ROW)
#: One row per problem; the three lists have one entry per sample. ``finish_reasons``: "stop" or "length".
ROLLOUTS = pa.schema(
    [
        *_ROW,
        ("responses", pa.list_(pa.string())),
        ("finish_reasons", pa.list_(pa.string())),
        ("token_counts", pa.list_(pa.int32())),
    ]
)
#: Key of a rollout file's metadata: JSON with ``spec`` and ``model`` (a digest).
ROLLOUTS_METADATA = b"fofg.rollouts"
#: The same by step of a training run.
STEP_ROLLOUTS = pa.schema([("step", pa.int32()), *ROLLOUTS])
#: One row per training example: ``prompt`` ends with a user message (earlier turns before it), ``response`` answers it.
EXAMPLES = pa.schema([*_ROW, ("response", pa.string())])
#: The same for trainers of others: TRL's reads ``prompt`` and ``completion``, verl's ``messages``, which are both together.
RFT = pa.schema([*EXAMPLES, ("completion", MESSAGES), ("messages", MESSAGES)])
#: Examples of several files: the file's name among them, and the row's number in it.
MERGED = pa.schema([*RFT, ("source", pa.string()), ("source_row", pa.int64())])
#: One row per response. ``index``: of the problem; ``answered``: an answer was found; ``truncated``: cut at the token limit.
VERDICTS = pa.schema(
    [
        ("index", pa.int64()),
        ("level", pa.int32()),
        ("sample", pa.int32()),
        ("correct", pa.bool_()),
        ("answered", pa.bool_()),
        ("truncated", pa.bool_()),
    ]
)
#: Verdicts of one model on the evaluation's problems; ``decoding``: sampled or greedy.
HELD_OUT_VERDICTS = pa.schema([("decoding", pa.string()), *VERDICTS])
#: Accuracy of every model by decoding and level, ``low`` and ``high`` being the ends of its 95% interval.
ACCURACY = pa.schema(
    [
        ("model", pa.string()),
        ("seed", pa.int32()),
        ("decoding", pa.string()),
        ("level", pa.int32()),
        ("problems", pa.int32()),
        ("samples", pa.int32()),
        ("correct", pa.int32()),
        ("answered", pa.int32()),
        ("truncated", pa.int32()),
        ("accuracy", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
#: The same for several sets of problems, with sampled responses; ``split``: what the problems test.
SPLIT_ACCURACY = pa.schema([("split", pa.string()), *ACCURACY])
#: Two models at a level, on the same problems: ``difference`` is the accuracy of ``model`` less that of ``other``, with the ends of
#: its 95% interval and its standard error. ``samples``: responses per problem and seed; ``p``: of no difference, ``p_holm``:
#: corrected for the number of rows; ``detectable``: the smallest difference that is found with a probability of 80%.
COMPARISONS = pa.schema(
    [
        ("level", pa.int32()),
        ("model", pa.string()),
        ("other", pa.string()),
        ("seeds", pa.int32()),
        ("problems", pa.int32()),
        ("samples", pa.int32()),
        ("accuracy", pa.float64()),
        ("other_accuracy", pa.float64()),
        ("difference", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("error", pa.float64()),
        ("p", pa.float64()),
        ("p_holm", pa.float64()),
        ("detectable", pa.float64()),
    ]
)
#: One row per problem: how many of its responses are correct.
PASSK_COUNTS = pa.schema([("index", pa.int64()), ("level", pa.int32()), ("samples", pa.int32()), ("correct", pa.int32())])
#: pass@k of every model by level, the mean over problems, with the ends of its 95% interval.
PASSK = pa.schema(
    [
        ("model", pa.string()),
        ("seed", pa.int32()),
        ("level", pa.int32()),
        ("k", pa.int32()),
        ("problems", pa.int32()),
        ("samples", pa.int32()),
        ("pass_at_k", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
#: One row per response; ``failure``: its class (Task.failure_classes), "correct" among them.
FAILURES = pa.schema([("index", pa.int64()), ("level", pa.int32()), ("sample", pa.int32()), ("failure", pa.string())])
#: Number of responses by model, level and class; ``share``: of the model's responses at that level.
FAILURE_SHARES = pa.schema(
    [
        ("model", pa.string()),
        ("seed", pa.int32()),
        ("level", pa.int32()),
        ("failure", pa.string()),
        ("responses", pa.int32()),
        ("share", pa.float64()),
    ]
)
