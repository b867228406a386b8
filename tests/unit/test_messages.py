"""Rows of RFT data for trainers of others."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fofg.data.messages import with_messages
from fofg.data.schemas import EXAMPLES, RFT

TEXT = st.text(max_size=4)
PROMPT = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": TEXT}), min_size=1, max_size=4)


@given(st.lists(st.fixed_dictionaries({"prompt": PROMPT, "response": TEXT}), min_size=1, max_size=6), st.integers(0, 5))
@settings(deadline=None)
def test_messages_are_the_prompt_and_the_response(examples, skipped):
    batch = pa.RecordBatch.from_pylist(examples, EXAMPLES).slice(skipped)
    rows = with_messages(batch)
    assert rows.schema == RFT and rows.select(EXAMPLES.names).equals(batch)
    for row in rows.to_pylist():
        assert row["completion"] == [{"role": "assistant", "content": row["response"]}]
        assert row["messages"] == row["prompt"] + row["completion"]
