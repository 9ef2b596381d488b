"""Sequences of requests to a metadata store, for hypothesis: small pools of names, types and values, so that they meet.

A request is a dictionary in the form of its message. An id is a `Ref`: the n-th node of its kind that the sequence has made,
which each store has under an id of its own; where there is none it is an id that no store has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

KINDS = ("artifact", "execution", "context")
STATE = {"artifact": ("state", 6), "execution": ("last_known_state", 6)}
NOBODY = 987_654_321


@dataclass(frozen=True)
class Ref:
    kind: str  # of KINDS, or "type"
    place: int


@dataclass(frozen=True)
class Query:
    """A filter with ids in it: `{0}` stands for the first of `refs`."""

    text: str
    refs: tuple[Ref, ...] = ()


@dataclass(frozen=True)
class Token:
    """The page token that the sequence was given last."""


@dataclass(frozen=True)
class Asked:
    method: str
    fields: Mapping[str, Any]


names = st.sampled_from(["a", "b", "c", "d e", "ü", ""])
type_names = st.sampled_from(["t", "u", "v", "mlmd.Model", ""])
versions = st.sampled_from(["", "", "v1"])
externals = st.sampled_from(["x", "y", "z", ""])
uris = st.sampled_from(["s3://b/1", "s3://b/2", "file:///k", ""])
keys = st.sampled_from(["i", "d", "s", "b", "t", "zz", "my key"])
DECLARED = {"i": 1, "d": 2, "s": 3, "b": 6, "t": 4}
small = st.integers(0, 4)


def refs(kind: str) -> st.SearchStrategy[Ref]:
    return st.builds(Ref, st.just(kind), st.integers(0, 5))


def maybe(strategy: st.SearchStrategy[Any], **fields: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


def fields(needed: Any = None, **optional: Any) -> Any:
    """A message of which the optional fields may be left out."""
    return st.fixed_dictionaries(dict(needed or {}), optional=optional)


values_of = {
    "i": st.integers(-5, 5).map(lambda value: {"int_value": value}),
    "d": st.sampled_from([0.0, 0.25, -1.5, 1024.0]).map(lambda value: {"double_value": value}),
    "s": st.sampled_from(["", "v", "w", "ü"]).map(lambda value: {"string_value": value}),
    "b": st.booleans().map(lambda value: {"bool_value": value}),
    "t": st.sampled_from(["k", "l"]).map(lambda key: {"struct_value": {"fields": {key: {"number_value": 1.0}}}}),
}
any_value = st.one_of(*values_of.values())


def _property(key: str) -> st.SearchStrategy[tuple[str, Any]]:
    """Mostly of the kind that the key is declared with."""
    return st.tuples(st.just(key), st.one_of(values_of.get(key, any_value), values_of.get(key, any_value), any_value))


declared = st.lists(st.sampled_from(["i", "d", "s", "b", "t", "i", "s", "zz"]).flatmap(_property), max_size=2).map(dict)
custom = st.lists(keys.flatmap(_property), max_size=3).map(dict)
type_properties = st.one_of(
    st.just(DECLARED),
    st.just(DECLARED),
    st.dictionaries(st.sampled_from(["i", "d", "zz"]), st.sampled_from([1, 2, 3]), max_size=2),
)


def types(kind: str) -> Any:
    more = {"base_type": st.sampled_from([1, 2])} if kind != "context" else {}
    return fields(
        {
            "name": type_names if kind == "artifact" else type_names.filter(lambda name: not name.startswith("mlmd.")),
            "properties": type_properties,
        },
        version=versions,
        description=st.sampled_from(["text", ""]),
        external_id=externals,
        **more,
    )


_type_flags = {
    "can_add_fields": st.booleans(),
    "can_omit_fields": st.booleans(),
    "all_fields_match": st.sampled_from([True, True, True, False]),
}


def nodes(kind: str) -> Any:
    """New, or known by an id; mostly of a type that is there."""
    more: dict[str, Any] = {} if kind != "artifact" else {"uri": uris}
    if kind in STATE:
        name, most = STATE[kind]
        more[name] = st.integers(0, most)
    new = fields(
        {"type_id": TYPES[kind], "name": names}, external_id=externals, properties=declared, custom_properties=custom, **more
    )
    plain = fields({"type_id": TYPES[kind]}, properties=declared, custom_properties=custom, **more)
    known = fields(
        {"id": refs(kind)},
        type_id=TYPES[kind],
        name=names,
        external_id=externals,
        properties=declared,
        custom_properties=custom,
        **more,
    )
    return st.one_of(new, plain, known)


TYPES = {
    # The prelude makes one type of each kind: places 0, 1 and 2.
    kind: st.one_of(st.just(Ref("type", place)), st.just(Ref("type", place)), st.just(Ref("type", place)), refs("type"))
    for place, kind in enumerate(KINDS)
}
_STRUCT: Mapping[str, Any] = {"struct_value": {"fields": {"k": {"number_value": 1.0}}}}
PRELUDE = [
    *(Asked(f"Put{kind.title()}Type", {f"{kind}_type": {"name": "t", "properties": DECLARED}}) for kind in KINDS),
    Asked(
        "PutExecution",
        {
            "execution": {"type_id": Ref("type", 1), "name": "a", "last_known_state": 2, "custom_properties": {"t": _STRUCT}},
            "artifact_event_pairs": [
                {
                    "artifact": {"type_id": Ref("type", 0), "uri": "s3://b/1", "state": 2, "properties": {"i": {"int_value": 1}}},
                    "event": {"type": 4, "path": {"steps": [{"key": "a"}]}},
                }
            ],
            "contexts": [{"type_id": Ref("type", 2), "name": "a"}],
        },
    ),
    Asked(
        "PutExecution",
        {
            "execution": {"type_id": Ref("type", 1), "last_known_state": 3, "custom_properties": {"i": {"int_value": 2}}},
            "artifact_event_pairs": [
                {"event": {"type": 3, "artifact_id": Ref("artifact", 0)}},
                {"artifact": {"type_id": Ref("type", 0), "name": "a", "external_id": "z"}, "event": {"type": 4}},
            ],
            "contexts": [
                {"type_id": Ref("type", 2), "name": "a"},
                {"type_id": Ref("type", 2), "name": "b", "custom_properties": {"my key": {"string_value": "w"}}},
            ],
            "options": {"reuse_context_if_already_exist": True},
        },
    ),
]
"""A type of each kind, and two executions of which one has used what the other has made, in two contexts."""


paths = st.lists(
    st.sampled_from(
        [
            *("uri", "state", "last_known_state", "external_id", "name", "properties", "custom_properties"),
            *("properties.i", "custom_properties.my key", "custom_properties.i", "nonsense"),
        ]
    ),
    min_size=1,
    max_size=2,
)
event_types = st.integers(0, 7)
event_paths: st.SearchStrategy[Any] = st.lists(
    st.one_of(st.builds(dict, key=names), st.builds(dict, index=small), st.just({})), max_size=2
).map(lambda steps: {"steps": steps})
_event = {"type": event_types, "path": event_paths, "milliseconds_since_epoch": st.sampled_from([0, 5])}


def conditions(kind: str) -> st.SearchStrategy[Query]:
    """Conditions joined by AND, which is where every store agrees on what a missing neighbour means."""
    state = STATE.get(kind)
    plain = [
        "id > 0",
        "type = 't'",
        "type != 't'",
        "name = 'a'",
        "name LIKE 'd%'",
        "name IS NOT NULL",
        "NOT (name = 'a')",
        "name IN ('a', 'b', 'zz')",
        "external_id = 'x'",
        "external_id IS NULL",
        "create_time_since_epoch > 1",
        "NOT(create_time_since_epoch < 1 OR last_update_time_since_epoch < 1)",
        "properties.i.int_value > 0",
        "properties.d.double_value >= 0.25",
        'properties.s.string_value = "v"',
        "properties.b.bool_value",
        "custom_properties.i.int_value BETWEEN -2 AND 3",
        "custom_properties.`my key`.string_value = 'w'",
        "custom_properties.`my key`.int_value IN (1, 2, 3)",
        "custom_properties.b.bool_value = true",
        "nonsense = 1",
        "name = 5",
        "id = ",
        "name LIKE 'x",
    ]
    if state is not None:
        words = {"artifact": ("PENDING", "LIVE"), "execution": ("NEW", "RUNNING")}[kind]
        plain += [f"{state[0]} = {words[1]}", f"{state[0]} != {words[0]}", f"{state[0]} IN ({words[0]}, {words[1]})"]
        plain += [f"{state[0]} IS NULL", f"{state[0]} = live", f"{state[0]} NOT IN ({words[0]})"]
    own = [st.just(Query(text)) for text in plain]
    own += [st.builds(lambda ref: Query("id = {0}", (ref,)), refs(kind))]
    if kind == "context":
        own += [
            st.just(Query(text))
            for text in (
                "artifacts_a.uri LIKE 's3%'",
                "executions_a.name = 'a'",
                "parent_contexts_0.name = 'a'",
                "child_contexts_a.type = 't'",
            )
        ]
        own += [st.builds(lambda ref: Query("executions_a.id = {0}", (ref,)), refs("execution"))]
    else:
        other = "execution" if kind == "artifact" else "artifact"
        own += [
            st.just(Query(text))
            for text in (
                "contexts_a.name = 'a'",
                "contexts_a.type = 't' AND contexts_b.name = 'b'",
                "contexts_a.id < contexts_b.id",
            )
        ]
        own += [
            st.builds(
                lambda ref, text=f"events_0.type = OUTPUT AND events_0.{other}_id = {{0}}": Query(text, (ref,)), refs(other)
            ),
            st.builds(lambda ref: Query("contexts_a.id = {0}", (ref,)), refs("context")),
        ]
    return st.lists(st.one_of(*own), min_size=1, max_size=2).map(_joined)


def _joined(parts: list[Query]) -> Query:
    found: list[Ref] = []
    texts: list[str] = []
    for part in parts:
        # An alias of the second part is another neighbour.
        texts.append(part.text.replace("{0}", f"{{{len(found)}}}").replace("_a.", f"_a{len(texts)}."))
        found += part.refs
    return Query(" AND ".join(f"({text})" for text in texts) if len(texts) > 1 else texts[0], tuple(found))


def options(kind: str) -> Any:
    order = fields(field=st.sampled_from([1, 3, 3]), is_asc=st.booleans())
    return fields(
        {"order_by_field": order},
        max_result_size=st.sampled_from([1, 2, 3, 20, 100, 0, -1]),
        filter_query=st.one_of(st.just(Query("")), conditions(kind), conditions(kind)),
        next_page_token=st.sampled_from([Token(), Token(), "", "nonsense"]),
    )


def lineage() -> Any:
    start = st.sampled_from(["artifact", "execution"]).flatmap(
        lambda kind: st.builds(
            lambda query, kind=kind: {f"starting_{kind}s": {"filter_query": query}},
            st.one_of(conditions(kind), st.just(Query("id > 0"))),
        )
    )
    ends = fields(
        max_num_hops=st.sampled_from([0, 1, 2, 20, -1]),
        direction=st.integers(0, 3),
        ending_artifacts=st.builds(
            lambda query, included: {"filter_query": query, "include_ending_nodes": included},
            conditions("artifact"),
            st.booleans(),
        ),
    )
    asked = st.one_of(st.just({}), st.builds(lambda one, two: {**one, **two}, start, ends), st.builds(dict, start))
    mask = st.sampled_from([{"paths": []}, {"paths": ["artifacts", "events"]}, {"paths": ["contexts", "nonsense"]}])
    return fields({"lineage_subgraph_query_options": asked}, read_mask=mask)


def requests() -> dict[str, st.SearchStrategy[Any]]:
    """By method: all 52."""
    found: dict[str, Any] = {
        "PutTypes": fields(
            **{f"{kind}_types": st.lists(types(kind), max_size=2) for kind in KINDS},
            **_type_flags,
        ),
        "PutEvents": fields(
            events=st.lists(
                fields(artifact_id=refs("artifact"), execution_id=refs("execution"), **_event), min_size=1, max_size=2
            )
        ),
        "PutAttributionsAndAssociations": fields(
            attributions=st.lists(fields(artifact_id=refs("artifact"), context_id=refs("context")), max_size=2),
            associations=st.lists(fields(execution_id=refs("execution"), context_id=refs("context")), max_size=2),
        ),
        "PutParentContexts": fields(
            parent_contexts=st.lists(fields(child_id=refs("context"), parent_id=refs("context")), min_size=1, max_size=2)
        ),
        "PutExecution": fields(
            {"execution": nodes("execution")},
            artifact_event_pairs=st.lists(
                fields(
                    artifact=nodes("artifact"),
                    event=fields({"type": event_types}, artifact_id=refs("artifact"), path=event_paths),
                ),
                max_size=2,
            ),
            contexts=st.lists(nodes("context"), max_size=2),
            options=fields(
                reuse_context_if_already_exist=st.booleans(),
                reuse_artifact_if_already_exist_by_external_id=st.booleans(),
                force_update_time=st.booleans(),
                force_reuse_context=st.booleans(),
            ),
        ),
        "PutLineageSubgraph": fields(
            executions=st.lists(nodes("execution"), max_size=2),
            artifacts=st.lists(nodes("artifact"), max_size=2),
            contexts=st.lists(nodes("context"), max_size=1),
            event_edges=st.lists(
                fields(
                    execution_index=st.integers(-1, 2),
                    artifact_index=st.integers(-1, 2),
                    event=fields({"type": event_types}, path=event_paths),
                ),
                max_size=2,
            ),
            options=fields(
                reuse_context_if_already_exist=st.booleans(), reuse_artifact_if_already_exist_by_external_id=st.booleans()
            ),
        ),
        "GetLineageSubgraph": lineage(),
        "GetLineageGraph": fields({"options": st.just({"max_node_size": 10})}),
        "GetArtifactsByURI": fields(uris=st.lists(uris, max_size=2)),
        "GetContextsByArtifact": fields(artifact_id=refs("artifact")),
        "GetContextsByExecution": fields(execution_id=refs("execution")),
        "GetArtifactsByContext": fields({"context_id": refs("context")}, options=options("artifact")),
        "GetExecutionsByContext": fields({"context_id": refs("context")}, options=options("execution")),
        "GetEventsByArtifactIDs": fields(artifact_ids=st.lists(refs("artifact"), max_size=3)),
        "GetEventsByExecutionIDs": fields(execution_ids=st.lists(refs("execution"), max_size=3)),
        "GetParentContextsByContext": fields({"context_id": refs("context")}),
        "GetChildrenContextsByContext": fields({"context_id": refs("context")}),
        "GetParentContextsByContexts": fields(context_ids=st.lists(refs("context"), max_size=3)),
        "GetChildrenContextsByContexts": fields(context_ids=st.lists(refs("context"), max_size=3)),
    }
    for kind in KINDS:
        title = kind.title()
        populated = {"populate_artifact_types": st.booleans()} if kind == "artifact" else {}
        change = {"options": fields(abort_if_latest_updated_time_changed=st.just(False))} if kind == "artifact" else {}
        found |= {
            f"Put{title}Type": fields({f"{kind}_type": types(kind)}, **_type_flags),
            f"Put{title}s": fields(
                {f"{kind}s": st.lists(nodes(kind), min_size=1, max_size=3)},
                update_mask=paths.map(lambda found: {"paths": found}),
                **change,
            ),
            f"Get{title}Type": fields(type_name=type_names, type_version=versions),
            f"Get{title}Types": st.just({}),
            f"Get{title}TypesByID": fields(type_ids=st.lists(refs("type"), max_size=3)),
            f"Get{title}TypesByExternalIds": fields(external_ids=st.lists(externals, max_size=2)),
            f"Get{title}sByExternalIds": fields(external_ids=st.lists(externals, max_size=2)),
            f"Get{title}sByID": fields({f"{kind}_ids": st.lists(refs(kind), max_size=3)}, **populated),
            f"Get{title}ByTypeAndName": fields(type_name=type_names, type_version=versions, **{f"{kind}_name": names}),
            f"Get{title}s": fields(options=options(kind)),
            f"Get{title}sByType": fields(type_name=type_names, type_version=versions, options=options(kind)),
        }
    return found


REQUESTS = requests()
WRITES = [method for method in REQUESTS if method.startswith("Put")]


def _one(of: list[str]) -> st.SearchStrategy[Asked]:
    return st.sampled_from(of).flatmap(lambda method: st.builds(Asked, st.just(method), REQUESTS[method]))


def sequences(method: str) -> st.SearchStrategy[list[Asked]]:
    """Writes, then anything, among it a call of the method."""
    some = st.lists(_one(list(REQUESTS)), min_size=2, max_size=5)
    writes, wanted = st.lists(_one(WRITES), min_size=3, max_size=6), st.tuples(_one([method]))
    return st.tuples(st.just(PRELUDE), writes, some, wanted, some).map(lambda parts: [asked for part in parts for asked in part])
