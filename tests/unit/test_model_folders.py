"""Model folders as people have them: each is prepared and answers as the model itself, or is refused in one sentence."""

import json
import shutil
from pathlib import Path

import pytest
import rollout_rows
import sft_runs
import tiny_model
from configs import configured

from fofg import models, preflight
from fofg.config.loading import merge
from fofg.errors import UserError
from fofg.models import model_files, weights
from fofg.rollouts.engine import Request, create
from fofg.tasks.countdown import sampler

LIMITS = {"max_prompt_tokens": 200, "max_response_tokens": 30}
REQUESTS = [Request([{"role": "user", "content": text}], (number, number + 9)) for number, text in enumerate(("func_3(x)?", "é"))]


def answers(folder: Path) -> list:
    loaded = create("transformers", folder, rollout_rows.sampling(**LIMITS), "float32")
    return sorted(loaded.generate(REQUESTS), key=lambda answer: answer[:2])


@pytest.fixture(scope="module")
def expected(tiny_model):
    return answers(tiny_model)


@pytest.fixture
def base(tiny_model, tmp_path) -> Path:
    """Copy the model, to be changed."""
    return shutil.copytree(tiny_model, tmp_path / "base")


def change(name: str, **values):
    """Return a change of keys of a JSON file; None removes a key."""

    def apply(folder: Path) -> None:
        old = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        new = {key: value for key, value in (old | values).items() if value is not None}
        (folder / name).write_text(json.dumps(new))

    return apply


def remove(pattern: str):
    return lambda folder: [path.unlink() for path in folder.glob(pattern)]


def write(name: str, content: bytes | str):
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def both(*changes):
    return lambda folder: [apply(folder) for apply in changes]


def in_shards(folder: Path) -> None:
    network = weights.load(folder, "auto")
    (folder / "model.safetensors").unlink()
    weights.save(network, folder, shards=3)


def in_pytorchs_format(folder: Path, shards: int = 1) -> None:
    import torch

    tensors = list(weights.load(folder, "auto").state_dict().items())
    parts = [dict(tensors[start::shards]) for start in range(shards)]
    files = [f"pytorch_model-{number}.bin" for number in range(shards)] if shards > 1 else ["pytorch_model.bin"]
    for file, part in zip(files, parts):
        torch.save(part, folder / file)
    if shards > 1:
        index = {"metadata": {}, "weight_map": {name: file for file, part in zip(files, parts) for name in part}}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def add_the_tied_head(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    head = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors | {"lm_head.weight": head}, folder / "model.safetensors", {"format": "pt"})


def template_in_the_configuration(templates):
    def apply(folder: Path) -> None:
        text = (folder / "chat_template.jinja").read_text()
        (folder / "chat_template.jinja").unlink()
        change("tokenizer_config.json", chat_template=templates(text))(folder)

    return apply


def add_other_templates(folder: Path) -> None:
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates/tool_use.jinja").write_text("tools")


USABLE = {
    "no tokenizer_config.json": remove("tokenizer_config.json"),
    "no generation_config.json": remove("generation_config.json"),
    "end token in the configuration alone": change("tokenizer_config.json", eos_token=None),
    "end token in the template alone": both(change("tokenizer_config.json", eos_token=None), write("generation_config.json", "{}")),
    "no pad token": change("tokenizer_config.json", pad_token=None),
    "no architectures": change("config.json", architectures=None),
    "no dtype": change("config.json", dtype=None),
    "own sampling defaults": change("generation_config.json", temperature=0.1, top_k=1, do_sample=False),
    "shards": in_shards,
    "pytorch_model.bin": in_pytorchs_format,
    "pytorch_model.bin in shards": lambda folder: in_pytorchs_format(folder, 3),
    "tied head in the file": add_the_tied_head,
    "other weights beside": write("consolidated.safetensors", b"another format"),
    "template in tokenizer_config.json": template_in_the_configuration(str),
    "named templates": template_in_the_configuration(
        lambda text: [{"name": "default", "template": text}, {"name": "tool_use", "template": "tools"}]
    ),
    "other templates beside": add_other_templates,
    "code for a type that transformers has": both(
        change("config.json", auto_map={"AutoModelForCausalLM": "evil.Model"}), write("evil.py", "raise SystemExit('run')")
    ),
}


@pytest.mark.parametrize("name", USABLE)
def test_a_prepared_folder_answers_as_the_model(base, tmp_path, expected, name):
    USABLE[name](base)
    models.prepare(str(base), tmp_path / "a folder, é", plain_prompt=True)
    prepared = tmp_path / "a folder, é"
    assert answers(prepared) == expected
    assert model_files.in_shards(prepared) == ("shards" in name)
    assert not any(path.is_dir() for path in prepared.iterdir()) and not list(tmp_path.glob(".*"))
    assert json.loads((prepared / "tokenizer_config.json").read_text())["eos_token"] == tiny_model.END
    assert not (prepared / "consolidated.safetensors").exists()


@pytest.mark.parametrize("kind", ["qwen3", "gpt_neox"])
def test_without_tokenizer_config_json_the_tokenizer_stays_as_it_is(tmp_path, kind):
    """Their own tokenizer classes cut text differently."""
    from transformers import AutoTokenizer

    base = tiny_model.make(tmp_path / "base", kind=kind)
    text = "func_3 of  x\n<|end|>"
    ids = AutoTokenizer.from_pretrained(base)(text)["input_ids"]
    remove("tokenizer_config.json")(base)
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    for tokenizer in (models.load_tokenizer(base), AutoTokenizer.from_pretrained(tmp_path / "out")):
        assert tokenizer(text)["input_ids"] == ids


def test_padding_of_the_vocabulary_is_never_sampled(tmp_path):
    """Most of the mass of a model of random weights is on tokens that its tokenizer lacks."""
    base = tiny_model.make(tmp_path / "base", vocab_size=4000)
    models.prepare(str(base), tmp_path / "out", plain_prompt=True)
    for _, _, sample in answers(tmp_path / "out"):
        assert len(sample.text) >= sample.token_count - 8, "three tokens of 143 have no text"


def half(dtype: str, shards: int = 1, named: bool = True):
    def apply(folder: Path) -> None:
        import torch

        network = weights.load(folder, getattr(torch, dtype))
        (folder / "model.safetensors").unlink()
        weights.save(network, folder, shards)
        if not named:
            change("config.json", dtype=None)(folder)

    return apply


#: Change of the model, the type of its stored weights.
TRAINED = {
    "bfloat16 in shards": (half("bfloat16", 3), "BF16"),
    "float16 that the configuration does not name": (half("float16", named=False), "F16"),
    "pytorch_model.bin in shards": (lambda folder: in_pytorchs_format(folder, 3), "F32"),
    "tied head in the file": (add_the_tied_head, "F32"),
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_model_has_the_files_and_types_of_the_one_before(base, tmp_path, name):
    apply, stored = TRAINED[name]
    apply(base)
    models.prepare(str(base), tmp_path / "prepared", plain_prompt=True)
    data, folder = sft_runs.make(tmp_path, tmp_path / "prepared", "data"), tmp_path / "prepared"
    for step in ("stage1", "stage2"):
        sft_runs.run(data, tmp_path / step, sft_runs.settings(epochs=1), model=folder)
        files = [model_files.used_weights(each) for each in (folder, tmp_path / step)]
        sizes = [max(path.stat().st_size for path in each) for each in files]
        assert len(files[1]) == len(files[0]) and 0.5 < sizes[1] / sizes[0] < 1.5
        assert {tensor["dtype"] for path in files[1] for tensor in model_files.read_header(path).values()} == {stored}
        folder = tmp_path / step
    assert answers(folder) != answers(tmp_path / "prepared")
    assert model_files.in_shards(folder) == ("shards" in name)


def test_the_index_of_a_trained_model_changes_with_its_shards(base, tmp_path):
    """Snakemake compares small files by their content, and looks at no shard."""
    in_shards(base)
    data = sft_runs.make(tmp_path, base, "data")
    for name, rate in {"a": 1e-3, "b": 1e-3, "c": 2e-3}.items():
        sft_runs.run(data, tmp_path / name, sft_runs.settings(epochs=1, learning_rate=rate), model=base)
    a, b, c = ((tmp_path / name / model_files.INDEX).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("shards", [1, 3])
def test_where_one_file_is_declared_there_is_one(base, tmp_path, shards):
    if shards > 1:
        in_shards(base)
    data = sft_runs.make(tmp_path, base, "data")
    sft_runs.run(data, tmp_path / "out", sft_runs.settings(epochs=1), model=base, one_file=True)
    assert [path.name for path in model_files.weight_files(tmp_path / "out")] == ["model.safetensors"]


EVIL = "import pathlib; pathlib.Path(__file__).with_name('run').touch()"
NO_HEAD = "does not write text token by token; give a causal language model"
REFUSED = {
    "an adapter": (both(remove("model.safetensors"), remove("config.json"), write("adapter_config.json", "{}")), "merge it into"),
    "an adapter beside a model": (write("adapter_config.json", "{}"), "merge it into its model with PEFT's merge_and_unload"),
    "GGUF alone": (both(remove("*.safetensors"), remove("config.json"), write("m.gguf", b"GGUF")), "base_model: {gguf: .*m.gguf"),
    "an empty configuration": (write("config.json", "{}"), "config.json is no model configuration"),
    "a list as configuration": (write("config.json", "[]"), "config.json is no model configuration"),
    "half a configuration": (write("config.json", '{"model_type": "lla'), "config.json is no model configuration"),
    "no configuration": (remove("config.json"), "no config.json; a model is a folder in Hugging Face format"),
    "BERT": (change("config.json", model_type="bert", architectures=["BertForMaskedLM"]), NO_HEAD),
    "T5": (change("config.json", model_type="t5", is_encoder_decoder=True, architectures=["T5ForConditionalGeneration"]), NO_HEAD),
    "T5 without architectures": (change("config.json", model_type="t5", architectures=None), "of which transformers has no causal"),
    "a classifier": (change("config.json", architectures=["LlamaForSequenceClassification"]), NO_HEAD),
    "a model without a head": (change("config.json", architectures=["LlamaModel"]), NO_HEAD),
    "a type of its own": (
        both(
            change("config.json", model_type="mine", auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}),
            write("evil.py", EVIL),
        ),
        "brings its own code .auto_map., which is never run, and is of type mine",
    ),
    "a tokenizer of its own": (
        both(
            change("tokenizer_config.json", tokenizer_class="Mine", auto_map={"AutoTokenizer": [None, "evil.T"]}),
            write("evil.py", EVIL),
        ),
        "its tokenizer needs code of its own",
    ),
    "quantized": (change("config.json", quantization_config={"quant_method": "mxfp4"}), r"quantized \(mxfp4\)"),
    "no weights": (remove("model.safetensors"), "model.safetensors: no such file"),
    "weights cut off": (lambda folder: shorten(folder / "model.safetensors"), "model.safetensors: damaged"),
    "a huge header": (write("model.safetensors", (10**15).to_bytes(8, "little") + b"{}"), "model.safetensors: damaged"),
    "no bytes": (write("model.safetensors", b""), "model.safetensors: damaged"),
    "a missing shard": (both(in_shards, remove("model-00002*")), "model-00002.*no such file"),
    "a shard cut off": (
        both(in_shards, lambda folder: shorten(next(folder.glob("model-00002*")))),
        "model-00002.*damaged",
    ),
    "a list as index": (both(in_shards, write("model.safetensors.index.json", "[]")), r"index\.json: not an index of weights"),
    "pytorch_model.bin cut off": (
        both(in_pytorchs_format, lambda folder: shorten(folder / "pytorch_model.bin")),
        "pytorch_model.bin: damaged weights",
    ),
    "a missing shard of pytorch_model.bin": (
        both(lambda folder: in_pytorchs_format(folder, 3), remove("pytorch_model-1.bin")),
        "pytorch_model-1.bin: no such file",
    ),
    "a weight missing in pytorch_model.bin": (
        both(in_pytorchs_format, lambda folder: drop_a_weight(folder / "pytorch_model.bin")),
        "its weights lack model.norm.weight",
    ),
    "a weight missing": (lambda folder: drop_a_weight(folder / "model.safetensors"), "its weights lack model.norm.weight"),
    "a configuration of another shape": (change("config.json", hidden_size=64), r"\[143, 32\] in the weights, \[143, 64\] by con"),
    "no tokenizer": (remove("tokenizer*"), "no readable tokenizer"),
    "half a tokenizer": (write("tokenizer.json", '{"version": '), "no readable tokenizer"),
    "tokenizer.model alone": (
        both(remove("tokenizer*"), write("tokenizer.model", b"x")),
        "in tokenizer.model alone; where",
    ),
    "more tokens than the model": (change("config.json", vocab_size=100), "vocab_size: 100"),
    "no template": (remove("chat_template.jinja"), "no chat template; use an instruct model"),
    "named templates without a default": (
        template_in_the_configuration(lambda text: [{"name": "a", "template": text}, {"name": "b", "template": text}]),
        "several chat templates, none of them named default",
    ),
}


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def drop_a_weight(path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    tensors = torch.load(path) if path.suffix == ".bin" else load_file(path)
    tensors.pop("model.norm.weight")
    torch.save(tensors, path) if path.suffix == ".bin" else save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize("name", REFUSED)
def test_an_unusable_folder_is_refused_in_one_sentence_and_the_old_one_stays(tiny_model, base, tmp_path, name):
    output = tmp_path / "out"
    models.prepare(str(tiny_model), output, plain_prompt=True)
    before = {path: (path.read_bytes(), path.is_symlink()) for path in output.iterdir()}
    apply, message = REFUSED[name]
    apply(base)
    with pytest.raises(UserError, match=message) as error:
        models.prepare(str(base), output, plain_prompt=True)
    assert "\n" not in str(error.value) and ";" in str(error.value), "no cure"
    assert {path: (path.read_bytes(), path.is_symlink()) for path in output.iterdir()} == before
    assert not (base / "run").exists() and not list(tmp_path.glob(".*"))


def test_a_file_or_the_prepared_folder_itself_is_no_base_model(base, tmp_path):
    for path in (base / "model.safetensors", base / "config.json"):
        with pytest.raises(UserError, match="is a file; give the folder"):
            models.prepare(str(path), tmp_path / "out", plain_prompt=True)
    with pytest.raises(UserError, match="is the folder of the prepared model"):
        models.prepare(str(base), base, plain_prompt=True)


SHORT = {"max_prompt_tokens": 60, "max_response_tokens": 60}
LONG = {
    "stage1.rollouts.max_prompt_tokens and max_response_tokens: 129": {"stage1": {"rollouts": {"max_prompt_tokens": 69}}},
    "stage2.rft.sft.max_length: 129": {"stage2": {"rft": {"sft": {"max_length": 129}}}},
    "passk.rollouts.max_response_tokens: 129": {"passk": {"rollouts": {"max_response_tokens": 128, "long_prompts": "skip"}}},
}


@pytest.mark.parametrize("message", [None, *LONG])
@pytest.mark.parametrize("key", ["base_model", "use.stage1_checkpoint"])
def test_limits_above_a_models_positions_are_found_before_any_job(base, key, message):
    change("config.json", max_position_embeddings=128)(base)
    rft = {"rollouts": SHORT, "sft": {"max_length": 128}}
    sections = {"stage1": rft, "stage2": {"rft": rft, "rl": {"rollouts": SHORT}}, "evaluation": {"rollouts": SHORT}}
    limits = json.loads(json.dumps(sections | {"passk": {"rollouts": SHORT}}))  # sections of their own
    merge(limits, {"use": {"stage1_checkpoint": str(base)}} if key.startswith("use") else {"base_model": str(base)})
    merge(limits, LONG.get(message, {}))
    if message is None:
        preflight.check(configured(**limits))
        with pytest.raises(UserError, match=r"countdown\.rollouts.*: 448 tokens, but .* holds 128"):  # of another target
            preflight.check_countdown(configured(**limits))
        return
    with pytest.raises(UserError, match=f"{message} tokens, but {key} .* holds 128; lower it"):
        preflight.check(configured(**limits))


def test_countdown_needs_a_base_that_can_calculate():
    with pytest.raises(UserError, match=r"base_model: .*tiny-base was taught no arithmetic"):
        preflight.check_countdown(configured())
    preflight.check_countdown(configured(base_model="resources/tiny-base-countdown"))


def test_missing_packages_are_found_before_any_job(monkeypatch):
    calculating = {"base_model": "resources/tiny-base-countdown"}
    (vllm,) = preflight.missing_packages(configured(rollout_engine={"name": "vllm"}))
    assert vllm.startswith("rollout_engine.name: vllm is not installed")
    monkeypatch.setattr(sampler, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="reasoning-gym; install it"):
        preflight.check_countdown(configured(**calculating))
    preflight.check_countdown(configured(**calculating), packages=False)


def test_a_dry_run_finds_an_unusable_model(base):
    remove("model.safetensors")(base)
    for changes in ({"base_model": str(base)}, {"use": {"stage1_checkpoint": str(base)}}):
        with pytest.raises(UserError, match=r"model\.safetensors: no such file"):
            preflight.check(configured(**changes))
    preflight.check(configured(base_model="on/the-hub"))
