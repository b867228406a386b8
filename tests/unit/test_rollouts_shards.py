"""Shards of rollouts: arithmetic, prompts, limits, hostile files, and gathering them."""

import json
from importlib.util import find_spec

import pyarrow.parquet as pq
import pytest
import rollout_rows
from hypothesis import given
from hypothesis import strategies as st
from rollout_rows import sampling

from fofg.config import Problems
from fofg.data import datasets
from fofg.data.files import write_parquet
from fofg.data.schemas import PROBLEMS, ROLLOUTS
from fofg.errors import UserError
from fofg.rollouts import shards
from fofg.rollouts.gather import gather
from fofg.specs import ProblemsSpec, RolloutsSpec
from fofg.tasks.strings.prompts import prompt_text

TEMPLATE = "{code} ? {input} !"


def spec(first=0, rows=None, **changes) -> RolloutsSpec:
    own = {key: changes.pop(key) for key in ("definitions", "template", "problems") if key in changes}
    return RolloutsSpec(engine="transformers", dtype="auto", first=first, rows=rows, rollouts=sampling(**changes), **own)


def problem(index: int, **columns) -> dict:
    text = "abc" * (1 + index * 7 % 5)
    names = {"expression": "func_3(x)", "functions": ["func_3"]}
    return rollout_rows.problem(index, x=text, output="aabbcc", text=f"func_3({text!r})?", **names, **columns)


def write(path, rows):
    write_parquet(path, PROBLEMS, [rows])
    return path


@pytest.fixture
def problems(tmp_path):
    return write(tmp_path / "problems.parquet", [problem(index) for index in range(10)])


def make(tmp_path, tiny_model, problems, used, name="out.parquet", batch_size=8):
    done = shards.generate(used, problems, tiny_model, tmp_path / name, tmp_path / "state", batch_size)
    assert not (tmp_path / "state").exists()
    return done, pq.read_table(tmp_path / name).to_pylist()


@given(st.integers(0, 2**70), st.integers(0, 10**9), st.integers(0, 10**4))
def test_seeds_differ_between_samples(seed, index, sample):
    made = shards.sample_seed(seed, index, sample)
    assert 0 <= made < 2**63
    others = [(seed + 1, index, sample), (seed, index + 1, sample), (seed, index, sample + 1)]
    assert made not in {shards.sample_seed(*other) for other in others}


def test_seeds_are_the_same_everywhere():
    assert shards.sample_seed(1, 2, 3) == 1527331947104972218


def test_a_shard_has_one_row_per_problem(tmp_path, tiny_model, problems):
    done, rows = make(tmp_path, tiny_model, problems, spec())
    assert (done.problems, done.samples, done.skipped, done.resumed) == (10, 30, 0, 0)
    assert pq.read_schema(tmp_path / "out.parquet").names == ROLLOUTS.names
    assert [{key: row[key] for key in PROBLEMS.names} for row in rows] == [problem(index) for index in range(10)]
    for row in rows:
        assert len(row["responses"]) == len(row["finish_reasons"]) == len(row["token_counts"]) == 3
        assert len(set(row["responses"])) == 3
        assert set(row["finish_reasons"]) <= {"stop", "length"}
    assert done.tokens == sum(sum(row["token_counts"]) for row in rows)


def test_shards_together_equal_the_whole(tmp_path, tiny_model, problems):
    _, whole = make(tmp_path, tiny_model, problems, spec())
    names = []
    for first, rows in ((8, None), (0, 4), (4, 4)):
        names.append(f"shard{first}.parquet")
        make(tmp_path, tiny_model, problems, spec(first, rows), names[-1], batch_size=6)
    assert gather([tmp_path / name for name in names], 3, tmp_path / "all.parquet") == 10
    assert pq.read_table(tmp_path / "all.parquet").to_pylist() == whole


def sampled(first, rows):
    settings = Problems(sampler="paper", seed=42, input_length=(3, 10), max_output_length=None, template=TEMPLATE)
    return ProblemsSpec(dataset="mine", stage=2, levels=(1, 1), split="train", first=first, rows=rows, problems=settings)


def test_shards_that_sample_their_problems_have_those_of_the_dataset(tmp_path, tiny_model):
    datasets.write(tmp_path / "train.parquet", sampled(0, 10))
    names = []
    for first, rows in ((0, 4), (4, 4), (8, 2)):
        names.append(f"shard{first}.parquet")
        make(tmp_path, tiny_model, None, spec(first, rows, problems=sampled(first, rows), max_response_tokens=5), names[-1])
    assert gather([tmp_path / name for name in names], 3, tmp_path / "all.parquet") == 10
    gathered = pq.read_table(tmp_path / "all.parquet", columns=PROBLEMS.names)
    assert gathered.to_pylist() == pq.read_table(tmp_path / "train.parquet").to_pylist()


def test_problems_come_from_either_a_file_or_the_spec(tmp_path, problems):
    for file, used in ((problems, spec(0, 4, problems=sampled(0, 4))), (None, spec(0, 4))):
        with pytest.raises(UserError, match="--problems: the spec"):
            shards.generate(used, file, tmp_path, tmp_path / "out.parquet", tmp_path / "state", 8)


@pytest.mark.parametrize(("shown", "functions"), [(True, ("sort_chars",)), ("explained", ("sort_chars",)), (False, ())])
def test_prompts_are_rebuilt_with_or_without_definitions(shown, functions):
    row = problem(0)
    text = prompt_text(TEMPLATE, "func_3(x)", "abc", functions, shown == "explained")
    assert shards.build_prompts([row], shown, TEMPLATE) == [[{"role": "user", "content": text}]]
    assert ('"""' in text) == (shown == "explained")
    assert shards.build_prompts([row], None, TEMPLATE) == [row["prompt"]]


@pytest.mark.parametrize(
    "truth", ["", "null", "[1]", '{"ref_input": 1}', '{"ref_output": "a"}', "[" * 100_000, '{"ref_input": "a"', "NaN"]
)
def test_unusable_ground_truth_is_named(truth):
    row = problem(7, reward_model={"style": "rule", "ground_truth": truth})
    with pytest.raises(UserError, match=r"problem 7: reward_model.ground_truth must be JSON"):
        shards.build_prompts([row], False, TEMPLATE)


def test_unknown_functions_are_named():
    row = problem(7)
    row["reward_model"]["ground_truth"] = json.dumps({"ref_input": "a", "ref_output": "a", "expression": "__import__(x)"})
    with pytest.raises(UserError, match=r"problem 7: .*__import__"):
        shards.build_prompts([row], True, TEMPLATE)
    with pytest.raises(UserError, match=r"template: needed"):
        shards.build_prompts([row], True, None)


def test_a_long_prompt_is_an_error_with_both_cures(tmp_path, tiny_model, problems):
    used = spec(max_prompt_tokens=33)
    message = (
        r"problem 2: the prompt has 39 tokens, more than rollouts.max_prompt_tokens \(33\); raise it, or set .*long_prompts: skip"
    )
    with pytest.raises(UserError, match=message):
        make(tmp_path, tiny_model, problems, used)
    assert not (tmp_path / "out.parquet").exists()


def test_long_prompts_are_skipped_and_counted(tmp_path, tiny_model, problems):
    _, whole = make(tmp_path, tiny_model, problems, spec())
    done, rows = make(tmp_path, tiny_model, problems, spec(max_prompt_tokens=33, long_prompts="skip"))
    skipped = [row["extra_info"]["index"] for row in rows if not row["responses"]]
    assert skipped == [2, 4, 7, 9]
    assert (done.skipped, done.samples) == (4, 18)
    for row, full in zip(rows, whole):
        empty = {key: [] for key in ("responses", "finish_reasons", "token_counts")}
        expected = empty if row["extra_info"]["index"] in skipped else {}
        assert row == full | expected


def test_prompts_without_positions_for_a_response_are_an_error_or_skipped(tmp_path, tiny_model, problems):
    message = r"problem 2: .*39 tokens, with rollouts.max_response_tokens \(475\) more than the model's 512 positions; lower it, or"
    with pytest.raises(UserError, match=message):
        make(tmp_path, tiny_model, problems, spec(max_response_tokens=475))
    done, _ = make(tmp_path, tiny_model, problems, spec(max_response_tokens=512, long_prompts="skip"))
    assert done.skipped == 10


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_a_missing_engine_is_named(tmp_path, tiny_model, problems):
    with pytest.raises(
        UserError, match=r"rollout_engine.name: vllm can't be loaded \(No module named 'vllm'\); install envs/gpu.txt"
    ):
        make(tmp_path, tiny_model, problems, spec().model_copy(update={"engine": "vllm"}))


def test_unusable_problems_are_named(tmp_path, tiny_model, problems):
    def message(used=None):
        with pytest.raises(UserError) as caught:
            make(tmp_path, tiny_model, problems, used or spec())
        assert str(problems) in str(caught.value)
        return str(caught.value)

    assert "has 10 problems, not the rows 5 to 14" in message(spec(5, 10))
    assert "has 10 problems, not the rows 10 to 9" in message(spec(10))
    for damage, expected in (
        ({"prompt": []}, "problem 3: prompt is empty"),
        ({"prompt": [{"role": "user", "content": None}]}, "problem 3: prompt is empty"),
        ({"extra_info": problem(2)["extra_info"]}, "row 3 has the extra_info.index of another (2)"),
    ):
        write(problems, [problem(index, **(damage if index == 3 else {})) for index in range(10)])
        assert expected in message()


def test_hostile_prompts_get_responses(tmp_path, tiny_model):
    texts = ["\x00\ud7ff🜚", "<|end|><|start|>assistant\n", "{{ 1/0 }}{% for %}", "\N{COMBINING ACUTE ACCENT}" * 50, " "]
    rows = [problem(index, prompt=[{"role": "user", "content": text}]) for index, text in enumerate(texts)]
    _, made = make(tmp_path, tiny_model, write(tmp_path / "problems.parquet", rows), spec())
    assert [row["prompt"][0]["content"] for row in made] == texts
    assert all(len(row["responses"]) == 3 for row in made)


def test_gather_refuses_incomplete_or_different_shards(tmp_path, tiny_model, problems):
    for first, rows in ((0, 4), (4, 4), (8, 2), (0, 8)):
        make(tmp_path, tiny_model, problems, spec(first, rows), f"{first}-{rows}.parquet")
    make(tmp_path, tiny_model, problems, spec(8, 2, seed=9), "other.parquet")

    def message(*names, expected=3):
        with pytest.raises(UserError) as caught:
            gather([tmp_path / name for name in names], expected, tmp_path / "all.parquet")
        assert not (tmp_path / "all.parquet").exists()
        return str(caught.value)

    assert "2 shards given, 3 expected" in message("0-4.parquet", "4-4.parquet")
    assert "8-2.parquet: begins at problem 8, expected 4" in message("0-4.parquet", "8-2.parquet", expected=2)
    assert "4-4.parquet: begins at problem 4, expected 8" in message("0-8.parquet", "4-4.parquet", "8-2.parquet")
    assert "begins at problem 0, expected 4" in message("0-4.parquet", "0-4.parquet", "4-4.parquet")
    assert "other.parquet: made with other settings" in message("0-4.parquet", "4-4.parquet", "other.parquet")
    table = pq.read_table(tmp_path / "0-8.parquet")
    pq.write_table(table.slice(0, 7), tmp_path / "short.parquet")
    assert "short.parquet: has 7 problems, expected 8" in message("short.parquet", "8-2.parquet", expected=2)
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "bare.parquet")
    assert "bare.parquet: not a shard" in message("bare.parquet", "8-2.parquet", expected=2)
