"""Add conversations to training examples, as trainers of others read them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fofg.data.schemas import MESSAGES, RFT


def with_messages(examples: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows of ``schemas.RFT``: examples, and their conversations as trainers of others read them."""
    count, prompts, turns = examples.num_rows, examples.column("prompt"), examples.column("prompt").flatten()
    roles = pa.array(["assistant"] * count, pa.string())
    answers = pa.StructArray.from_arrays([roles, examples.column("response")], fields=list(MESSAGES.value_type))
    completions = pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), answers, type=MESSAGES)
    ends = np.cumsum(pc.list_value_length(prompts).to_numpy())
    order = np.insert(np.arange(len(turns)), ends, len(turns) + np.arange(count))  # an answer after each prompt's last turn
    offsets = np.concatenate([[0], ends + np.arange(1, count + 1)])
    conversation = pa.concat_arrays([turns, answers]).take(pa.array(order))
    messages = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), conversation, type=MESSAGES)
    return pa.RecordBatch.from_arrays([*examples.columns, completions, messages], schema=RFT)
