"""ML Metadata's numbers for states of executions beside ours: the contract's table of states."""

from registry.names import Status

DELETED_ARTIFACT = 4
"""Artifact.State."""

STATES = {
    Status.UNKNOWN: 0,
    Status.PENDING: 1,
    Status.RUNNING: 2,
    Status.SUCCEEDED: 3,
    Status.FAILED: 4,
    Status.CACHED: 5,
    Status.CANCELED: 6,
    Status.SKIPPED: 6,
}
"""Execution.State of each status."""

STATUSES = {
    0: Status.UNKNOWN,
    1: Status.PENDING,
    2: Status.RUNNING,
    3: Status.SUCCEEDED,
    4: Status.FAILED,
    5: Status.CACHED,
    6: Status.CANCELED,
}
