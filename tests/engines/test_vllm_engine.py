"""Engine vllm with the real vLLM on a CPU: agreement with the transformers engine, limits, errors."""

import gc
import json
import math
import shutil
from statistics import fmean, variance

import pytest
import tiny_model as tiny_models
from safetensors.torch import load_file, save_file

from fofg.config import Rollouts
from fofg.data.files import read_rows
from fofg.errors import UserError
from fofg.rollouts.engine import Request, create
from fofg.rollouts.sampling import sample_seed
from fofg.tasks.strings import Strings, grade
from fofg.tasks.task import Outcome

pytestmark = pytest.mark.engines
LIMITS = {"max_prompt_tokens": 256, "max_response_tokens": 128, "long_prompts": "error"}
EAGER = {"enforce_eager": True}


def settings(**changes) -> Rollouts:
    return Rollouts(**({"samples": 3, "temperature": 1.0, "top_p": 1.0, "seed": 1} | LIMITS | changes))


def transformers(model, **changes):
    return create("transformers", model, settings(**changes), "float32")


@pytest.fixture(scope="module")
def vllm():
    """Start engines one at a time, since the end of one destroys the process groups of others. The last one is kept."""
    held = {}

    def start(model, options=EAGER, **changes):
        key = f"{model} {changes} {options}"
        if key not in held:
            held.clear()
            gc.collect()
            held[key] = create("vllm", model, settings(**changes), "float32", options=options)
        return held[key]

    yield start
    held.clear()


def requests(rows: list[dict], samples: int, run: int = 1) -> list[Request]:
    return [
        Request(row["prompt"], tuple(sample_seed(run, row["extra_info"]["index"], sample) for sample in range(samples)))
        for row in rows
    ]


def collect(made, wanted: list[Request]) -> dict:
    pairs = [((number, sample), result) for number, sample, result in made.generate(wanted)]
    assert sorted(dict(pairs)) == [(number, seed) for number, request in enumerate(wanted) for seed in range(len(request.seeds))]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.fixture(scope="module")
def rows(level1):
    return list(read_rows(level1))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a model with random weights and a head size that vLLM supports on a CPU."""
    return tiny_models.make(tmp_path_factory.mktemp("small"), hidden=64)


@pytest.mark.parametrize(("limit", "reasons"), [(128, {"stop"}), (12, {"length"}), (1, {"length"})])
def test_greedy_responses_equal_the_transformers_engines(vllm, tiny_base, rows, limit, reasons):
    changes = {"temperature": 0, "max_response_tokens": limit}
    wanted = requests(rows[:24], 2)
    made = collect(vllm(tiny_base, **changes), wanted)
    assert made == collect(transformers(tiny_base, **changes), wanted)
    assert all(made[number, 0] == made[number, 1] for number in range(24))
    assert {sample.finish_reason for sample in made.values()} == reasons
    assert limit == 128 or {sample.token_count for sample in made.values()} == {limit}


def test_samples_are_reproducible_and_differ_by_seed(vllm, tiny_base, rows):
    wanted = requests(rows[:16], 8)
    made = collect(vllm(tiny_base), wanted)
    assert collect(vllm(tiny_base), wanted) == made
    assert fmean(len({made[number, sample].text for sample in range(8)}) for number in range(16)) > 3
    others = collect(vllm(tiny_base), requests(rows[:16], 8, run=2))
    assert sum(made[place] == others[place] for place in made) < 64


def test_a_sample_does_not_depend_on_the_other_requests(vllm, tiny_base, rows):
    wanted = requests(rows[:32], 4)
    whole = collect(vllm(tiny_base), wanted)
    for number in (3, 30):
        alone = collect(vllm(tiny_base), [wanted[number]])
        assert all(whole[number, seed] == result for (_, seed), result in alone.items())


def test_unfinished_requests_are_dropped_when_the_caller_stops(vllm, tiny_base, rows):
    wanted = requests(rows[:8], 4)
    whole = collect(vllm(tiny_base), wanted)
    begun = vllm(tiny_base).generate(wanted)
    assert next(begun)[2] in whole.values()
    begun.close()
    assert not vllm(tiny_base).llm.llm_engine.has_unfinished_requests()
    assert collect(vllm(tiny_base), wanted) == whole


@pytest.mark.parametrize("changes", [{}, {"temperature": 1.5, "top_p": 0.9}])
def test_accuracy_and_length_agree_with_the_transformers_engine(vllm, tiny_base, rows, changes):
    """Two-sided tests at z = 3.5; a correct engine fails once in 1,000 times, and only when seeds or models change."""
    truths = [Strings().read(row, "row").output for row in rows]
    correct, lengths = [], []
    for engine in (vllm(tiny_base, **changes), transformers(tiny_base, **changes)):
        made = collect(engine, requests(rows, 8))
        correct.append([float(grade(result.text, truths[number]) is Outcome.CORRECT) for (number, _), result in made.items()])
        lengths.append([result.token_count for result in made.values()])
    assert 0.1 < fmean(correct[1]) < 0.95
    for ours, theirs in (correct, lengths):
        error = math.sqrt(variance(ours) / len(ours) + variance(theirs) / len(theirs))
        assert abs(fmean(ours) - fmean(theirs)) < 3.5 * error


def test_every_end_token_ends_a_response_and_the_models_sampling_defaults_are_ignored(vllm, small, tmp_path):
    wanted = [Request([{"role": "user", "content": "x" * number}], tuple(range(9 * number, 9 * number + 9))) for number in range(4)]
    plain = collect(vllm(small), wanted)
    defaults = json.loads((small / "generation_config.json").read_text())
    sharp, stopping = shutil.copytree(small, tmp_path / "sharp"), shutil.copytree(small, tmp_path / "stopping")
    (sharp / "generation_config.json").write_text(json.dumps(defaults | {"top_k": 1, "temperature": 0.1, "do_sample": True}))
    assert collect(vllm(sharp), wanted) == plain
    letter = transformers(small).tokenizer.convert_tokens_to_ids("e")
    (stopping / "generation_config.json").write_text(json.dumps(defaults | {"eos_token_id": [0, letter]}))
    made = collect(vllm(stopping), wanted)
    assert any(result.text.endswith("e") for result in made.values())
    for place, result in made.items():
        # "e" is always a token of its own: func_N has none.
        before, found, _ = plain[place].text.partition("e")
        assert result.text == before + found
        assert result.finish_reason == ("stop" if found else plain[place].finish_reason)


def test_token_counts_include_the_end_token(vllm, small):
    results = collect(vllm(small), [Request([{"role": "user", "content": "abc"}], tuple(range(80)))]).values()
    assert {result.finish_reason for result in results} == {"stop", "length"}
    for result in results:
        tokens = len(vllm(small).tokenizer(result.text, add_special_tokens=False)["input_ids"])
        special = result.token_count - (result.finish_reason == "stop") - tokens
        assert 0 <= special < 20
        assert result.finish_reason == "stop" or result.token_count == LIMITS["max_response_tokens"]


def test_tokens_missing_from_the_tokenizer_are_never_sampled(vllm, tmp_path):
    """The model has 4,000 tokens, its tokenizer 143, of which three have no text."""
    padded = tiny_models.make(tmp_path / "padded", hidden=64, vocab_size=4000)
    wanted = [Request([{"role": "user", "content": "abc"}], tuple(range(20)))]
    for result in collect(vllm(padded, max_response_tokens=40), wanted).values():
        text = vllm(padded, max_response_tokens=40).tokenizer(result.text, add_special_tokens=False)["input_ids"]
        assert len(text) >= result.token_count - 8


def test_a_response_can_fill_the_last_position(vllm, small):
    limits = {"max_prompt_tokens": 1000, "max_response_tokens": 400, "temperature": 0}
    assert vllm(small, **limits).positions == 512
    prompt = [{"role": "user", "content": "y" * 94}]
    assert vllm(small, **limits).prompt_lengths([prompt]) == [112]
    wanted = [Request(prompt, (1,))]
    sample = collect(vllm(small, **limits), wanted)[0, 0]
    assert sample == collect(transformers(small, **limits), wanted)[0, 0]
    assert (sample.finish_reason, sample.token_count) == ("length", 400)


def test_unusable_models_are_errors(vllm, small, tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no config.json"):
        vllm(tmp_path / "nowhere")
    broken = shutil.copytree(small, tmp_path / "broken")
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match=r"broken/model.safetensors: damaged weights"):
        vllm(broken)
    (broken / "model.safetensors").write_bytes(weights)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"model_type": "nothing_known"}))
    with pytest.raises(UserError, match=r"broken: is of type nothing_known"):
        vllm(broken)


def test_a_diverged_model_is_an_error(vllm, small, tmp_path):
    diverged = shutil.copytree(small, tmp_path / "model")
    weights = load_file(diverged / "model.safetensors")
    weights["model.norm.weight"][:] = math.nan
    save_file(weights, diverged / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"the model's logits are not finite"):
        vllm(diverged)


def test_settings_that_vllm_rejects_are_errors(vllm, small):
    with pytest.raises(UserError, match=r"rollouts: vLLM refuses the settings \(.*temperature must be in \[0, 2\]"):
        vllm(small, temperature=2.5)
    with pytest.raises(UserError, match=r"max_num_batched_tokens \(32\) .* max_num_seqs \(128\).*rollout_engine.options"):
        vllm(small, EAGER | {"max_num_batched_tokens": 32})


def test_too_little_memory_is_an_error_that_names_the_key(vllm, tmp_path):
    long = tiny_models.make(tmp_path / "long", hidden=64, positions=1 << 21)  # 1 KiB of cache per position
    with pytest.raises(UserError, match=r"vLLM lacks memory .*change rollout_engine.options.gpu_memory_utilization"):
        vllm(long, max_response_tokens=3 << 19)
