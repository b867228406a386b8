"""Rows of every table that the project writes."""

import pyarrow as pa

from fofg.data import schemas

#: Name -> columns.
TABLES = {name: schema for name, schema in vars(schemas).items() if isinstance(schema, pa.Schema)}


def rows(schema: pa.Schema) -> list[dict]:
    """Return three rows: of all kinds of values, of others, and of empty lists and nulls."""
    return [{field.name: _value(field.type, number) for field in schema} for number in range(3)]


def _value(kind: pa.DataType, number: int):
    if pa.types.is_struct(kind):
        return {field.name: _value(field.type, number) for field in kind}
    if pa.types.is_list(kind):
        return [_value(kind.value_type, item) for item in range(2 - number)]
    values = {"string": ['a "é\n\u2028', "{}"], "bool": [True, False], "double": [0.1, -1e-9]}
    return [*values.get(str(kind), [1, 2**30]), None][number]
