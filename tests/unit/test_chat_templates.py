"""What is trained is what was said: the invariant of fofg.models.chat_templates, for templates with one fault each."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learned_spans import learned_spans

from fofg.errors import UserError
from fofg.models.chat_templates import check, render
from fofg.models.template_choice import choose
from fofg.training.conversations import encode

LOOP = "{%- for m in messages %}"
ASK = "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"
DEFAULT = "{%- if messages[0].role != 'system' %}<|im_start|>system\nBe helpful.<|im_end|>\n{%- endif %}"
TURN = "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
ALTERNATE = "{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('take turns') }}{%- endif %}"
ANSWER = "{%- if m.role == 'assistant' %}"
CHATML = LOOP + TURN + "{%- endfor %}" + ASK
CHATML_ASKED = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"

#: name -> (template, how it asks Q, in part as the model's own; what the model's own changes)
TEMPLATES = {
    "appends": (CHATML, CHATML_ASKED, None),
    "has a default system text": (DEFAULT + CHATML, CHATML_ASKED, None),
    "trims": (
        "{{ bos_token }}" + DEFAULT + LOOP + TURN.replace("m.content", "m.content | trim") + "{%- endfor %}" + ASK,
        "<|begin|>" + CHATML_ASKED,
        "changes answers",
    ),
    "adds thoughts to the last answer": (
        LOOP
        + TURN.replace("+ m.content", "+ ('<think>\\n\\n</think>' if m.role == 'assistant' and loop.last else '') + m.content")
        + "{%- endfor %}"
        + ASK,
        CHATML_ASKED,
        "changes answers",
    ),
    "takes thoughts out of earlier answers": (
        LOOP + TURN.replace("m.content", "(m.content if loop.last else m.content.split('</think>')[-1])") + "{%- endfor %}" + ASK,
        CHATML_ASKED,
        "once more follow",
    ),
    "opens thoughts in the prompt": (
        "{{ bos_token }}"
        + LOOP
        + "{% if m.role == 'user' %}{{ '<|user|>' + m.content }}{% elif m.role == 'system' %}{{ m.content }}{% else %}"
        + "{{ '<|assistant|>' + m.content.split('</think>')[-1] + '<|end|>' }}{% endif %}{%- endfor %}"
        + "{%- if add_generation_prompt %}{{ '<|assistant|><think>\\n' }}{%- endif %}",
        "<|begin|><|user|>Q<|assistant|><think>\n",
        "its prompt",
    ),
    "puts a space before answers and enforces turns": (
        "{{ bos_token }}"
        + LOOP
        + ALTERNATE
        + ANSWER
        + "{{ ' ' + m.content + '<|end|>' }}{%- else %}"
        + "{{ '[INST] ' + m.content + ' [/INST]' }}{%- endif %}{%- endfor %}",
        "<|begin|>[INST] Q [/INST]",
        "changes answers",
    ),
    "ends a conversation": (
        LOOP + TURN + "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- else %}<|end|>{%- endif %}",
        CHATML_ASKED,
        "once more follow",
    ),
    "has special tokens before answers": (
        DEFAULT
        + LOOP
        + ANSWER
        + "{{ '<|start|>assistant<|final|>' + m.content + ('<|return|>' if loop.last else '<|end|>') }}"
        + "{%- else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{%- endif %}{%- endfor %}"
        + "{%- if add_generation_prompt %}<|start|>assistant{%- endif %}",
        "<|start|>user<|message|>Q<|end|><|start|>assistant<|final|>",
        "changes answers",
    ),
    "knows no generation prompt": (LOOP + TURN + "{%- endfor %}", CHATML_ASKED, "its prompt|changes answers"),
}
TOKENS = [
    f"<|{name}|>" for name in ("begin", "im_start", "im_end", "user", "assistant", "end", "start", "final", "message", "return")
]


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tiny_model)
    loaded.add_special_tokens({"bos_token": "<|begin|>", "additional_special_tokens": TOKENS})
    loaded.add_tokens(["<think>", "</think>"])
    return loaded


def with_template(tokenizer, template):
    tokenizer.chat_template = template
    return tokenizer


@cache
def chosen_for(tokenizer, name, plain):
    return choose(with_template(tokenizer, TEMPLATES[name][0]), plain)


def turns(*texts, system=None):
    messages = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]
    return [{"role": "system", "content": system}, *messages] if system else messages


spoken = st.lists(st.sampled_from(["a", "Z", " ", "\n", "\t", "<think>", "</think>", "{{ x }}", "'", '"', "\\n"]), max_size=8).map(
    "".join
)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=10, deadline=None)
@given(questions=st.lists(spoken, min_size=3, max_size=3), answers=st.lists(spoken, min_size=1, max_size=3))
def test_what_is_trained_is_what_was_said(tokenizer, name, plain, questions, answers):
    chosen = chosen_for(tokenizer, name, plain)
    with_template(tokenizer, chosen.template)
    messages = turns(*(text for turn in zip(questions, answers) for text in turn))
    encoded = encode(tokenizer, [messages], 10_000, "error", "f")
    learned = learned_spans(tokenizer, encoded)
    assert [text for _, text in learned] == [answer + chosen.end_token for answer in answers]
    for number, (start, _) in enumerate(learned):
        assert tokenizer.decode(encoded.input_ids[0][:start]) == render(
            tokenizer, messages[: 2 * number + 1], generation_prompt=True
        )


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_replaced_only_where_it_has_to_be(tokenizer, name):
    own, asked, fault = TEMPLATES[name]
    plain, kept = (chosen_for(tokenizer, name, plain) for plain in (True, False))
    assert (kept.template == own) == (fault is None)
    if fault:
        with pytest.raises(ValueError, match=fault):
            check(tokenizer, own)
    rendered = {
        chosen: render(with_template(tokenizer, chosen), turns("Q"), True) for chosen in (own, plain.template, kept.template)
    }
    assert rendered[plain.template] == asked
    assert ("Be helpful." in rendered[kept.template]) == (DEFAULT in own)
    assert asked.startswith(rendered[own]) or rendered[kept.template].startswith(rendered[own])
    if plain.template == own:
        assert name == "appends"


@pytest.mark.parametrize("name", ["has a default system text", "trims", "opens thoughts in the prompt"])
def test_a_system_text_of_the_conversation_stays(tokenizer, name):
    own = TEMPLATES[name][0]
    expected = render(with_template(tokenizer, own), turns("Q", system="Speak up."), True)
    for plain in (True, False):
        chosen = choose(with_template(tokenizer, own), plain)
        assert render(with_template(tokenizer, chosen.template), turns("Q", system="Speak up."), True) == expected


def test_the_first_token_of_a_turn_may_be_the_tokenizers_first_one(tokenizer):
    """As in SmolLM2."""
    old, tokenizer.bos_token = tokenizer.bos_token, "<|im_start|>"
    try:
        template = choose(with_template(tokenizer, DEFAULT + CHATML), True).template
        assert render(with_template(tokenizer, template), turns("Q"), True) == CHATML_ASKED
    finally:
        tokenizer.bos_token = old


def test_a_date_stays_that_of_the_preparation(tokenizer):
    dated = DEFAULT.replace("Be helpful.", "Today is {{ strftime_now('%d %b %Y') }}.") + CHATML
    template = choose(with_template(tokenizer, dated), False).template
    assert "strftime_now" not in template
    assert render(with_template(tokenizer, template), turns("Q"), True) == render(with_template(tokenizer, dated), turns("Q"), True)
    assert render(with_template(tokenizer, choose(tokenizer, True).template), turns("Q"), True) == CHATML_ASKED


def test_a_role_that_a_template_lacks_is_named_with_the_row(tokenizer):
    with_template(
        tokenizer, choose(with_template(tokenizer, TEMPLATES["puts a space before answers and enforces turns"][0]), True).template
    )
    with pytest.raises(UserError, match=r"f: row 0: .*no role system.*into the user's"):
        encode(tokenizer, [turns("Q", "A", system="Speak up.")], 100, "error", "f")


HOPELESS = [
    "{% for m in messages %}{{ m.role }}: {{ m.content | upper }}<|end|>{% endfor %}",
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}think: {% endif %}",
    "{% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
    "{% for m in messages %}{{ loop.revindex }}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}",
    "{{ raise_exception('never') }}",
    "{{ messages[7].content }}",
]


@pytest.mark.parametrize("template", HOPELESS)
@pytest.mark.parametrize("plain", [True, False])
def test_a_template_that_can_not_be_mended_is_refused_with_a_cure_that_works(tokenizer, template, plain):
    with pytest.raises(UserError, match=r"^base_model: .*chat_template\.jinja .*eos_token"):
        choose(with_template(tokenizer, template), plain)
    cured = "{% for m in messages %}{{ m.role + ': ' + m.content + (eos_token if m.role == 'assistant' else '') }}{% endfor %}"
    cured += "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    assert choose(with_template(tokenizer, cured), plain) == (cured, tokenizer.eos_token, [])


def test_a_template_that_can_not_be_made_plain_can_be_kept(tokenizer):
    odd = "Be helpful. {% for m in messages %}{{ m.content | upper if m.role == 'user' else m.content + eos_token }}{% endfor %}"
    with pytest.raises(UserError, match=r"can't be made plain.*set plain_prompt: false"):
        choose(with_template(tokenizer, odd), True)
    assert choose(with_template(tokenizer, odd), False).template == odd
