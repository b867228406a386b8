"""Descriptions of datasets against the problems themselves."""

import json
from collections import Counter
from pathlib import Path

import problem_sets
import pyarrow.parquet as pq
import pytest

from fofg.data import datasets, description
from fofg.data.files import write_parquet
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError
from fofg.tasks.strings import Strings
from fofg.tasks.strings.expressions import size, steps
from fofg.tasks.strings.functions import FUNCTIONS, PUBLIC_NAMES, READABLE_NAMES
from fofg.tasks.task import Problem

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/describe_datasets.py"
PAPER = problem_sets.DEFAULT.problems.model_copy(update={"sampler": "paper", "input_length": (3, 10), "max_output_length": None})
SIZES = {"stage1_level1/train": 400, "stage1_level1/test": 60, "stage2_level1to2/train": 300, "stage2_level1to8/test": 160}


def make(folder: Path, settings) -> dict[str, Path]:
    files = {}
    for name, rows in SIZES.items():
        dataset, split = name.split("/")
        files[name] = folder / f"{dataset}-{split}.parquet"
        datasets.write(files[name], problem_sets.spec(dataset, split, rows, settings))
    return files


def outputs(folder: Path, files) -> dict[str, Path]:
    return {name: folder / f"{name}.json" for name in dict.fromkeys(name.partition("/")[0] for name in files)}


@pytest.fixture(scope="module", params=["balanced", "paper"])
def described(request, tmp_path_factory):
    """Sampler's settings, problem files, and dataset -> its description."""
    folder = tmp_path_factory.mktemp("describing")
    settings = PAPER if request.param == "paper" else problem_sets.DEFAULT.problems
    files = make(folder, settings)
    made = outputs(folder, files)
    description.describe(files, made, disjoint=(request.param == "balanced"))
    return settings, files, {name: json.loads(path.read_text()) for name, path in made.items()}


def test_training_problems_among_test_problems_are_found(described):
    """The published test problems of Stage 1 are the first of its training problems; the balanced sampler shares none."""
    settings, files, found = described
    stage1 = description.trained_on(files["stage1_level1/test"], files["stage1_level1/train"])
    assert stage1 == (set(range(SIZES["stage1_level1/test"])) if settings.sampler == "paper" else set())
    for train in ("stage1_level1/train", "stage2_level1to2/train"):
        overlap = found["stage2_level1to8"]["splits"]["test"]["overlap"][train]["problems"]
        assert len(description.trained_on(files["stage2_level1to8/test"], files[train])) == overlap
        assert (overlap > 0) is (settings.sampler == "paper")


def between(values) -> dict:
    values = list(values)
    return {"min": min(values), "mean": pytest.approx(sum(values) / len(values)), "max": max(values)}


def test_descriptions_are_those_of_the_problems(described):
    """Counts and lengths, exposure, and overlap: equal problems and equal inputs."""
    settings, files, found = described
    problems = {name: list(problem_sets.problems(*name.split("/"), SIZES[name], settings)) for name in files}
    pairs = {name: {(p.text, p.input) for p in made} for name, made in problems.items()}
    inputs = {name: {text for _, text in values} for name, values in pairs.items()}
    for name, made in problems.items():
        dataset, split = name.split("/")
        counts = found[dataset]["splits"][split]
        assert (counts["rows"], counts["duplicates"]) == (len(made), 0)
        assert {int(level): values["rows"] for level, values in counts["levels"].items()} == Counter(p.level for p in made)
        for level, values in counts["levels"].items():
            for kind in ("depth", "calls"):
                assert values[kind] == between(getattr(size(p.expression), kind) for p in made if p.level == int(level))
        for kind in ("input", "output"):
            assert counts[f"{kind}_length"] == between(len(getattr(p, kind)) for p in made)
        used, called = Counter(), Counter()
        for p in made:
            calls = Counter(READABLE_NAMES[s.operator] for s in steps(p.expression, p.input) if s.operator in READABLE_NAMES)
            used.update(calls.keys())
            called.update(calls)
        assert counts["exposure"] == {
            function: {"public_name": PUBLIC_NAMES[function], "problems": used[function], "calls": called[function]}
            for function in FUNCTIONS
        }
        assert counts["overlap"] == {
            other: {"problems": len(pairs[name] & pairs[other]), "inputs": len(inputs[name] & inputs[other])}
            for other in files
            if other != name
        }


def test_calls_inside_literals_are_not_counted():
    text = "func_3(('func_4(x)' + (func_3(x)).upper()) + \"it\\'s func_5(\")"
    assert Strings().count_skills(Problem(text, "", "", 1, "")) == {"sort_chars": 2}


def rows_of(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_overlap_of_training_and_test_is_an_error_with_files_and_rows(tmp_path):
    files = make(tmp_path, problem_sets.DEFAULT.problems)
    leaked = [*rows_of(files["stage2_level1to2/train"])[:7], *rows_of(files["stage2_level1to8/test"])[:2]]
    write_parquet(files["stage2_level1to2/train"], PROBLEMS, [leaked])
    with pytest.raises(UserError, match=r"2 of .*level1to2-train\.parquet are in .*level1to8-test\.parquet \(rows 7, 8\)"):
        description.describe(files, outputs(tmp_path, files), disjoint=True)
    assert not list(tmp_path.glob("*.json"))
    description.describe(files, outputs(tmp_path, files), disjoint=False)
    made = json.loads((tmp_path / "stage2_level1to2.json").read_text())
    assert made["splits"]["train"]["overlap"]["stage2_level1to8/test"]["problems"] == 2


def test_duplicates_are_counted_and_custom_files_may_lack_numbers(tmp_path):
    path = tmp_path / "mine.parquet"
    datasets.write(path, problem_sets.spec("stage1_level1", "train", 5, problem_sets.DEFAULT.problems))
    rows = rows_of(path)
    for name in ("level", "depth", "calls"):
        rows[0]["extra_info"][name] = rows[1]["extra_info"][name] = None
    truth = {"ref_input": "ab", "ref_output": "ba", "expression": "my_own(x)"}
    rows[1]["reward_model"]["ground_truth"] = json.dumps(truth)
    write_parquet(path, PROBLEMS, [rows + rows[:3]])
    description.describe({"mine/train": path}, {"mine": tmp_path / "mine.json"}, disjoint=True)
    made = json.loads((tmp_path / "mine.json").read_text())["splits"]["train"]
    assert (made["rows"], made["duplicates"]) == (8, 3)
    assert made["levels"]["1"]["rows"] == 6  # the first row's is derived
    unknown = made["levels"]["unknown"]
    assert unknown == {"rows": 2, **dict.fromkeys(("depth", "calls"), dict.fromkeys(("min", "mean", "max")))}
    assert made["exposure"]["my_own"] == {"public_name": "my_own", "problems": 2, "calls": 2}


def test_unusable_rows_and_outputs_are_named(tmp_path):
    good, broken, out = tmp_path / "good.parquet", tmp_path / "broken.parquet", {"mine": tmp_path / "mine.json"}
    datasets.write(good, problem_sets.spec("stage1_level1", "train", 5, problem_sets.DEFAULT.problems))
    rows = rows_of(good)
    rows[3]["reward_model"]["ground_truth"] = "{"
    write_parquet(broken, PROBLEMS, [rows])
    for files, message in (
        ({"mine/train": broken}, r"broken\.parquet: row 3: reward_model\.ground_truth"),
        ({"mine/train": good, "other/test": good}, "--outputs: none for dataset other"),
    ):
        with pytest.raises(UserError, match=message):
            description.describe(files, out, disjoint=True)
    assert not list(tmp_path.glob("*.json"))
