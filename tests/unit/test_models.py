"""The base model's folder: found, checked, linked, with a plain chat template."""

import json
import os
import shutil
import struct
from pathlib import Path

import pytest

from fofg import model_files, models
from fofg.chat_templates import plain
from fofg.errors import UserError
from fofg.model_files import digest
from fofg.weights import relink

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "prepare_base_model.py"
#: As Llama 3.1 renders: a system turn with dates in front of every conversation, contents trimmed.
LLAMA = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{{- 'Cutting Knowledge Date: December 2023\\nToday Date: 26 Jul 2024\\n\\n' }}
{{- system_message }}
{{- '<|eot_id|>' }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""
#: As Qwen 2.5 renders: a default sentence where the conversation has no system turn.
CHATML = """{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'system' and loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
#: As Mistral renders, with an instruction in front: turns whose marks name no roles, and no system turns.
INST = """{{- bos_token }}{{- '[INFO]Be brief.[/INFO]' }}
{%- for m in messages %}
    {%- if m.role == 'user' %}{{- '[INST] ' + m.content + ' [/INST]' }}
    {%- elif m.role == 'assistant' %}{{- ' ' + m.content + '</s>' }}
    {%- else %}{{- raise_exception('only user and assistant') }}{%- endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- ' ' }}{%- endif %}"""

ASK = "{% if add_generation_prompt %}assistant: {% endif %}"


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tiny_model)
    loaded.add_special_tokens({"bos_token": "<|begin_of_text|>"})
    return loaded


def turns(*texts, system=None):
    messages = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]
    return [{"role": "system", "content": system}, *messages] if system else messages


def render(tokenizer, template, messages, ask=False):
    return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=ask)


def llama(role, text):
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>"


def test_llama_without_its_system_text(tokenizer):
    own = plain(tokenizer, LLAMA)
    rendered = render(tokenizer, own, turns("Hi?", "Ho.", "Why?"), ask=True)
    expected = llama("user", "Hi?") + llama("assistant", "Ho.") + llama("user", "Why?")
    assert rendered == "<|begin_of_text|>" + expected + "<|start_header_id|>assistant<|end_header_id|>\n\n"
    assert render(tokenizer, own, turns("Hi?")) == "<|begin_of_text|>" + llama("user", "Hi?")
    assert "Cutting" in render(tokenizer, LLAMA, turns("Hi?"))


def test_qwen_without_its_system_text(tokenizer):
    own = plain(tokenizer, CHATML)
    expected = "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\nHo.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
    assert render(tokenizer, own, turns("Hi?", "Ho.", "Why?"), ask=True) == expected + "<|im_start|>assistant\n"
    assert "Qwen" in render(tokenizer, CHATML, turns("Hi?"))


@pytest.mark.parametrize("template", [LLAMA, CHATML])
def test_a_system_text_of_the_conversation_stays(tokenizer, template):
    own = plain(tokenizer, template)
    messages = turns("Hi?", "Ho.", system="Speak up.")
    rendered = render(tokenizer, own, messages)
    assert "Speak up." in rendered and "Cutting" not in rendered
    assert rendered.index("system") < rendered.index("Speak up.") < rendered.index("Hi?")
    if template is CHATML:
        assert rendered == render(tokenizer, CHATML, messages)


def test_a_template_without_role_names(tokenizer):
    own = plain(tokenizer, INST)
    assert render(tokenizer, own, turns("Hi?", "Ho.", "Why?"), ask=True) == (
        "<|begin_of_text|>[INST] Hi? [/INST] Ho.</s>[INST] Why? [/INST] "
    )
    with pytest.raises(Exception, match="no role system"):
        render(tokenizer, own, turns("Hi?", system="Speak up."))


def test_contents_are_kept_to_the_character(tokenizer):
    content = "{{ 'a' }} {% if x %} '\" \\n é 🦎\n\ttab  "
    assert f"user\n{content}<|im_end|>" in render(tokenizer, plain(tokenizer, CHATML), turns(content))


def test_a_template_without_system_text_stays_unchanged(tokenizer):
    own = tokenizer.chat_template
    assert plain(tokenizer, own) is own


@pytest.mark.parametrize(
    "template",
    [
        "Be good. {% for m in messages %}{{ m.role }}: {{ m.content | upper }};{% endfor %}" + ASK,
        "Be good. {% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}" + ASK.replace("assistant", "think"),
        "Be good. {% for m in messages %}{{ loop.revindex }}{{ m.role }}: {{ m.content }};{% endfor %}" + ASK,
        "{{ raise_exception('never') }}",
        "{{ messages[7].content }}",
    ],
)
def test_a_template_that_cannot_be_made_plain_is_an_error(tokenizer, template):
    with pytest.raises(UserError, match="plain_prompt: false"):
        plain(tokenizer, template)


def flip_a_bit(folder):
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (folder / "model.safetensors").write_bytes(weights)


@pytest.fixture
def base(tiny_model, tmp_path):
    """Copy the model, to be changed."""
    return shutil.copytree(tiny_model, tmp_path / "base")


def test_a_prepared_folder_has_the_logits_of_the_model(base, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (base / "chat_template.jinja").write_text(CHATML)
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    assert (tmp_path / "out" / "model.safetensors").is_symlink()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer.apply_chat_template(turns("Hi?"), add_generation_prompt=True, return_tensors="pt")["input_ids"]
    assert "Qwen" not in tokenizer.decode(ids[0])
    logits = [AutoModelForCausalLM.from_pretrained(folder)(ids).logits for folder in (base, tmp_path / "out")]
    assert torch.equal(*logits)
    source = json.loads((tmp_path / "out" / "source.json").read_text())
    assert source["spec"] == {"plain_prompt": True, "code": 0} and source["digest"]


def test_the_source_record_changes_with_any_file(base, tmp_path):
    (base / "chat_template.jinja").write_text(CHATML)

    def record():
        models.prepare(str(base), tmp_path / "out", plain_prompt=False)
        return (tmp_path / "out" / "source.json").read_text()

    first = record()
    assert record() == first
    flip_a_bit(base)
    second = record()
    assert second != first
    (base / "chat_template.jinja").write_text(CHATML + "{# mine #}")
    assert record() not in (first, second)


def test_the_source_record_does_not_depend_on_the_folder(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "moved")
    models.prepare(str(tiny_model), tmp_path / "a", plain_prompt=True)
    models.prepare(str(tmp_path / "moved"), tmp_path / "b", plain_prompt=True)
    records = [(tmp_path / name / "source.json").read_bytes() for name in "ab"]
    assert records[0] == records[1]


def test_only_the_same_weights_are_linked_again_after_a_move(base, tmp_path):
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    weights, link = (base / "model.safetensors").read_bytes(), tmp_path / "out/model.safetensors"
    base.rename(tmp_path / "moved")
    (tmp_path / "moved/model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    relink(tmp_path / "moved", tmp_path / "out")
    assert not link.exists()
    (tmp_path / "moved/model.safetensors").write_bytes(weights)
    relink(tmp_path / "nowhere", tmp_path / "out")
    relink(tmp_path / "moved", tmp_path / "out")
    assert link.is_symlink() and link.read_bytes() == weights


def test_a_copied_model_is_linked_although_the_old_one_exists(tiny_model, tmp_path):
    old, copy = (shutil.copytree(tiny_model, tmp_path / name) for name in ("old", "copy"))
    models.prepare(str(old), tmp_path / "out", plain_prompt=True)
    weights, link = (old / "model.safetensors").read_bytes(), tmp_path / "out/model.safetensors"
    relink(copy, tmp_path / "out")
    other = weights[:-1] + bytes([weights[-1] ^ 1])
    (old / "model.safetensors").write_bytes(other)
    assert link.resolve() == (copy / "model.safetensors").resolve() and link.read_bytes() == weights
    relink(old, tmp_path / "out")
    assert link.read_bytes() == weights, "linked to another model"


def test_digests_are_cached_by_size_and_time(base, tiny_model, tmp_path):
    cache = tmp_path / "digests.json"
    first = digest(base, cache)
    assert first == digest(base) == digest(base, cache) == digest(tiny_model)
    kept = cache.read_text()
    cache.write_text(kept.replace(next(iter(json.loads(kept).values())), "0"))
    assert digest(base, cache) != first, "kept digests are not used"
    os.utime(next(base.glob("*.json")), (1, 1))
    cache.write_text(kept)
    assert digest(base, cache) == first
    flip_a_bit(base)
    assert digest(base, cache) != first


def test_a_template_in_the_tokenizer_configuration_is_replaced(base, tmp_path):
    (base / "chat_template.jinja").unlink()
    settings = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": CHATML}))
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    assert "chat_template" not in json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert "Qwen" not in (tmp_path / "out" / "chat_template.jinja").read_text()


def test_preparing_again_replaces_old_files(tiny_model, tmp_path):
    models.prepare(str(tiny_model), tmp_path / "out", plain_prompt=True)
    (tmp_path / "out" / "model-00001-of-00002.safetensors").write_bytes(b"old")
    before = (tiny_model / "model.safetensors").read_bytes()
    models.prepare(str(tiny_model), tmp_path / "out", plain_prompt=True)
    assert [path.name for path in model_files.weight_files(tmp_path / "out")] == ["model.safetensors"]
    assert (tiny_model / "model.safetensors").read_bytes() == before


def test_links_are_relative_inside_the_working_folder(tiny_model, tmp_path, monkeypatch):
    shutil.copytree(tiny_model, tmp_path / "run" / "base")
    monkeypatch.chdir(tmp_path / "run")
    models.prepare("base", "checkpoints/base", plain_prompt=True)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "checkpoints" / "base" / "model.safetensors").exists()


def in_shards(tiny_model, folder):
    """Copy the model with its weights in several files and an index."""
    from transformers import AutoModelForCausalLM

    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    AutoModelForCausalLM.from_pretrained(tiny_model).save_pretrained(folder, max_shard_size="50KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return folder


def weights(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def equal(one, other):
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_a_sharded_model_can_be_prepared_loaded_and_saved(tiny_model, tmp_path):
    from fofg.training import modeling

    base = in_shards(tiny_model, tmp_path / "base")
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    assert all(path.is_symlink() for path in (tmp_path / "out").glob("model-*.safetensors"))
    models.check(tmp_path / "out")
    assert equal(weights(tmp_path / "out"), weights(tiny_model))
    for folder in (tmp_path / "out", base):
        modeling.save(modeling.load(folder, max_length=8), folder, tmp_path / "trained", [], {})
        assert equal(weights(tmp_path / "trained"), weights(tiny_model))
    sizes = [[path.stat().st_size for path in model_files.used_weights(folder)] for folder in (base, tmp_path / "trained")]
    assert len(sizes[1]) in (len(sizes[0]), len(sizes[0]) + 1) and max(sizes[1]) < 2 * max(sizes[0])
    modeling.save(modeling.load(base, max_length=8), base, tmp_path / "trained", [], {}, one_file=True)
    assert [path.name for path in model_files.weight_files(tmp_path / "trained")] == ["model.safetensors"]


def test_a_missing_shard_or_a_damaged_index_is_named(tiny_model, tmp_path):
    base = in_shards(tiny_model, tmp_path / "base")
    next(base.glob("model-00002*")).unlink()
    with pytest.raises(UserError, match="model-00002"):
        models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    (base / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(UserError, match=r"index\.json: not an index of weights"):
        models.prepare(str(base), tmp_path / "out", plain_prompt=True)


@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_weights_in_pytorchs_format_are_converted(tiny_model, tmp_path, shards):
    import torch

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base, ignore=shutil.ignore_patterns("model.safetensors"))
    parts = list(weights(tiny_model).items())
    if shards:
        files = {"pytorch_model-00001-of-00002.bin": parts[:3], "pytorch_model-00002-of-00002.bin": parts[3:]}
        index = {"metadata": {}, "weight_map": {name: file for file, part in files.items() for name, _ in part}}
        (base / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    else:
        files = {"pytorch_model.bin": parts}
    for file, part in files.items():
        torch.save(dict(part), base / file)
    before = digest(base)
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    models.check(tmp_path / "out")
    assert equal(weights(tmp_path / "out"), weights(tiny_model))
    (base / file).write_bytes((base / file).read_bytes()[:-100])
    assert digest(base) != before
    with pytest.raises(UserError, match=r"\.bin: damaged weights"):
        models.prepare(str(base), tmp_path / "out", plain_prompt=True)


def shorten_vocabulary(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 100}))


def shorten_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def rewrite(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def remove(pattern):
    return lambda folder: [path.unlink() for path in folder.glob(pattern)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shorten_weights, "model.safetensors: damaged"),
        (rewrite("model.safetensors", struct.pack("<Q", 10**15) + b"{}"), "model.safetensors: damaged"),
        (remove("model.safetensors"), "model.safetensors: no such file"),
        (remove("config.json"), "config.json"),
        (rewrite("config.json", b"[]"), "config.json"),
        (remove("tokenizer*"), "no readable tokenizer"),
        (rewrite("tokenizer.json", b'{"version": '), "no readable tokenizer"),
        (shorten_vocabulary, "vocab_size: 100"),
        (remove("chat_template.jinja"), "no chat template; use an instruct model"),
    ],
)
def test_unusable_models_are_refused_at_once(base, tmp_path, damage, message):
    damage(base)
    with pytest.raises(UserError, match=message):
        models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["./nowhere/model", "/nowhere"])
def test_a_missing_folder_is_named(name):
    with pytest.raises(UserError, match=f"base_model: no folder {name}"):
        models.find(name)


def test_an_unreachable_hub_is_named(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def fail(*arguments, **others):
        raise LocalEntryNotFoundError("Cannot find the requested files in the disk cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError, match=r"base_model: no folder some/model.*your connection.*base_model: FOLDER"):
        models.find("some/model")
