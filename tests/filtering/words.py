"""The fields of the record kind that these tests filter."""

from registry.filtering.fields import FieldSpec, FieldType, RecordFields
from registry.filtering.tree import Scalar


def item_id(value: Scalar) -> int:
    if not isinstance(value, str) or not value.startswith("it_") or not value[3:].isdigit():
        raise ValueError("is an id such as 'it_17'")
    return int(value[3:])


NEIGHBOUR = {"id": FieldSpec(FieldType.INTEGER), "name": FieldSpec(FieldType.TEXT), "type": FieldSpec(FieldType.TEXT)}
ITEMS = RecordFields(
    kind="item",
    attributes={
        "id": FieldSpec(FieldType.KEY, convert=item_id),
        "name": FieldSpec(FieldType.TEXT),
        "status": FieldSpec(FieldType.ENUM, words={"pending": 1, "running": 2, "failed": 4}),
        "size": FieldSpec(FieldType.INTEGER),
        "score": FieldSpec(FieldType.REAL),
        "flag": FieldSpec(FieldType.BOOLEAN),
        "created_at": FieldSpec(FieldType.TIME),
        "aliases": FieldSpec(FieldType.TEXT, is_many=True),
    },
    spaces={
        "params": FieldSpec(FieldType.TEXT),
        "metrics": FieldSpec(FieldType.REAL),
        "properties": FieldSpec(FieldType.ANY),
    },
    neighbours={"contexts": NEIGHBOUR},
    synonyms={"attribute": "attributes", "param": "params", "metric": "metrics", "created": "created_at"},
)
