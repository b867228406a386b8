"""The page of responses: what it shows of whom, that it needs nothing else, and that any text is harmless."""

import re
from html.parser import HTMLParser

import pytest
from browser import look
from hostile_texts import text_of
from test_failures import DOUBLED, REVERSED, VOWELS, response, rollout

from fofg.data.files import write_parquet
from fofg.data.schemas import ROLLOUTS
from fofg.report.samples_page import page

RIGHT, SLIP = response([VOWELS, REVERSED, DOUBLED], "llbbtt"), response([VOWELS, 'func_17("tbl") -> "ltb"'], "ltb")
HOSTILE = (
    "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\"><!-- \u202e \x1b[2J \ud800"
)
LEVEL2 = {"expression": "func_17(func_14(x))", "output": "eellbbaatt", "level": 2}
OTHER = {"expression": "func_14(func_2(func_17(x)))", "output": "llbbtt"}


@pytest.fixture
def made(tmp_path) -> str:
    """The page of two models, whose numbers of problems differ, and of another set of problems; one response is hostile."""
    files = {}
    for name, rows in {
        "one/held-out": [rollout(0, [HOSTILE], **LEVEL2), rollout(1, [SLIP, RIGHT]), rollout(2, [RIGHT], **OTHER)],
        "two/held-out": [rollout(5, [RIGHT], **LEVEL2), rollout(6, [RIGHT])],
        "one/hidden": [rollout(0, [SLIP])],
    }.items():
        files[name] = tmp_path / f"{name.replace('/', '-')}.parquet"
        write_parquet(files[name], ROLLOUTS, [[row | {"responses": list(map(_text, row["responses"]))} for row in rows]])
    return page(files, 2, "published", "own problems")


def _text(text: str) -> str:
    return text.encode(errors="replace").decode()  # Parquet holds no lone surrogates


def test_it_is_one_file_without_links(made):
    seen = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attributes):
            seen.append(tag)
            assert not {"src", "href"} & dict(attributes).keys()

    Tags().feed(made)
    assert seen.count("script") == 2 and not {"img", "link"} & set(seen) and not re.search("https?:|//cdn", made)


@pytest.mark.parametrize("shape", ["newlines", "open braces"])
def test_huge_responses_stay_small(tmp_path, shape):
    write_parquet(tmp_path / "r.parquet", ROLLOUTS, [[rollout(0, [text_of(shape, 100_000)])]])
    small = page({"one/held-out": tmp_path / "r.parquet"}, 1, "published", "own problems")
    assert len(small) < 40_000 and "characters left out" in small


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_filters_and_compares(made, tmp_path, width):
    seen = look(made, SCRIPT, tmp_path, width)
    assert seen["all"] == {"count": "3 of 3 problems", "titles": ["Problem 0, level 2", "Problem 1, level 3", "Problem 2, level 3"]}
    assert seen["classes"][0] == "all" and "correct (1)" in seen["classes"]
    assert seen["pair"]["titles"] == ["Problem 1, level 3"]
    assert seen["pair"]["models"] == ["one", "two"] and seen["pair"]["marked"] == ['func_17("tbl") -> "ltb"']
    assert seen["pair"]["remarks"] == ['First wrong step, line 2: func_17("tbl") is "lbt"']
    assert seen["pair"]["answers"] == ['"llbbtt"', '"ltb"', '"llbbtt"']
    assert seen["pair"]["command"] == "fofg show one --problem 1 --against two"
    assert seen["other"] == {"count": "1 of 1 problems", "command": "fofg show one/hidden --problem 0", "against": ["no other"]}
    assert seen["none"] == "No response fits; choose another class or level."
    assert "</script><script>document.title" in seen["hostile"] and r"\u202e \x1b[2J" in seen["hostile"]
    assert (seen["title"], seen["images"], seen["requests"]) == ("Responses", 0, [])
    assert seen["overflow"] <= 0


SCRIPT = """
const texts = selector => [...document.querySelectorAll(selector)].map(node => node.textContent);
const field = name => document.getElementById("filters").elements[name];
const choose = async chosen => {
  for (const [name, value] of Object.entries(chosen)) field(name).value = value;
  field("text").dispatchEvent(new Event("input", {bubbles: true}));
  await pause();
};
const seen = {all: {count: texts("#count")[0], titles: texts("h2")}, classes: [...field("class").options].map(o => o.text)};
seen.hostile = texts(".response pre")[0];
location.hash = "model=one&against=two&level=3&problem=1&nonsense=1";
await pause();
seen.pair = {titles: texts("h2"), models: texts(".response h3"), marked: texts(".wrong"), remarks: texts(".remark"),
  answers: texts(".answer"), command: texts(".command code")[0]};
seen.overflow = document.documentElement.scrollWidth - innerWidth;
await choose({against: "", level: "", problem: "", text: "NO SUCH TEXT"});
seen.none = texts("#count")[0];
await choose({text: "", set: "hidden"});
seen.other = {count: texts("#count")[0], command: texts(".command code")[0],
  against: [...field("against").options].map(o => o.text)};
return {...seen, title: document.title, images: document.images.length,
  requests: performance.getEntriesByType("resource").map(entry => entry.name)};
"""
