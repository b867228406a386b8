"""Load what a model reads and writes texts with: its tokenizer, and the tokens that end a response."""

from pathlib import Path

from fofg.errors import UserError, first_line
from fofg.models import weights


def load_tokenizer(folder: Path):
    """Load the tokenizer of a folder. Raises UserError if there is none."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    # Without a configuration, AutoTokenizer takes the class of the model's type, and some of these rebuild the tokenizer.
    is_whole = (folder / "tokenizer.json").exists() and not (folder / "tokenizer_config.json").exists()
    kind = PreTrainedTokenizerFast if is_whole else AutoTokenizer
    try:
        return kind.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises plain Exception for a damaged file
        if "custom code" in str(error):
            raise UserError(
                f"{folder}: its tokenizer needs code of its own (auto_map in tokenizer_config.json), which is never run; give a "
                "model whose tokenizer transformers has"
            ) from None
        if (folder / "tokenizer.model").exists() and not (folder / "tokenizer.json").exists():
            raise UserError(
                f"{folder}: its tokenizer is in tokenizer.model alone; where sentencepiece is installed, add tokenizer.json with "
                "transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
            ) from None
        raise UserError(f"{folder}: no readable tokenizer ({first_line(error)}); give a folder with tokenizer.json") from None


def load_chat_tokenizer(folder: Path):
    """Load a tokenizer that has a chat template. Raises UserError if it has none."""
    tokenizer = load_tokenizer(folder)
    templates = tokenizer.chat_template
    if isinstance(templates, dict) and "default" not in templates:
        raise UserError(
            f"{folder}: several chat templates, none of them named default ({', '.join(sorted(templates))}); write the one to use "
            "to chat_template.jinja, and remove the others"
        )
    if templates is None:
        raise UserError(
            f"{folder}: the tokenizer has no chat template; use an instruct model, or add chat_template.jinja to the folder"
        )
    return tokenizer


def end_tokens(folder: Path, tokenizer) -> list[int]:
    """Return every token that ends a response: the tokenizer's end token, and those of the model's generation settings.

    Raises UserError if there is none.
    """
    from transformers import AutoConfig, GenerationConfig

    try:
        if (folder / "generation_config.json").is_file():
            generation = GenerationConfig.from_pretrained(folder)
        else:
            generation = GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder))
    except (OSError, ValueError, KeyError) as error:
        raise weights.unreadable(folder, error) from None
    configured = generation.eos_token_id
    ends = {tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])} - {None}
    if not ends:
        raise UserError(f"{folder}: no end token; set eos_token_id in generation_config.json")
    return sorted(ends)


def diverged() -> UserError:
    """Return the error of a model whose logits are not finite."""
    return UserError("the model's logits are not finite: its training diverged; train it again with a lower learning_rate")
