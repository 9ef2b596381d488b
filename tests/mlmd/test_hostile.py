"""Input that means harm: an answer with a status that says so, nothing changed, a server that lives."""

import json
import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from registry.api.mlmd.descriptors import service
from registry.catalog.dumping import dump
from tests.mlmd.door import Door, fresh, message, node, raw_call

MESSAGES = 10_000
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED"}
REFUSALS |= {"RESOURCE_EXHAUSTED"}
INJECTIONS = [
    "' OR '1'='1",
    '" OR "1"="1',
    "'; DROP TABLE artifacts; --",
    "` OR `1`=`1",
    "a' UNION SELECT digest FROM tokens --",
    "%' OR name LIKE '%",
    "\\'; SELECT 1; --",
    "x' AND (SELECT count(*) FROM secrets) > 0 AND 'a'='a",
    ":name",
    "%(name)s",
    "{name}",
    "${jndi:ldap://x/y}",
    "../../../etc/passwd",
    "\u202e\u0000"[:1] + "rtl",
    "\ufeffbom",
    "a\r\nInjected: header",
]


def store(door: Door) -> str:
    """All that is in it, but what a task of the server's own seals."""
    lines = door.served.services.runner.read(
        lambda session: [json.dumps(line, sort_keys=True, default=str) for line in dump(session)]
    )
    return "\n".join(sorted(line for line in lines if "audit" not in line))


def seeds(door: Door) -> list[tuple[str, bytes]]:
    """A valid request for every method, of ids and names that are there."""
    types = {kind: door.type(kind, None, i=1, s=3) for kind in ("artifact", "execution", "context")}
    custom = {"k": "v", "n": 1.5, "b": True, "t": {"deep": [1, {"er": None}]}}
    ids = {kind: door.put(kind, node(kind, types[kind], name=fresh("n"), custom=custom))[0] for kind in types}
    options = {
        "max_result_size": 5,
        "filter_query": "contexts_a.name = 'x' AND properties.i.int_value IN (1, 2)",
        "order_by_field": {},
    }
    found = []
    for method in service().methods.values():
        request: Any = method.request()
        for field in request.DESCRIPTOR.fields:
            kind = next((one for one in types if field.name.startswith(one)), "context")
            if field.name == "options" and "filter_query" in field.message_type.fields_by_name:
                request.options.CopyFrom(message("ListOperationOptions", **options))
            elif field.name in {f"{kind}s", kind} and field.message_type is not None:
                one = node(kind, types[kind], name=fresh("n"), custom=custom)
                (getattr(request, field.name).add() if _many(request, field) else getattr(request, field.name)).CopyFrom(one)
            elif field.name.endswith(("_ids", "_id")) and field.cpp_type == field.CPPTYPE_INT64:
                id = types[kind] if "type" in field.name else ids[kind]
                if _many(request, field):
                    getattr(request, field.name).append(id)
                else:
                    setattr(request, field.name, id)
            elif field.cpp_type == field.CPPTYPE_STRING:
                if _many(request, field):
                    getattr(request, field.name).append("text")
                else:
                    setattr(request, field.name, "text")
        found.append((method.name, request.SerializeToString()))
    return found


def _many(request: Any, field: Any) -> bool:
    return hasattr(getattr(request, field.name), "extend")


def damaged(random_: random.Random, raw: bytes) -> bytes:
    """Bits flipped, pieces cut, doubled or moved, lengths that lie, rubbish."""
    made = bytearray(raw)
    for _ in range(random_.randint(1, 4)):
        place = random_.randrange(len(made) + 1)
        match random_.randrange(6):
            case 0 if made:
                made[place % len(made)] ^= 1 << random_.randrange(8)
            case 1:
                made[place:place] = random_.randbytes(random_.randint(1, 9))
            case 2:
                del made[place : place + random_.randint(1, 9)]
            case 3:
                piece = bytes(made[place : place + random_.randint(1, 40)])
                made[random_.randrange(len(made) + 1) : 0] = piece
            case 4 if made:
                made[place % len(made)] = random_.choice([0x00, 0x7F, 0x80, 0xFF, 0x22])
            case _:
                made += b"\xff" * random_.randint(1, 12)
    return bytes(made)


def test_ten_thousand_damaged_messages_are_answered_and_what_is_refused_changes_nothing(sqlite_door: Door) -> None:
    door, random_ = sqlite_door, random.Random(1)
    whole = seeds(door)
    sent = [(method, damaged(random_, raw)) for method, raw in random_.choices(whole, k=MESSAGES)]
    with grpc.insecure_channel(door.address) as channel:

        def code(call: tuple[str, bytes]) -> str:
            try:
                raw_call(channel, call[0])(call[1], timeout=60)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

        with ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(code, sent))
            refused = [call for call, found in zip(sent, codes, strict=True) if found != "OK" and call[0].startswith("Put")]
            before = store(door)
            again = list(pool.map(code, refused))
            after = store(door)

    assert set(codes) <= REFUSALS | {"OK"}, Counter(codes)
    assert len(refused) > MESSAGES / 20
    assert "OK" not in again
    assert before == after
    assert door.refusal("GetArtifacts") == "OK"


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_text_that_looks_like_sql_is_a_text(sqlite_door: Door, text: str) -> None:
    door = sqlite_door
    types = {kind: door.type(kind, f"{kind} {text}") for kind in ("artifact", "execution", "context")}
    external = fresh(text)
    [made] = door.put(
        "artifact", node("artifact", types["artifact"], name=text, external_id=external, uri=text, custom={text: text})
    )
    door.put("context", node("context", types["context"], name=text))

    found = door.call("GetArtifactByTypeAndName", type_name=f"artifact {text}", artifact_name=text).artifact
    by_uri = door.call("GetArtifactsByURI", uris=[text]).artifacts
    by_external = door.call("GetArtifactsByExternalIds", external_ids=[external]).artifacts

    assert found.id == made
    assert made in {one.id for one in by_uri}
    assert [one.id for one in by_external] == [made]
    assert found.custom_properties[text].string_value == text


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_filter_that_is_sql_finds_nothing_or_is_refused(sqlite_door: Door, text: str) -> None:
    door = sqlite_door
    door.put("artifact", node("artifact", door.type("artifact"), name=fresh("victim"), custom={"k": "v"}))
    before = store(door)
    quoted = re.sub(r"([\\'\"])", r"\\\1", text).replace("\r", "\\r").replace("\n", "\\n")
    own = [text, f"name = '{text}'", f"custom_properties.`{text}`.int_value = 1", f"contexts_{text}.name = 'a'", f"id = 1 {text}"]
    escaped = [
        f"name = '{quoted}'",
        f'name = "{quoted}"',
        f"type IN ('{quoted}')",
        f"custom_properties.k.string_value = '{quoted}'",
    ]

    for method in ("GetArtifacts", "GetExecutions", "GetContexts"):
        for filter in own:  # what its author has closed himself is his filter, whatever it says
            assert door.refusal(method, options={"filter_query": filter}) in {"OK", "INVALID_ARGUMENT"}, filter
        for filter in escaped:
            answer = door.call(method, options={"filter_query": filter})
            found = getattr(answer, method.removeprefix("Get").lower())
            assert all(text in str(one) or one.name == text for one in found), filter

    assert store(door) == before


def test_a_million_characters_are_kept_or_refused(sqlite_door: Door) -> None:
    door, long = sqlite_door, "x" * 1_000_000
    type_id = door.type("artifact")

    assert door.refusal("PutArtifactType", artifact_type={"name": long}) == "INVALID_ARGUMENT"
    for field in ("name", "external_id", "uri"):
        named: dict[str, Any] = {field: long}
        assert door.refusal("PutArtifacts", artifacts=[node("artifact", type_id, **named)]) == "INVALID_ARGUMENT"
    assert door.refusal("PutArtifacts", artifacts=[node("artifact", type_id, custom={long: 1})]) == "INVALID_ARGUMENT"
    [kept] = door.put("artifact", node("artifact", type_id, custom={"long": long}))
    assert door.one("artifact", kept).custom_properties["long"].string_value == long
    assert door.refusal("GetArtifacts", options={"filter_query": f"name = '{long}'"}) == "INVALID_ARGUMENT"
    assert door.refusal("GetArtifacts", options={"next_page_token": long}) == "INVALID_ARGUMENT"
    assert door.refusal("GetArtifactType", type_name=long) in {"NOT_FOUND", "INVALID_ARGUMENT"}


@pytest.mark.parametrize("depth", [90, 110, 1000])
def test_a_struct_a_thousand_deep_is_refused(sqlite_door: Door, depth: int) -> None:
    """Written by hand: a message of this depth no client library would build."""
    door = sqlite_door
    value = b"\x1a\x00"  # google.protobuf.Value.string_value
    for _ in range(depth):
        entry = b"\x0a\x01k\x12" + _length(value) + value
        fields = b"\x0a" + _length(entry) + entry  # Struct.fields
        value = b"\x2a" + _length(fields) + fields  # Value.struct_value
    struct = value[1 + len(_length(fields)) :]
    held = b"\x22" + _length(struct) + struct  # Value.struct_value of a property
    entry = b"\x0a\x01k\x12" + _length(held) + held
    artifact = b"\x10" + _length_of(door.type("artifact")) + b"\x2a" + _length(entry) + entry
    raw = b"\x0a" + _length(artifact) + artifact

    with grpc.insecure_channel(door.address) as channel, pytest.raises(grpc.RpcError) as refused:
        raw_call(channel, "PutArtifacts")(raw, timeout=60)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert door.refusal("GetArtifacts") == "OK"


def _length(content: bytes) -> bytes:
    return _length_of(len(content))


def _length_of(number: int) -> bytes:
    """A varint."""
    made = bytearray()
    while number > 0x7F:
        made.append(0x80 | (number & 0x7F))
        number >>= 7
    return bytes([*made, number])


@pytest.mark.parametrize(
    "filter", ["(" * 5000 + "id = 1" + ")" * 5000, "NOT " * 5000 + "id = 1", "id = 1 AND " * 20_000 + "id = 1"]
)
def test_a_filter_that_is_nested_beyond_sense_is_refused(sqlite_door: Door, filter: str) -> None:
    assert sqlite_door.refusal("GetArtifacts", options={"filter_query": filter}) == "INVALID_ARGUMENT"
