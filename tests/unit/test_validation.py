"""Validation problems: the first of each level of the dataset's test split."""

import pytest
from configs import configured

from fofg import specs
from fofg.data import datasets
from fofg.data.files import read_rows
from fofg.data.schemas import PROBLEMS
from fofg.data.validation import sample
from fofg.errors import UserError


def validation(own=None, **changes):
    """Return the default validation, whose test split has levels 1 to 4; ``own``: the user's file in its place."""
    return specs.validation(configured(stage2={"rl": {"validation": changes}}, use={"validation_problems": own}))


@pytest.mark.parametrize("changes", [{"levels": [1, 4], "problems": 16}, {"levels": [2, 3], "problems": 3}], ids=str)
def test_validation_has_the_first_test_problems_of_each_level(tmp_path, changes):
    """The same rows as in the file of the split."""
    wanted = validation(**changes)
    datasets.write(tmp_path / "test.parquet", wanted.source)
    rows = list(read_rows(tmp_path / "test.parquet", PROBLEMS))
    lowest, highest = changes["levels"]
    levels = [[row for row in rows if row["extra_info"]["level"] == level] for level in range(lowest, highest + 1)]
    assert sample(wanted) == [row for level in levels for row in level[: changes["problems"]]]
    assert len(sample(wanted)) == len(levels) * changes["problems"]
    own = validation(str(tmp_path / "test.parquet"), dataset="none", **changes)
    assert sample(specs.ValidationSpec.model_validate_json(own.text())) == sample(wanted)


def test_too_few_problems_of_a_level_are_an_error():
    message = r"stage2.rl.validation: datasets.stage2_validation.test gives 32 problems of level 1, fewer than problems: 33"
    with pytest.raises(UserError, match=message):
        sample(validation().model_copy(update={"problems": 33}))
    with pytest.raises(UserError, match="gives 0 problems of level 5"):
        sample(validation().model_copy(update={"levels": (4, 5)}))


def test_disabled_validation_needs_no_dataset():
    assert validation(every=0, dataset="none") is None
    assert sample(validation().model_copy(update={"every": 0})) == []
