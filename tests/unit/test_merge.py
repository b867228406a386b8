"""Merged training examples: exact counts, a source for every row, an order that depends on the seed alone."""

import pyarrow.parquet as pq
import pytest
import rollout_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from fofg.data.files import write_parquet
from fofg.data.reading import example_rows
from fofg.data.schemas import EXAMPLES, MERGED, RFT
from fofg.errors import UserError
from fofg.rft.merge import merge


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of 30 examples, and another one of 7 as TRL has them."""
    folder = tmp_path_factory.mktemp("merge")
    rows = [rollout_rows.problem(index, text=f"a{index}") | {"response": f"r{index}"} for index in range(30)]
    write_parquet(folder / "a.parquet", EXAMPLES, [rows])
    pairs = [{name: [{"role": role, "content": f"b{index}"}] for name, role in zip(*TRL)} for index in range(7)]
    columns = RFT.names
    schema = RFT.remove(columns.index("messages")).remove(columns.index("response"))
    write_parquet(folder / "b.parquet", schema, [[rollout_rows.problem(0) | pair for pair in pairs]])
    return {name: folder / f"{name}.parquet" for name in "ab"}


TRL = (("prompt", "completion"), ("user", "assistant"))
COUNTS = st.fixed_dictionaries({"a": st.none() | st.integers(1, 30), "b": st.none() | st.integers(1, 7)})


@given(COUNTS, st.integers(0, 3))
@settings(deadline=None, max_examples=25)
def test_every_row_is_one_of_its_source_and_none_is_there_twice(files, counts, seed):
    output = files["a"].parent / "merged.parquet"
    assert merge(files, counts, seed, output) == {"a": counts["a"] or 30, "b": counts["b"] or 7}
    sources = {name: list(example_rows(path)) for name, path in files.items()}
    rows = pq.read_table(output).to_pylist()
    assert len({(row["source"], row["source_row"]) for row in rows}) == len(rows) == (counts["a"] or 30) + (counts["b"] or 7)
    for row in rows:
        original = sources[row["source"]][row["source_row"]]
        assert (row["prompt"], row["response"]) == (original["prompt"], original["response"])
        assert row["messages"] == [*row["prompt"], *row["completion"]] and row["completion"][0]["content"] == row["response"]
    assert pq.read_schema(output).equals(MERGED)
    merge(files, counts, seed, files["a"].parent / "again.parquet")
    assert pq.read_table(files["a"].parent / "again.parquet").to_pylist() == rows


def test_both_tasks_are_spread_over_the_file(files):
    output = files["a"].parent / "merged.parquet"
    orders = []
    for seed in (1, 2):
        merge(files, {"a": 7, "b": None}, seed, output)
        orders.append(pq.read_table(output)["source"].to_pylist())
    assert orders[0] != orders[1] and all(order != sorted(order) for order in orders)


def test_too_few_examples_are_an_error_that_names_the_key(files):
    with pytest.raises(UserError, match=r"b\.parquet: 7 examples, fewer than 8; lower mixture\.b"):
        merge(files, {"a": None, "b": 8}, 1, files["a"].parent / "none.parquet")
    assert not (files["a"].parent / "none.parquet").exists()
