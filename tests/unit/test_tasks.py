"""A task from outside the package goes through the pipeline, and no other module names a task."""

import json
import re
import sys
from importlib import import_module
from pathlib import Path

import problem_sets
import pyarrow.parquet as pq
import pytest
from rollout_rows import rollout, selection

from fofg.config import Scoring
from fofg.data import datasets, description, warmup
from fofg.data.files import write_parquet
from fofg.data.schemas import FAILURES, PROBLEMS, ROLLOUTS, VERDICTS
from fofg.errors import UserError
from fofg.evaluation.failures import classify_file
from fofg.evaluation.verdicts import write_verdicts
from fofg.rft.selection import select
from fofg.rollouts.shards import build_prompts
from fofg.specs import SelectionSpec, WarmupSpec
from fofg.tasks import task as tasks
from fofg.tasks.rewards import compute_score, compute_scores
from fofg.tasks.strings import Strings, functions
from fofg.tasks.task import Outcome, Split

ROOT = Path(__file__).parents[2]
OWN_FOLDERS = {"tasks", "tiny_base", "config", "names.py"}
EVEN = "toy_task:Even"
SETTINGS = problem_sets.DEFAULT.problems.model_copy(update={"task": EVEN, "template": "Write an even text about "})


@pytest.fixture
def even(monkeypatch):
    """Configure the toy task as the workflow does."""
    monkeypatch.setenv("FOFG_TASK", EVEN)


def problems(dataset: str, rows: int) -> list[dict]:
    spec = problem_sets.spec(dataset, "train", rows, SETTINGS)
    return [row for batch in datasets.batches(spec) for row in batch.to_pylist()]


def answered(row: dict, *responses: str) -> dict:
    count = len(responses)
    return row | {"responses": list(responses), "finish_reasons": ["stop"] * count, "token_counts": [1] * count}


@pytest.fixture
def mixed(tmp_path, even) -> Path:
    """Rollouts on a problem of either task."""
    toy = answered(problems("stage2_level1", 1)[0], "ab", "abc", "")
    path = tmp_path / "rollout.parquet"
    write_parquet(path, ROLLOUTS, [[toy, rollout(1, ['{"output": "b"}', "abc"], 1)]])
    return path


def test_problems_of_another_task_have_the_same_columns(even):
    first, last = problems("stage1_level1", 3)[::2]
    assert first["prompt"] == [{"role": "user", "content": "An even number can be halved. Write an even text about train42"}]
    assert first["data_source"] == "even" and first["extra_info"]["functions"] == ["count"]
    assert (first["extra_info"]["index"], last["extra_info"]["index"], last["extra_info"]["depth"]) == (0, 2, None)
    assert build_prompts([first], False, "About ") == [[{"role": "user", "content": "About train42"}]]


def test_rewards_follow_the_task_of_each_row(even):
    scoring = Scoring(scheme="published_code", answer_rule="published")
    toy, string = problems("stage2_level1", 1)[0], rollout(1, [])
    rewards = compute_scores([(toy, "ab", False), (toy, "abc", False), (toy, "", False), (string, "ab", False)], scoring)
    assert [reward["score"] for reward in rewards] == [1.0, 0.0, -1.0, -1.0]
    assert compute_score("even/level1", "ab", toy["reward_model"]["ground_truth"])["acc"] == 1.0


def test_selection_and_verdicts_follow_the_task_of_each_row(tmp_path, mixed):
    outputs = [tmp_path / name for name in ("train.parquet", "test.parquet", "selection.json")]
    spec = SelectionSpec(selection=selection(), answer_rule="published", template="{code} {input}")
    report = select(spec, mixed, *outputs)
    assert [row["response"] for row in pq.read_table(outputs[0]).to_pylist()] == ["ab", '{"output": "b"}']
    assert report["exposure"]["count"] == {"public_name": "counting", "problems": 1, "kept_problems": 1, "kept_responses": 1}
    assert report["exposure"]["deterministic_shuffle"]["kept_responses"] == 1
    write_verdicts([mixed], tmp_path / "verdicts.parquet", "published")
    verdicts = pq.read_table(tmp_path / "verdicts.parquet", schema=VERDICTS).to_pylist()
    assert [(row["correct"], row["answered"]) for row in verdicts] == [
        (True, True),
        (False, True),
        (False, False),
        (True, True),
        (False, False),
    ]


def test_failure_classes_follow_the_task(tmp_path, even):
    path = tmp_path / "rollout.parquet"
    write_parquet(path, ROLLOUTS, [[answered(problems("stage2_level1", 1)[0], "ab", "abc", "")]])
    assert classify_file(path, tmp_path / "failures.parquet", (1, 1), "published") == {"correct": 1, "odd": 1, "empty": 1}
    assert pq.read_schema(tmp_path / "failures.parquet").equals(FAILURES)


def test_datasets_of_another_task_are_described(tmp_path, even):
    path, output = tmp_path / "train.parquet", tmp_path / "dataset.json"
    write_parquet(path, PROBLEMS, [problems("stage2_level1to2", 4)])
    description.describe({"toy/train": path}, {"toy": output}, disjoint=True)
    split = json.loads(output.read_text())["splits"]["train"]
    assert split["exposure"]["pad"] == {"public_name": "padding", "problems": 2, "calls": 2}
    assert (split["levels"]["2"]["rows"], split["duplicates"]) == (2, 2)


def test_a_task_without_worked_examples_has_no_warmup(tmp_path, even):
    spec = WarmupSpec(examples=1, test_rows=1, skills="others", levels=(1, 1), seed=1, task=EVEN, template="")
    with pytest.raises(UserError, match=r"stage0\.examples: task even has no worked examples; set 0"):
        warmup.write(spec, tmp_path / "train.parquet", tmp_path / "test.parquet")


def test_a_task_is_found_by_entry_or_by_class(even):
    assert isinstance(tasks.load("string_task"), Strings) and isinstance(tasks.get("string_task"), Strings)
    assert tasks.load(EVEN).name == tasks.get("even").name == tasks.configured().name == "even"


@pytest.mark.parametrize("source", ["string_task/level1", "hub/codeio-forward/level2", "even", "lab/even", "lab/even/level3"])
def test_rows_find_their_task_whatever_they_are_configured_to_carry(even, monkeypatch, source):
    settings = SETTINGS.model_copy(update={"data_source": "lab/even"})
    for name, value in tasks.task_variables(settings).items():
        monkeypatch.setenv(name, value)
    assert tasks.get(source).name == ("even" if "even" in source else "string_task")
    (batch,) = datasets.batches(problem_sets.spec("stage2_level1", "train", 1, settings))
    assert batch["data_source"].to_pylist() == ["lab/even"]
    with pytest.raises(UserError, match=r"problems\.data_source: string_task is the name of another task"):
        tasks.check_data_source(settings.model_copy(update={"data_source": "string_task"}))


@pytest.mark.parametrize("source", ["even", "toy_task:Even", "os:system", ""])
def test_rows_cannot_import_code(source):
    with pytest.raises(UserError, match=f"row 1: no task for data_source '{source}'; known: string_task"):
        tasks.read({"data_source": source, "reward_model": None, "extra_info": None}, "row 1")


@pytest.mark.parametrize("name", ["missing_module:Task", "toy_task:Odd", "toy_task"])
def test_a_task_that_cannot_be_loaded_is_named(name):
    with pytest.raises(UserError, match=rf"problems\.task: {name} can't be loaded"):
        tasks.load(name)


def test_the_source_of_ones_own_task_is_told_from_others(tmp_path, monkeypatch):
    """A module is its file, a package all its Python files; none of it runs."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_tasks/parts").mkdir(parents=True)
    helper, module = tmp_path / "my_tasks/parts/helper.py", tmp_path / "my_task_module.py"
    for path in (helper, module, tmp_path / "my_tasks/__init__.py"):
        path.write_text("raise SystemExit")
    before = [tasks.source_digest(name) for name in ("my_tasks:Mine", "my_task_module:Mine")]
    helper.write_text("raise SystemExit(1)")
    after = [tasks.source_digest(name) for name in ("my_tasks:Mine", "my_task_module:Mine")]
    assert before[0] != after[0] and before[1] == after[1] and tasks.source_digest("string_task") is None
    with pytest.raises(UserError, match=r"problems\.task: no module missing\.module; .* PYTHONPATH"):
        tasks.source_digest("missing.module:Mine")


def test_no_other_module_names_a_task():
    """Outside of tasks/, the names of models and data, the embedded model and the configuration."""
    modules = [
        path for path in (ROOT / "src/fofg").rglob("*.py") if path.relative_to(ROOT / "src/fofg").parts[0] not in OWN_FOLDERS
    ]
    words = re.compile(
        r"tasks\.strings|string_task|[Ss]tring (function|problem|task)|expression|ref_(in|out)put|func_|PUBLIC_NAMES"
    )
    found = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in [*modules, *(ROOT / "workflow/scripts").glob("*.py")]
        for line in path.read_text(encoding="utf-8").splitlines()
        if words.search(line)
    }
    assert not found


def test_the_tests_that_contributing_names_exist():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    defined = {name for text in sources for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    assert len(named) >= 5 and named <= defined


@pytest.fixture
def extra_function():
    """Declare a 26th function from one file."""
    registries = [functions.FUNCTIONS, functions.PUBLIC_NAMES, functions.READABLE_NAMES, functions.DECLARED]
    before = [dict(registry) for registry in registries]
    sys.modules.pop("extra_function", None)
    import_module("extra_function")
    yield "append_stars"
    for registry, entries in zip(registries, before):
        registry.clear()
        registry.update(entries)


def test_a_function_declared_once_is_in_problems_prompts_and_exposure(tmp_path, extra_function):
    task, settings = Strings(), problem_sets.DEFAULT.problems
    for stage, dataset in ((1, "stage1_level1"), (2, "stage2_level1")):
        made = list(task.sample(settings, Split(dataset, stage, "train", [(1, 200)])))
        using = [problem for problem in made if extra_function in task.count_skills(problem)]
        assert len(using) >= 200 // 26 and all("func_25(x, " in problem.question for problem in using)
    shown = task.prompt(using[0], settings.template, hints=True)[0]["content"]
    assert 'def func_25(s, n):\n    return s + "*" * n' in shown and "string_function" not in shown
    assert task.grade(using[0], json.dumps({"output": using[0].output})) is Outcome.CORRECT
    held_out = task.sample(settings, Split("stage2_level1to8", 2, "test", [(2, 100)]))
    assert not any(extra_function in task.count_skills(problem) for problem in held_out)
    path = tmp_path / "train.parquet"
    datasets.write(path, problem_sets.spec("stage1_level1", "train", 100, settings))
    description.describe({"d/train": path}, {"d": tmp_path / "d.json"}, disjoint=True)
    exposure = json.loads((tmp_path / "d.json").read_text())["splits"]["train"]["exposure"]
    assert exposure[extra_function]["public_name"] == "func_25" and exposure[extra_function]["problems"] > 0
