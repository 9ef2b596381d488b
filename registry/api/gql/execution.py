"""Running one operation: parse once per text, judge its cost, execute on one read session, mask what is no error of ours."""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from graphql import DocumentNode, ExecutionResult, GraphQLError, GraphQLSchema, execute, parse, validate
from registry.api.gql.limits import MAX_SOURCE, MAX_TOKENS, check_limits
from registry.api.problems import kebab
from registry.catalog.actors import Actor
from registry.db.session import Session
from registry.errors import RegistryError

log = logging.getLogger("lineal.gql")
CACHED_DOCUMENTS = 500


@dataclass(frozen=True)
class Context:
    """What resolvers get: one read session and who asks."""

    session: Session
    actor: Actor


class Documents:
    """Parsed and validated documents by their text; the least recently used go first. Used under the server's lock-free loop."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: OrderedDict[str, DocumentNode | list[GraphQLError]] = OrderedDict()

    def get(self, text: str) -> "DocumentNode | list[GraphQLError]":
        """The document, or why it is none."""
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._read(text)
            if len(self._known) > CACHED_DOCUMENTS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(text)
        return known

    def _read(self, text: str) -> "DocumentNode | list[GraphQLError]":
        if len(text) > MAX_SOURCE:
            return [GraphQLError(f"the document has {len(text)} characters, the limit is {MAX_SOURCE}")]
        try:
            document = parse(text, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            return [error]
        return validate(self._schema, document) or document


def run(
    schema: GraphQLSchema, document: DocumentNode, context: Context, variables: dict[str, Any], operation: str | None
) -> dict[str, Any]:
    """`{"data": …, "errors": […]}`."""
    try:
        check_limits(document, operation, variables)
    except GraphQLError as error:
        return {"errors": [formatted(error, context.actor)]}
    result = execute(schema, document, context_value=context, variable_values=variables, operation_name=operation)
    assert isinstance(result, ExecutionResult)  # noqa: S101  (all resolvers are synchronous)
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [formatted(error, context.actor) for error in result.errors]
    return answer


def formatted(error: GraphQLError, actor: Actor | None = None) -> dict[str, Any]:
    """Errors of our own tree keep their text; others are a fault of ours and are told by the request's id only."""
    original = error.original_error
    body: dict[str, Any] = dict(error.formatted)
    if isinstance(original, RegistryError):
        body["extensions"] = {"code": kebab(type(original).__name__).upper().replace("-", "_")}
    elif original is not None:
        log.error("a resolver failed", exc_info=original)
        body |= {"message": "the server failed; its log has the reason", "extensions": {"code": "INTERNAL"}}
        if actor is not None:
            body["extensions"]["requestId"] = actor.request_id
    else:
        body["extensions"] = {"code": "BAD_REQUEST"}
    return body
