"""grpc-web on the HTTP port: the frames byte by byte, and what the UI of Kubeflow Pipelines asks for."""

import base64
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from registry.api.mlmd.descriptors import service
from registry.settings import Settings
from tests.mlmd.door import Door, fresh, message, node
from tests.mlmd.kubeflow import INPUT, OUTPUT, Run
from tests.mlmd.web_client import BINARY, TEXT, WebClient
from tests.servers import Served, serving

OK_TRAILERS = b"\x80\x00\x00\x00\x0fgrpc-status:0\r\n"
KINDS = ["application/grpc-web", BINARY, TEXT, f"{TEXT}+proto"]


@pytest.fixture(params=KINDS)
def web(request: pytest.FixtureRequest, sqlite_door: Door) -> WebClient:
    return WebClient(sqlite_door.served.url, request.param)


@pytest.fixture
def binary(sqlite_door: Door) -> WebClient:
    return WebClient(sqlite_door.served.url)


def test_an_empty_answer_is_an_empty_message_and_the_trailers(binary: WebClient) -> None:
    answer = binary.send("GetContextTypesByID", b"\x00\x00\x00\x00\x00")

    assert answer.content == b"\x00\x00\x00\x00\x00" + OK_TRAILERS
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/grpc-web+proto")


def test_a_message_is_framed_by_its_length(binary: WebClient) -> None:
    name = fresh("type").encode()
    kind = b"\x12" + bytes([len(name)]) + name  # ArtifactType.name
    put = b"\x0a" + bytes([len(kind)]) + kind  # PutArtifactTypeRequest.artifact_type
    made = binary.send("PutArtifactType", struct.pack(">BI", 0, len(put)) + put).content
    found = binary.send("GetArtifactTypesByID", b"\x00\x00\x00\x00\x02" + made[5:7]).content

    assert (made[:6], made[7:]) == (b"\x00\x00\x00\x00\x02\x08", OK_TRAILERS)  # PutArtifactTypeResponse.type_id
    held = b"\x08" + made[6:7] + kind
    message = b"\x0a" + bytes([len(held)]) + held
    assert found == struct.pack(">BI", 0, len(message)) + message + OK_TRAILERS


def test_the_text_form_is_the_same_in_base64(sqlite_door: Door) -> None:
    answer = WebClient(sqlite_door.served.url, TEXT).send("GetContextTypesByID", b"AAAAAAA=")

    assert answer.content == base64.b64encode(b"\x00\x00\x00\x00\x00" + OK_TRAILERS)
    assert answer.headers["content-type"] == "application/grpc-web-text+proto"


def test_a_text_may_come_in_pieces_with_padding_of_their_own(sqlite_door: Door) -> None:
    asked = message("GetArtifactTypeRequest", type_name="no-such-type").SerializeToString()
    pieces = (b"\x00", struct.pack(">I", len(asked)), asked[:1], asked[1:5], asked[5:])

    answer = WebClient(sqlite_door.served.url, TEXT).send("GetArtifactType", b"".join(map(base64.b64encode, pieces)))

    assert b"grpc-status:5\r\n" in base64.b64decode(answer.content)


def test_a_refusal_is_trailers_alone(binary: WebClient) -> None:
    answer = binary.send("GetArtifactType", b"\x00\x00\x00\x00\x00")

    text = b"grpc-status:5\r\ngrpc-message:type  not found\r\n"
    assert (answer.status_code, answer.content) == (200, b"\x80" + struct.pack(">I", len(text)) + text)


def test_a_text_beyond_ascii_is_percent_encoded(web: WebClient) -> None:
    asked = message("GetArtifactTypeRequest", type_name="größer 100 %\r\n").SerializeToString()

    answer = web.ask("GetArtifactType", asked)

    assert answer.trailers["grpc-message"] == "type gr%C3%B6%C3%9Fer 100 %25%0D%0A not found"
    assert answer.code == 5


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 3),
        (b"\x00\x00\x00\x00", 3),
        (b"\x00\x00\x00\x00\x02\x08", 3),  # shorter than it says
        (b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 3),  # two messages
        (b"\x80\x00\x00\x00\x00", 3),  # trailers
        (b"\x02\x00\x00\x00\x00", 3),
        (b"\x01\x00\x00\x00\x00", 12),  # compressed
        (b"\x00\x00\x00\x00\x01\xff", 3),  # no message
        (b"\x00\xff\xff\xff\xff", 3),
    ],
)
def test_a_body_that_is_not_one_message_is_refused(binary: WebClient, body: bytes, code: int) -> None:
    answer = binary.send("GetArtifacts", body)

    assert answer.status_code == 200
    assert answer.content[:1] == b"\x80"
    assert answer.content[5:].startswith(f"grpc-status:{code}\r\n".encode())


@pytest.mark.parametrize("body", [b"%%%%", b"A", "ä".encode(), b"===="])
def test_a_text_that_is_no_base64_is_refused(sqlite_door: Door, body: bytes) -> None:
    answer = WebClient(sqlite_door.served.url, TEXT).send("GetArtifacts", body)

    assert base64.b64decode(answer.content)[5:].startswith(b"grpc-status:3\r\n")


def test_a_method_that_is_none_is_unimplemented(web: WebClient) -> None:
    assert web.ask("DropEverything", b"").code == 12


@pytest.mark.parametrize("kind", ["application/json", "application/grpc", "application/grpc-web+json", ""])
def test_other_kinds_of_content_are_refused(sqlite_door: Door, kind: str) -> None:
    answer = WebClient(sqlite_door.served.url).send("GetArtifacts", b"\x00\x00\x00\x00\x00", {"content-type": kind})

    assert answer.status_code == 415


def test_only_post_is_taken(binary: WebClient) -> None:
    answer = httpx.get(f"{binary.url}/GetArtifacts", timeout=60)

    assert (answer.status_code, "POST" in answer.headers["allow"]) == (405, True)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Takes bodies of 1,000 bytes, under a prefix too, and needs a token."""
    settings = Settings(data_dir=str(tmp_path_factory.mktemp("data")), max_body_bytes=1000, mlmd_prefix="/meta/data")
    with serving(settings) as served:
        yield served


@pytest.mark.parametrize("prefix", ["", "/meta/data"])
def test_the_door_is_at_the_root_and_under_the_prefix(narrow: Served, prefix: str) -> None:
    assert WebClient(narrow.url, prefix=prefix).ask("GetArtifacts", b"").code == 0


def test_a_body_over_the_limit_is_a_status_and_not_a_problem(narrow: Served) -> None:
    answer = WebClient(narrow.url).ask("GetArtifacts", b"x" * 2000)

    assert (answer.code, answer.text) == (8, "the body is over 1000 bytes")


def test_credentials_and_workspace_are_headers(narrow: Served) -> None:
    web = WebClient(narrow.url)
    narrow.services.login = True
    try:
        assert web.ask("GetArtifacts", b"").code == 16
        assert web.ask("GetArtifacts", b"", {"authorization": "Bearer nothing"}).code == 16
    finally:
        narrow.services.login = False
    assert web.ask("GetArtifacts", b"", {"x-lineal-workspace": "nowhere"}).code == 5


@pytest.fixture(scope="module")
def run(sqlite_door: Door) -> Run:
    made = Run(sqlite_door, str(uuid.uuid4()))
    made.whole()
    return made


@pytest.mark.parametrize(("method", "size"), [("GetArtifacts", 2), ("GetExecutions", 3), ("GetExecutions", 100)])
def test_the_list_pages_of_the_ui_have_every_node_once(web: WebClient, run: Run, method: str, size: int) -> None:
    found = [one.id for one in listed(web, method, size)]
    grouped = getattr(web.call(method), method.removeprefix("Get").lower())

    assert len(set(found)) == len(found)
    assert sorted(found) == [one.id for one in grouped]
    assert {run.ids["model"], run.ids["metrics"]} <= set(found) or {run.ids["train"], run.ids["root"]} <= set(found)


def test_the_ui_names_the_types_of_its_lists(web: WebClient, run: Run) -> None:
    artifacts = {one.name: one.id for one in web.call("GetArtifactTypes").artifact_types}
    executions = {one.name: one.id for one in web.call("GetExecutionTypes").execution_types}

    assert artifacts["system.Model"] == run.types["system.Model"]
    assert executions["system.DAGExecution"] == run.types["system.DAGExecution"]
    by_id = web.call("GetArtifactTypesByID", type_ids=[artifacts["system.Metrics"]]).artifact_types
    assert [one.name for one in by_id] == ["system.Metrics"]
    assert web.call("GetExecutionTypesByID", type_ids=[executions["system.DAGExecution"]]).execution_types
    assert web.call("GetContextType", type_name="system.PipelineRun").context_type.id == run.types["system.PipelineRun"]


def test_the_page_of_a_run_of_the_ui(web: WebClient, run: Run) -> None:
    """The run's context by its name, its executions, their events, the artifacts of these."""
    context = web.call("GetContextByTypeAndName", type_name="system.PipelineRun", context_name=run.uid).context
    executions = web.call("GetExecutionsByContext", context_id=context.id).executions
    events = web.call("GetEventsByExecutionIDs", execution_ids=[one.id for one in executions]).events
    artifacts = web.call("GetArtifactsByContext", context_id=context.id).artifacts

    assert context.id == run.ids["run"]
    assert {run.ids["prepare"], run.ids["train"], run.ids["root"]} <= {one.id for one in executions}
    assert {one.custom_properties["display_name"].string_value for one in executions} >= {"Prepare", "Train"}
    assert {one.artifact_id for one in events} == {one.id for one in artifacts}
    of_execution = web.call("GetContextsByExecution", execution_id=run.ids["train"]).contexts
    assert [one.id for one in of_execution] == sorted([run.ids["pipeline"], run.ids["run"]])


def test_the_lineage_explorer_walks_events_from_a_model_back_to_its_data(web: WebClient, run: Run) -> None:
    [made] = web.call("GetEventsByArtifactIDs", artifact_ids=[run.ids["model"]]).events
    used = [one for one in web.call("GetEventsByExecutionIDs", execution_ids=[made.execution_id]).events if one.type == INPUT]
    [source] = web.call("GetArtifactsByID", artifact_ids=[one.artifact_id for one in used]).artifacts
    [maker] = [one for one in web.call("GetEventsByArtifactIDs", artifact_ids=[source.id]).events if one.type == OUTPUT]
    [execution] = web.call("GetExecutionsByID", execution_ids=[maker.execution_id]).executions

    assert (made.path.steps[0].key, made.execution_id) == ("model", run.ids["train"])
    assert (source.id, execution.id) == (run.ids["data"], run.ids["prepare"])


def test_an_answer_is_that_of_the_grpc_port(web: WebClient, run: Run) -> None:
    asked = message("GetExecutionsByContextRequest", context_id=run.ids["run"])

    answer = web.ask("GetExecutionsByContext", asked.SerializeToString())

    assert service().methods["GetExecutionsByContext"].response.FromString(answer.message or b"") == run.door.send(
        "GetExecutionsByContext", asked
    )


def test_the_server_of_the_ui_asks_whose_an_artifact_is(web: WebClient, run: Run) -> None:
    """By its URI, then by the contexts that it is in; a missing one is a status that the list pages take for empty."""
    [found] = web.call("GetArtifactsByURI", uris=[f"minio://b/{run.uid}/model"]).artifacts
    contexts = web.call("GetContextsByArtifact", artifact_id=found.id).contexts

    assert "team" in {one.custom_properties["namespace"].string_value for one in contexts}
    nothing = message("GetContextsByArtifactRequest", artifact_id=987_654).SerializeToString()
    assert web.ask("GetContextsByArtifact", nothing).code == 5


def test_a_node_that_the_ui_could_not_write_is_refused_by_status(web: WebClient) -> None:
    put = message("PutArtifactsRequest", artifacts=[node("artifact", 987_654)]).SerializeToString()

    assert web.ask("PutArtifacts", put).code == 5


def listed(web: WebClient, method: str, size: int) -> list[Any]:
    """All pages, newest first."""
    found: list[Any] = []
    token = ""
    while True:
        options = {
            "max_result_size": size,
            "order_by_field": {"field": 1, "is_asc": False},
            **({"next_page_token": token} if token else {}),
        }
        answer = web.call(method, options=options)
        found += getattr(answer, method.removeprefix("Get").lower())
        token = answer.next_page_token
        if not token:
            return found
