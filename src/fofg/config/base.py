"""What all sections of the configuration share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def ascending(bounds: tuple[int, int]) -> tuple[int, int]:
    """Checks a (lowest, highest) pair."""
    if bounds[0] > bounds[1]:
        raise ValueError(f"the lowest ({bounds[0]}) is more than the highest ({bounds[1]})")
    return bounds


Levels = Annotated[tuple[Count, Count], AfterValidator(ascending), Field(description="lowest and highest")]
