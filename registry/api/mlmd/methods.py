"""The table of RPCs: which function answers each."""

from collections.abc import Callable
from functools import partial

from registry.api.mlmd import lineage, reading, writing
from registry.api.mlmd.writing import Call, Prepared
from registry.db.session import Session
from registry.names import NodeKind

A, E, C = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT

WRITES: dict[str, Callable[[Call], Prepared]] = {
    "PutArtifactType": partial(writing.put_type, kind=A, given="artifact_type"),
    "PutExecutionType": partial(writing.put_type, kind=E, given="execution_type"),
    "PutContextType": partial(writing.put_type, kind=C, given="context_type"),
    "PutTypes": writing.put_all_types,
    "PutArtifacts": partial(writing.put_nodes, kind=A, given="artifacts", into="artifact_ids"),
    "PutExecutions": partial(writing.put_nodes, kind=E, given="executions", into="execution_ids"),
    "PutContexts": partial(writing.put_nodes, kind=C, given="contexts", into="context_ids"),
    "PutEvents": writing.put_events,
    "PutExecution": writing.put_execution,
    "PutLineageSubgraph": writing.put_subgraph,
    "PutAttributionsAndAssociations": writing.put_memberships,
    "PutParentContexts": writing.put_parents,
}

READS: dict[str, Callable[[Session, Call], None]] = {
    "GetArtifactType": partial(reading.get_type, kind=A, into="artifact_type"),
    "GetExecutionType": partial(reading.get_type, kind=E, into="execution_type"),
    "GetContextType": partial(reading.get_type, kind=C, into="context_type"),
    "GetArtifactTypes": partial(reading.get_types, kind=A, into="artifact_types"),
    "GetExecutionTypes": partial(reading.get_types, kind=E, into="execution_types"),
    "GetContextTypes": partial(reading.get_types, kind=C, into="context_types"),
    "GetArtifactTypesByID": partial(reading.get_types_by_id, kind=A, into="artifact_types"),
    "GetExecutionTypesByID": partial(reading.get_types_by_id, kind=E, into="execution_types"),
    "GetContextTypesByID": partial(reading.get_types_by_id, kind=C, into="context_types"),
    "GetArtifactTypesByExternalIds": partial(reading.get_types_by_external_id, kind=A, into="artifact_types"),
    "GetExecutionTypesByExternalIds": partial(reading.get_types_by_external_id, kind=E, into="execution_types"),
    "GetContextTypesByExternalIds": partial(reading.get_types_by_external_id, kind=C, into="context_types"),
    "GetArtifactsByExternalIds": partial(reading.get_nodes_by_external_id, kind=A, into="artifacts"),
    "GetExecutionsByExternalIds": partial(reading.get_nodes_by_external_id, kind=E, into="executions"),
    "GetContextsByExternalIds": partial(reading.get_nodes_by_external_id, kind=C, into="contexts"),
    "GetArtifactsByID": partial(reading.get_nodes_by_id, kind=A, ids="artifact_ids", into="artifacts"),
    "GetExecutionsByID": partial(reading.get_nodes_by_id, kind=E, ids="execution_ids", into="executions"),
    "GetContextsByID": partial(reading.get_nodes_by_id, kind=C, ids="context_ids", into="contexts"),
    "GetArtifactByTypeAndName": partial(reading.get_node_by_name, kind=A, name="artifact_name", into="artifact"),
    "GetExecutionByTypeAndName": partial(reading.get_node_by_name, kind=E, name="execution_name", into="execution"),
    "GetContextByTypeAndName": partial(reading.get_node_by_name, kind=C, name="context_name", into="context"),
    "GetArtifacts": partial(reading.get_nodes, kind=A, into="artifacts"),
    "GetExecutions": partial(reading.get_nodes, kind=E, into="executions"),
    "GetContexts": partial(reading.get_nodes, kind=C, into="contexts"),
    "GetArtifactsByType": partial(reading.get_nodes_by_type, kind=A, into="artifacts"),
    "GetExecutionsByType": partial(reading.get_nodes_by_type, kind=E, into="executions"),
    "GetContextsByType": partial(reading.get_nodes_by_type, kind=C, into="contexts"),
    "GetArtifactsByContext": partial(reading.get_nodes_by_context, kind=A, into="artifacts"),
    "GetExecutionsByContext": partial(reading.get_nodes_by_context, kind=E, into="executions"),
    "GetArtifactsByURI": reading.get_artifacts_by_uri,
    "GetEventsByArtifactIDs": partial(reading.get_events, kind=A, ids="artifact_ids"),
    "GetEventsByExecutionIDs": partial(reading.get_events, kind=E, ids="execution_ids"),
    "GetContextsByArtifact": partial(reading.get_contexts_of, kind=A, id="artifact_id"),
    "GetContextsByExecution": partial(reading.get_contexts_of, kind=E, id="execution_id"),
    "GetLineageGraph": lineage.get_lineage_graph,
    "GetLineageSubgraph": lineage.get_lineage_subgraph,
    "GetParentContextsByContext": partial(reading.get_relatives, parents=True),
    "GetChildrenContextsByContext": partial(reading.get_relatives, parents=False),
    "GetParentContextsByContexts": partial(reading.get_relatives_of_many, into="parent_contexts", parents=True),
    "GetChildrenContextsByContexts": partial(reading.get_relatives_of_many, into="children_contexts", parents=False),
}
