"""Values as users write them: text from ``--config`` read as YAML, no booleans for numbers, one spelling per path."""

import os
import re
import types
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel

_NUMBERS = {int, float}


def leaf_types(annotation: Any) -> frozenset[type]:
    """Return the types of the values that an annotation allows, at any depth of lists and mappings."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return frozenset(map(type, arguments))
    if origin is Annotated:
        return leaf_types(arguments[0])
    if origin is dict:
        return leaf_types(arguments[1])
    if arguments:
        return frozenset().union(*(leaf_types(argument) for argument in arguments if argument is not Ellipsis))
    return frozenset([annotation])


def as_written(value: Any, allowed: frozenset[type]) -> Any:
    """Convert text to a number, boolean or null where the key allows one. ``allowed``: from ``leaf_types``.

    Snakemake passes everything inside ``--config key={...}`` as text. Raises ValueError for a boolean in place of a number,
    which pydantic would take for 0 or 1.
    """
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in allowed):
        return value
    if isinstance(value, dict):
        return {key: as_written(item, allowed) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_written(item, allowed) for item in value]
    if isinstance(value, str):
        value = _read(value, allowed)
    if isinstance(value, bool) and bool not in allowed and allowed & _NUMBERS:
        raise ValueError(f"needs a number, not {str(value).lower()} (YAML also reads yes, no, on and off as true or false)")
    return value


def is_null(value: Any) -> bool:
    """Return whether a value is null, or text from the command line that stands for it."""
    return value is None or (isinstance(value, str) and value.lower() in ("null", "~", ""))


def _read(text: str, allowed: frozenset[type]) -> Any:
    if types.NoneType in allowed and is_null(text):
        return None
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, bool):
        return value if bool in allowed or str not in allowed else text
    return value if isinstance(value, (int, float)) and allowed & _NUMBERS else text


def user_path(path: str) -> str:
    """Expand ``~``. Raises ValueError for characters that Snakemake or a shell would read as something else."""
    if sign := re.search(r"[{}$]", path):
        cure = "write it out, since variables are not expanded" if sign[0] == "$" else "move or rename it"
        raise ValueError(f"{path} has {sign[0]!r} in it, which Snakemake does not pass on; {cure}")
    if not path:
        raise ValueError("empty; . is the working directory")
    return os.path.expanduser(path)


def one_spelling(path: str) -> str:
    """Return the path below the working directory if it lies there, else the absolute one; links to its folder are resolved."""
    folder, name = os.path.split(os.path.abspath(path))
    return _near(os.path.join(os.path.realpath(folder), name))


def one_folder(path: str) -> str:
    """Do the same for a folder that may itself be a link, or missing. Snakemake stores its records of files by path."""
    folder = os.path.realpath(path)
    above = folder
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise ValueError(f"{path}: {above} is a file, not a folder; move it away or name another folder")
    return _near(folder)


def _near(path: str) -> str:
    here = os.getcwd()
    return os.path.relpath(path, here) if os.path.commonpath([path, here]) == here else path


def is_file(source: str) -> bool:
    """Return whether the name of problems is a file's, rather than a dataset's."""
    return source.endswith((".parquet", ".jsonl"))


def _source(name: str) -> str:
    return one_spelling(user_path(name)) if is_file(name) else name


#: A path as the user writes it, ``~`` expanded.
UserPath = Annotated[str, AfterValidator(user_path)]
#: A file or folder of the user's own.
OwnPath = Annotated[UserPath, AfterValidator(one_spelling)]
#: The folder that everything is made in.
RunDir = Annotated[UserPath, AfterValidator(one_folder), AfterValidator(user_path)]
#: A dataset's name, or a Parquet or JSON Lines file.
Source = Annotated[str, AfterValidator(_source)]
