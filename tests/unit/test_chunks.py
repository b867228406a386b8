"""Chunks of problems: disjoint, whole, the same whatever else is cut."""

from pathlib import Path

import problem_sets
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fofg.data import chunks, datasets
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/create_chunk.py"
ROWS = 50


@pytest.fixture(scope="module")
def problems(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "train.parquet"
    datasets.write(path, problem_sets.spec("stage2_level2", "train", ROWS, problem_sets.DEFAULT.problems))
    return path


def spec(iteration: int = 0, size: int = 16, seed: int = 1) -> dict:
    return {"iteration": iteration, "size": size, "seed": seed}


@given(st.integers(1, 300), st.data(), st.integers(0, 2**40))
def test_chunks_share_no_row(rows, data, seed):
    size = data.draw(st.integers(1, rows))
    cut = [chunks.members(rows, size, seed, iteration) for iteration in range(rows // size)]
    together = [row for chunk in cut for row in chunk]
    assert all(len(chunk) == size for chunk in cut)
    assert len(set(together)) == len(together)
    assert set(together) <= set(range(rows))


def test_chunks_depend_on_the_seed_alone():
    assert chunks.members(10, 4, 1, 0) == [0, 9, 7, 8]
    assert chunks.members(10, 4, 1, 1) == [1, 4, 3, 5]
    assert chunks.members(10, 4, 2, 0) != chunks.members(10, 4, 1, 0)


def test_without_a_seed_chunks_follow_the_file():
    assert [chunks.members(10, 4, None, iteration) for iteration in (0, 1)] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_rows_are_shuffled_evenly():
    chunk = chunks.members(10_000, 1000, 3, 4)
    tenths = [sum(low <= row < low + 1000 for row in chunk) for low in range(0, 10_000, 1000)]
    assert sum((count - 100) ** 2 / 100 for count in tenths) < 34  # chi-square, 9 degrees of freedom: p = 0.0001
    assert chunk != sorted(chunk)


def test_a_chunk_has_its_rows_unchanged_and_in_order(tmp_path, problems):
    whole = pq.read_table(problems).to_pylist()
    for iteration in range(3):
        path = tmp_path / f"{iteration}.parquet"
        assert chunks.write(path, problems, **spec(iteration), iterations=3) == 16
        made = pq.read_table(path)
        assert made.schema.equals(PROBLEMS)
        assert made.to_pylist() == [whole[row] for row in chunks.members(ROWS, 16, 1, iteration)]


def test_chunks_do_not_depend_on_their_number_or_the_row_groups(tmp_path, problems, monkeypatch):
    chunks.write(tmp_path / "a.parquet", problems, **spec(1), iterations=2)
    chunks.write(tmp_path / "b.parquet", problems, **spec(1), iterations=3)
    table = pq.read_table(problems)
    pq.write_table(table.select(table.column_names[::-1]), tmp_path / "mine.parquet", row_group_size=3)
    monkeypatch.setattr(chunks, "BATCH_ROWS", 7)
    chunks.write(tmp_path / "c.parquet", tmp_path / "mine.parquet", **spec(1), iterations=3)
    made = [pq.read_table(tmp_path / f"{name}.parquet") for name in "abc"]
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert made[0].equals(made[2])


@pytest.mark.parametrize(("iteration", "iterations"), [(0, 4), (3, 3)])
def test_too_few_rows_are_an_error_that_names_the_keys(tmp_path, problems, iteration, iterations):
    with pytest.raises(UserError) as caught:
        chunks.write(tmp_path / "out.parquet", problems, **spec(iteration), iterations=iterations)
    for part in ("train.parquet", "4 chunks of 16 need 64", "num_iterations", "examples_per_iteration", "datasets.NAME.train"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []
