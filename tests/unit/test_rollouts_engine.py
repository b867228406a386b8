"""The transformers engine against a loop without cache, batch or padding; the registry; models that can't be used."""

import json
import shutil

import pytest
import tiny_model
import torch
from rollout_rows import sampling

from fofg.config import Rollouts
from fofg.errors import UserError
from fofg.rollouts import engine
from fofg.rollouts.engine import Request
from fofg.rollouts.sampling import choose
from fofg.rollouts.transformers_engine import TransformersEngine


def settings(**changes) -> Rollouts:
    return sampling(**{"max_prompt_tokens": 200, "max_response_tokens": 60, **changes})


def requests(samples: int = 3) -> list[Request]:
    """Prompts of unequal lengths."""
    texts = ["", "What is func_3('abc')?", "x" * 70, "{}[]" * 9]
    return [
        Request([{"role": "user", "content": text}], tuple(1000 * number + sample for sample in range(samples)))
        for number, text in enumerate(texts)
    ]


def collect(loaded: engine.Engine, wanted: list[Request]) -> dict:
    pairs = [((number, sample), result) for number, sample, result in loaded.generate(wanted)]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@torch.inference_mode()
def slow_sample(loaded: TransformersEngine, request: Request, seed: int) -> tuple[str, str, int]:
    """Sample one response by definition: run the model on the whole text for each token."""
    ids = loaded.tokenizer.apply_chat_template(request.prompt, add_generation_prompt=True, return_dict=False)
    response = []
    for step in range(loaded.settings.max_response_tokens):
        logits = loaded.model(input_ids=torch.tensor([ids + response], device=loaded.device)).logits[:, -1]
        token = int(
            choose(logits, torch.tensor([seed], device=loaded.device), step, loaded.settings.temperature, loaded.settings.top_p)
        )
        response.append(token)
        if token == loaded.tokenizer.eos_token_id:
            break
    stopped = response[-1] == loaded.tokenizer.eos_token_id
    return loaded.tokenizer.decode(response, skip_special_tokens=True), "stop" if stopped else "length", len(response)


KINDS = {
    "llama": {},
    "grouped-queries": {"heads": 4, "num_key_value_heads": 2},
    "sliding-window": {"kind": "mistral", "sliding_window": 24},
    "mixed-layers": {
        "kind": "gemma3_text",
        "sliding_window": 24,
        "layer_types": ["sliding_attention", "full_attention"],
        "head_dim": 16,
    },
}


@pytest.mark.parametrize(
    ("kind", "sampling"),
    [*((kind, {}) for kind in KINDS), ("llama", {"temperature": 0.7, "top_p": 0.8}), ("llama", {"temperature": 0})],
)
def test_a_batch_equals_samples_made_one_by_one(kind, sampling, tmp_path):
    loaded = TransformersEngine(tiny_model.make(tmp_path, **KINDS[kind]), settings(**sampling), dtype="float32")
    wanted = requests()
    results = collect(loaded, wanted)
    assert sorted(results) == [(number, sample) for number in range(4) for sample in range(3)]
    for (number, sample), result in results.items():
        expected = slow_sample(loaded, wanted[number], wanted[number].seeds[sample])
        assert (result.text, result.finish_reason, result.token_count) == expected
    if not sampling:
        assert {result.finish_reason for result in results.values()} == {"stop", "length"}


def test_a_sample_depends_on_its_seed_alone(tiny_model):
    wanted = requests(8)
    whole = collect(TransformersEngine(tiny_model, settings(), batch_size=128), wanted)
    pieces = collect(TransformersEngine(tiny_model, settings(), batch_size=5), wanted)
    assert whole == pieces
    again = collect(TransformersEngine(tiny_model, settings(), batch_size=5), wanted[::-1])
    assert {(3 - number, sample): result for (number, sample), result in again.items()} == whole
    assert len({result.text for result in whole.values()}) > 24


def test_prompt_lengths_include_the_chat_template(tiny_model):
    loaded = TransformersEngine(tiny_model, settings())
    words = ["<|start|>", *"user\n", "func_12", *"(x)", "<|end|>", "<|start|>", *"assistant\n"]
    assert loaded.prompt_lengths([[{"role": "user", "content": "func_12(x)"}]]) == [len(words)]
    assert loaded.positions == 512


def test_defaults_of_the_model_do_not_change_the_sampling(tiny_model, tmp_path):
    changed = shutil.copytree(tiny_model, tmp_path / "model")
    defaults = json.loads((changed / "generation_config.json").read_text())
    defaults |= {"top_k": 1, "repetition_penalty": 9.0, "temperature": 0.1, "do_sample": True}
    (changed / "generation_config.json").write_text(json.dumps(defaults))
    assert collect(TransformersEngine(changed, settings()), requests()) == collect(
        TransformersEngine(tiny_model, settings()), requests()
    )


def test_every_end_token_of_the_model_ends_a_response(tiny_model, tmp_path):
    changed = shutil.copytree(tiny_model, tmp_path / "model")
    defaults = json.loads((changed / "generation_config.json").read_text())
    letter = TransformersEngine(tiny_model, settings()).tokenizer.convert_tokens_to_ids("e")
    (changed / "generation_config.json").write_text(json.dumps(defaults | {"eos_token_id": [0, letter]}))
    results = collect(TransformersEngine(changed, settings()), requests(20)).values()
    assert any(result.text.endswith("e") for result in results)
    assert all("e" not in result.text[:-1].replace("func_", "") for result in results)


def test_tokens_beyond_the_tokenizer_are_never_sampled(tmp_path):
    padded = tiny_model.make(tmp_path, vocab_size=4096)
    loaded = TransformersEngine(padded, settings())
    for result in collect(loaded, requests()).values():
        assert len(loaded.tokenizer(result.text, add_special_tokens=False)["input_ids"]) >= result.token_count - 8


def test_engines_are_found_by_name_or_path(tiny_model):
    by_path = "fofg.rollouts.transformers_engine:TransformersEngine"
    for name in ("transformers", by_path):
        assert isinstance(engine.create(name, tiny_model, settings(), batch_size=7), TransformersEngine)
    with pytest.raises(UserError, match=r"rollout_engine.name: no engine 'transformer'; .*did you mean transformers\?"):
        engine.create("transformer", tiny_model, settings())
    with pytest.raises(UserError, match=r"rollout_engine.name: nothing.like:This can't be loaded"):
        engine.create("nothing.like:This", tiny_model, settings())
