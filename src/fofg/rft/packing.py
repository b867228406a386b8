"""Pack several kept responses as the turns of one conversation."""

from collections import deque

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fofg.data.schemas import EXAMPLES, MESSAGES
from fofg.errors import UserError

#: Maximum number of examples that are passed over, since their problem is in the conversation already, before it ends early.
LOOK_AHEAD = 64


def plan_turns(groups: np.ndarray, max_turns: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Shuffle the examples and cut them into conversations of 1 to ``max_turns`` turns, drawn uniformly.

    ``groups`` [examples]: the problem of each. Returns the order [examples] and the end of each conversation in it
    [conversations]. A conversation never has a problem twice; it ends early if no other problem is near.
    """
    owners = groups.tolist()
    waiting = deque(generator.permutation(len(owners)).tolist())
    order: list[int] = []
    ends: list[int] = []
    for size in generator.integers(1, max_turns, size=len(owners), endpoint=True).tolist():
        if not waiting:
            break
        used: set[int] = set()
        passed: list[int] = []
        while waiting and len(used) < size and len(passed) < LOOK_AHEAD:
            example = waiting.popleft()
            if owners[example] in used:
                passed.append(example)
            else:
                used.add(owners[example])
                order.append(example)
        waiting.extendleft(reversed(passed))  # first in line for the next conversation
        ends.append(len(order))
    return np.array(order, dtype=np.int64), np.array(ends, dtype=np.int64)


def join_turns(rows: pa.RecordBatch, order: np.ndarray, ends: np.ndarray) -> pa.RecordBatch:
    """Return a row of ``schemas.EXAMPLES`` per conversation: prompt [user, ..., user], the last turn's response and other fields.

    Raises UserError for prompts of several messages, which can't be turns.
    """
    count = rows.num_rows
    messages = rows.column("prompt").flatten()
    if len(messages) != count or not pc.all(pc.equal(pc.list_value_length(rows.column("prompt")), 1)).as_py():
        raise UserError("turns_per_example: prompts of several messages can't be turns; set it to 1")
    # The pool holds every question, then every answer; a conversation alternates between its halves and leaves out the last answer.
    contents = pa.concat_arrays([pc.struct_field(messages, "content"), rows.column("response")])
    roles = pa.concat_arrays([pc.struct_field(messages, "role"), pa.array(["assistant"] * count, pa.string())])
    indexes = np.empty(2 * count, dtype=np.int64)
    indexes[0::2] = order
    indexes[1::2] = order + count
    indexes = pa.array(np.delete(indexes, 2 * ends - 1))
    offsets = np.concatenate([[0], 2 * ends - np.arange(1, len(ends) + 1)])
    turns = pa.StructArray.from_arrays([roles.take(indexes), contents.take(indexes)], fields=list(MESSAGES.value_type))
    prompts = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), turns, type=MESSAGES)
    last = rows.take(pa.array(order[ends - 1]))
    columns = [prompts if name == "prompt" else last.column(name) for name in EXAMPLES.names]
    return pa.RecordBatch.from_arrays(columns, schema=EXAMPLES)
