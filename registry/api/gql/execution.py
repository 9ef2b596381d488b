"""Running one operation: parse once per text, judge its cost, execute on one read session, mask what is no error of ours."""

import threading
from collections import OrderedDict
from typing import Any

from graphql import DocumentNode, ExecutionResult, GraphQLError, GraphQLSchema, execute, parse, validate
from registry.api.gql.cohorts import Context
from registry.api.gql.limits import MAX_SOURCE, MAX_TOKENS, check_limits
from registry.api.gql.refusals import extensions
from registry.errors import RegistryError

CACHED_DOCUMENTS = 500


class Documents:
    """Parsed and validated documents by their text; the least recently used go first. For any thread."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._lock = threading.Lock()
        self._known: OrderedDict[str, DocumentNode | list[GraphQLError]] = OrderedDict()

    def get(self, text: str) -> "DocumentNode | list[GraphQLError]":
        """The document, or why it is none."""
        with self._lock:
            known = self._known.get(text)
            if known is not None:
                self._known.move_to_end(text)
                return known
        read = self._read(text)
        if len(text) <= MAX_SOURCE:
            with self._lock:
                self._known[text] = read
                if len(self._known) > CACHED_DOCUMENTS:
                    self._known.popitem(last=False)
        return read

    def _read(self, text: str) -> "DocumentNode | list[GraphQLError]":
        """What is judged without variables is judged before validation, whose rules compare every pair of repeated fields."""
        if len(text) > MAX_SOURCE:
            return [GraphQLError(f"the document has {len(text)} characters, the limit is {MAX_SOURCE}")]
        try:
            document = parse(text, max_tokens=MAX_TOKENS)
            check_limits(self.schema, document)
        except GraphQLError as error:
            return [error]
        return validate(self.schema, document) or document


def run(
    schema: GraphQLSchema, document: DocumentNode, context: Context, variables: dict[str, Any], operation: str | None
) -> ExecutionResult:
    """Without data where the operation was not begun: too dear, not there, or variables that are none.

    Raises what a resolver raised that is no error of ours: the runner tells a lost connection from a fault.
    """
    try:
        check_limits(schema, document, operation, variables)
    except GraphQLError as error:
        return ExecutionResult(None, [error])
    result = execute(schema, document, context_value=context, variable_values=variables, operation_name=operation)
    assert isinstance(result, ExecutionResult)  # noqa: S101  (all resolvers are synchronous)
    for found in result.errors or ():
        original = found.original_error
        if original is not None and not isinstance(original, RegistryError | GraphQLError):
            raise original
    return result


def is_refused(result: ExecutionResult) -> bool:
    """Whether it was not begun, which GraphQL over HTTP calls a request error."""
    return result.data is None and all(error.path is None for error in result.errors or ())


def formatted(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """As the specification has it, with `extensions`: at least `code` and `requestId`."""
    original = error.original_error
    own = {"code": "BAD_REQUEST", "requestId": request_id}
    return {
        **error.formatted,
        "extensions": extensions(original, request_id) if isinstance(original, RegistryError) else own,
    }
