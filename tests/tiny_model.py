"""A model of random weights with a character tokenizer: real files in Hugging Face format, of any size, in a second."""

import string
from pathlib import Path

END, START = "<|end|>", "<|start|>"
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def make(
    folder: Path,
    hidden: int = 32,
    layers: int = 2,
    heads: int = 2,
    feed_forward: int = 64,
    positions: int = 512,
    kind: str = "llama",
    **settings,
) -> Path:
    """Write the model; its vocabulary is as long as its tokenizer (special tokens, printable ASCII, ``func_0`` ...).

    ``settings``: more keys of the configuration of that ``kind`` of model.
    """
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    words = [END, START, "<|unknown|>", *string.printable, *(f"func_{number}" for number in range(40))]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<|unknown|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"func_\d+|[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<|unknown|>", eos_token=END, pad_token=END)
    fast.add_special_tokens({"additional_special_tokens": [START]})
    fast.chat_template = TEMPLATE
    shape = {
        "vocab_size": len(fast),
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "intermediate_size": feed_forward,
        "max_position_embeddings": positions,
    }
    ends = {"bos_token_id": None, "eos_token_id": fast.eos_token_id, "pad_token_id": fast.pad_token_id}
    config = AutoConfig.for_model(kind, **(shape | ends | {"tie_word_embeddings": True} | settings))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return Path(folder)
