"""Models: folders in Hugging Face format, found, checked, prepared and loaded."""

from fofg.models.finding import check_name, find, is_here
from fofg.models.model_files import digest
from fofg.models.preparation import check, prepare
from fofg.models.tokenizers import diverged, end_tokens, load_chat_tokenizer, load_tokenizer

__all__ = [
    "check",
    "check_name",
    "digest",
    "diverged",
    "end_tokens",
    "find",
    "is_here",
    "load_chat_tokenizer",
    "load_tokenizer",
    "prepare",
]
