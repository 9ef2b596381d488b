import pytest
from schemathesis.config import SchemathesisConfig

from tests.fuzz.judging import EXPECTED, Finding, Misfit, Tally, load_expected, operations

DOCUMENT = {
    "paths": {
        "/things/{id}": {
            "get": {
                "operationId": "getThing",
                "parameters": [
                    {"name": "id", "in": "path", "schema": {"$ref": "#/components/schemas/Id"}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}},
                ],
                "responses": {"200": {}, "400": {}},
            },
            "patch": {
                "operationId": "updateThing",
                "requestBody": {"content": {"application/json": {"schema": {"type": "object", "required": ["name"]}}}},
                "responses": {"200": {}, "412": {}},
            },
        }
    },
    "components": {"schemas": {"Id": {"type": "string", "pattern": "^thing_[0-9]+$"}}},
}
GET, PATCH = operations(DOCUMENT)


def entry(operation: str = "getThing", status: int = 400, reason: str = "why") -> str:
    return f'[[expected]]\noperations = ["{operation}"]\nstatus = {status}\nreason = "{reason}"\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (entry(operation="getNothing"), "no operation is called 'getNothing'"),
        (entry(status=412), "getThing does not document 412"),
        (entry(reason=" "), "a reason"),
        (entry() + "check = false\n", "nothing else"),
        (entry() + entry(), "twice"),
    ],
)
def test_an_entry_that_does_not_fit_the_document_is_refused(text: str, why: str) -> None:
    with pytest.raises(Misfit, match=why):
        load_expected(text, DOCUMENT)


def test_an_entry_speaks_for_its_operation_and_status_in_answers_to_valid_requests() -> None:
    expected = load_expected(entry(), DOCUMENT)

    assert not expected.is_met(GET.label, 400, positive=False)
    assert not expected.is_met(GET.label, 404, positive=True)
    assert not expected.is_met(PATCH.label, 400, positive=True)
    assert expected.unneeded() == [(GET.label, 400)]
    assert expected.is_met(GET.label, 400, positive=True)
    assert expected.unneeded() == []


def test_an_entry_adds_its_status_to_what_two_checks_of_its_operation_allow() -> None:
    [made] = load_expected(entry("updateThing", 412), DOCUMENT).configuration()
    checks = SchemathesisConfig.from_dict({}).projects.default.checks
    usual = {
        "positive_data_acceptance": checks.positive_data_acceptance.expected_statuses,
        "negative_data_rejection": checks.negative_data_rejection.expected_statuses,
    }

    assert made["include-name"] == "PATCH /things/{id}"
    assert {check: set(setting["expected-statuses"]) for check, setting in made["checks"].items()} == {
        check: {*statuses, "412"} for check, statuses in usual.items()
    }


@pytest.mark.parametrize(
    ("sent", "violations"),
    [
        ({"path": {"id": "thing_1"}, "query": {"limit": "7"}}, []),
        ({"path": {"id": "other_1"}}, ["path id"]),
        ({"path": {"id": None}}, ["path id"]),
        ({"path": {"id": "thing_1"}, "query": {"limit": "0"}}, ["query limit"]),
        ({"path": {"id": "thing_1"}, "query": {"limit": "many"}}, ["query limit"]),
    ],
)
def test_a_request_is_measured_by_the_document(sent: dict[str, dict[str, object]], violations: list[str]) -> None:
    assert GET.violations(DOCUMENT, sent, ...) == violations


def test_a_body_is_measured_by_the_document() -> None:
    assert PATCH.violations(DOCUMENT, {}, {"name": "a"}) == []
    assert PATCH.violations(DOCUMENT, {}, {}) == ["body"]


def test_a_finding_counts_once_for_operation_check_and_status() -> None:
    tally = Tally([GET, PATCH])

    assert tally.add(Finding(GET.label, "not_a_server_error", 500, "first"))
    assert not tally.add(Finding(GET.label, "not_a_server_error", 500, "second"))
    assert tally.add(Finding(GET.label, "not_a_server_error", 503, "third"))


def test_every_entry_of_the_file_fits_the_document_of_the_server() -> None:
    from registry.api.app import create_app

    document = create_app().openapi()

    assert load_expected(EXPECTED.read_text("utf-8"), document).statuses
