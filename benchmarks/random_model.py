"""A model of random weights that has the speed of a real one: its shape, and responses whose lengths differ.

What a block adds is too small to matter, so two channels of the embeddings reach the output layer. Channel 0 is the same for every
token: from it the output layer takes how likely the response is to end, and how likely it is to give an answer. Channel 1 is set by
the answer alone, after which the response ends. So, at temperature 1.0 and without top-k and top-p, lengths are geometric, and half
of the responses have a (wrong) answer: rewards differ within groups, as dynamic sampling requires.
"""

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors.torch import save_file

EMBEDDED = Path(__file__).parents[1] / "resources/tiny-base"
#: Shapes: that of Llama-3.1-8B, with its 8,030,261,248 parameters, and one for a CPU.
SHAPES = {
    "8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "rope_theta": 500000.0,
    },
    "small": {
        "hidden_size": 128,  # 32 per head, the minimum of vLLM on a CPU
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 512,
        "max_position_embeddings": 16384,
        "rope_theta": 500000.0,
    },
}
ANSWER = '{"output": "abc"}'
#: Standard deviation of the weights: a block adds about a hundredth to what it reads.
SPREAD = 0.002
#: Channel 0 of every token, and channel 1 of the answer, before the last norm.
CONSTANT = 16.0
#: What channel 1 adds to the logit of the end: near certainty.
CERTAIN = 40.0


def write(folder: Path, shape: str, mean_tokens: float) -> None:
    """Write a model whose responses have ``mean_tokens`` tokens on average, in shards, with the embedded model's chat template."""
    values = SHAPES[shape]
    folder.mkdir(parents=True, exist_ok=True)
    end, answer = write_tokenizer(folder, values["vocab_size"])
    makers = [lambda: embedding(values, answer), lambda: output_layer(values, end, answer, mean_tokens)]
    makers += [lambda number=number: block(values, number) for number in range(values["num_hidden_layers"])]
    names = [f"model-{number:05}-of-{len(makers):05}.safetensors" for number in range(1, len(makers) + 1)]

    def write_shard(name: str, make) -> dict[str, str]:
        tensors = {key: tensor.to(torch.bfloat16) for key, tensor in make().items()}
        save_file(tensors, folder / name, {"format": "pt"})
        return dict.fromkeys(tensors, name)

    # torch draws in one thread; each of these holds a gigabyte or two.
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        files = {key: name for shard in pool.map(write_shard, names, makers) for key, name in shard.items()}
    size = sum((folder / name).stat().st_size for name in names)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16", "tie_word_embeddings": False}
    config |= values | {"rms_norm_eps": 1e-5, "bos_token_id": None, "eos_token_id": end}
    _write_json(folder / "generation_config.json", {"do_sample": True, "eos_token_id": end})
    _write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": files})
    _write_json(folder / "config.json", config)  # last: a killed run makes the model again


def write_tokenizer(folder: Path, size: int) -> tuple[int, int]:
    """Write the embedded model's tokenizer, filled up to ``size`` entries, and return the ids of the end and of the answer.

    The answer is one token. The filling is never read from a text, only written.
    """
    tokenizer = json.loads((EMBEDDED / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary, added = tokenizer["model"]["vocab"], tokenizer["added_tokens"]
    added.append(added[-1] | {"content": ANSWER, "special": False})
    vocabulary |= {f"~{number:x}": number for number in range(len(vocabulary), size - len(added))}
    for number, token in enumerate(added, len(vocabulary)):  # added tokens come last
        token["id"] = number
    _write_json(folder / "tokenizer.json", tokenizer)
    for name in ("tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_bytes((EMBEDDED / name).read_bytes())
    ids = {token["content"]: token["id"] for token in added}
    return ids["<|end|>"], ids[ANSWER]


def embedding(shape: dict, answer: int) -> dict[str, torch.Tensor]:
    """Return the embeddings; the blocks hardly change them, so they are nearly the input of the last norm."""
    rows = torch.randn(shape["vocab_size"], shape["hidden_size"], generator=torch.Generator().manual_seed(1))
    rows[:, 0], rows[:, 1] = CONSTANT, 0
    rows[answer, 1] = CONSTANT
    return {"model.embed_tokens.weight": rows}


def output_layer(shape: dict, end: int, answer: int, mean_tokens: float) -> dict[str, torch.Tensor]:
    """Return the last norm and the output layer: the end and the answer have a chance of 1 in 2 × ``mean_tokens`` each."""
    hidden, spread = shape["hidden_size"], 0.01
    rows = spread * torch.randn(shape["vocab_size"], hidden, generator=torch.Generator().manual_seed(2))
    rows[:, :2] = 0
    rows[[end, answer]] = 0
    root_mean_square = math.sqrt((CONSTANT**2 + hidden - 2) / hidden)
    constant = CONSTANT / root_mean_square  # channel 0 behind the norm
    others = math.log(shape["vocab_size"]) + (spread / root_mean_square) ** 2 * (hidden - 2) / 2
    share = 0.5 / mean_tokens
    rows[[end, answer], 0] = (others + math.log(share / (1 - 2 * share))) / constant
    rows[end, 1] = CERTAIN / constant
    return {"model.norm.weight": torch.ones(hidden), "lm_head.weight": rows}


def block(shape: dict, number: int) -> dict[str, torch.Tensor]:
    """Return the weights of one transformer block."""
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    keys = hidden // shape["num_attention_heads"] * shape["num_key_value_heads"]
    sizes = {"self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden)}
    sizes |= {"self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden)}
    sizes |= {"mlp.down_proj": (hidden, inner)}
    generator, prefix = torch.Generator().manual_seed(100 + number), f"model.layers.{number}"
    weights = {f"{prefix}.{name}.weight": SPREAD * torch.randn(*size, generator=generator) for name, size in sizes.items()}
    norms = ("input_layernorm", "post_attention_layernorm")
    return weights | {f"{prefix}.{name}.weight": torch.ones(hidden) for name in norms}


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
