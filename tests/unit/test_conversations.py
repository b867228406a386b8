"""Every assistant turn is learned with its end token, and nothing else."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learned_spans import learned_spans
from tiny_model import END, START

from fofg.errors import UserError
from fofg.training.conversations import encode


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def messages_of(*texts):
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def learned(tokenizer, encoded, row=0):
    return [text for _, text in learned_spans(tokenizer, encoded, row)]


texts = st.text(string.ascii_letters + string.digits + string.punctuation + " \n\t", min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(turns=st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_only_assistant_turns_are_learned(tokenizer, turns):
    encoded = encode(tokenizer, [messages_of(*(text for turn in turns for text in turn))], 10_000, "error", "f")
    assert learned(tokenizer, encoded) == [answer + END for _, answer in turns]
    whole = tokenizer.apply_chat_template(messages_of(*(text for turn in turns for text in turn)), tokenize=False)
    assert tokenizer.decode(encoded.input_ids[0]) == whole


def test_template_text_after_the_end_token_is_not_learned(tokenizer):
    chatml = (
        "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    )
    own, tokenizer.chat_template = tokenizer.chat_template, chatml
    try:
        encoded = encode(tokenizer, [messages_of("q", "yes", "r", "no")], 100, "error", "f")
    finally:
        tokenizer.chat_template = own
    assert learned(tokenizer, encoded) == [f"yes{END}", f"no{END}"]
    assert tokenizer.decode(encoded.input_ids[0]).endswith(f"no{END}\n")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{% for m in messages %}{{ loop.length }}{{ m.content }}<|end|>{% endfor %}", "differently"),
        (
            "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<think>{% endif %}",
            "its prompt",
        ),
        ("{% for m in messages %}{{ m.content | trim }}<|end|>{% endfor %}", "changes answers"),
        ("{% for m in messages %}{{ m.content }};{% endfor %}", "no special token"),
        ("{{ raise_exception('not today') }}", "not today"),
    ],
)
def test_a_template_that_cannot_be_split_is_refused(tokenizer, template, problem):
    own, tokenizer.chat_template = tokenizer.chat_template, template
    try:
        with pytest.raises(UserError, match=problem) as error:
            encode(tokenizer, [messages_of("q", "yes ", "r", "no")], 100, "error", "f")
        assert str(error.value).startswith("f: row 0: ")
    finally:
        tokenizer.chat_template = own


def test_long_rows(tokenizer):
    short, long, hopeless = messages_of("q", "ab"), messages_of("q", "x" * 50), messages_of("q" * 50, "ab")
    size = len(encode(tokenizer, [short], 1000, "error", "f").input_ids[0])
    with pytest.raises(UserError, match=r"data\.parquet: row 1 .*max_length: 30.*too_long"):
        encode(tokenizer, [short, long], 30, "error", "data.parquet")

    skipped = encode(tokenizer, [short, long, hopeless], 30, "skip", "f")
    assert (len(skipped), skipped.skipped, skipped.truncated) == (1, 2, 0)
    assert len(skipped.input_ids[0]) == size

    cut = encode(tokenizer, [short, long, hopeless], 30, "truncate", "f")
    assert (len(cut), cut.skipped, cut.truncated) == (2, 1, 1)
    assert len(cut.input_ids[1]) == len(cut.labels[1]) == 30
    whole = encode(tokenizer, [long], 1000, "error", "f")
    assert (cut.input_ids[1] == whole.input_ids[0][:30]).all()
    assert learned(tokenizer, cut, 1)[0].startswith("xxx") and END not in learned(tokenizer, cut, 1)[0]


def test_many_rows_keep_their_order(tokenizer):
    encoded = encode(tokenizer, (messages_of("q", str(number)) for number in range(1100)), 100, "error", "f")
    assert [learned(tokenizer, encoded, row) for row in (0, 511, 512, 1099)] == [
        [f"{number}{END}"] for number in (0, 511, 512, 1099)
    ]
    assert START in tokenizer.decode(encoded.input_ids[0])
