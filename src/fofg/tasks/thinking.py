"""Tell a response's answer from its thinking, for tasks whose lenient rule takes no answer from a draft."""

_THINK, _THOUGHT = "<think>", "</think>"


def final_answer(text: str) -> str:
    """Return the text after the last ``</think>``; nothing after a ``<think>`` that is never closed."""
    thought = text.rfind(_THOUGHT)
    return "" if text.rfind(_THINK) > thought else text[thought + len(_THOUGHT) :] if thought >= 0 else text
