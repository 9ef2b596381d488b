"""Many clients at once on one thing: all succeed, and what they have written is there."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.mlmd.door import Door, fresh, message, node


def test_sixteen_writers_of_one_execution_all_succeed(door: Door) -> None:
    """50 updates each. On MySQL ML Metadata aborts four of five of them."""
    type_id = door.type("execution")
    [id] = door.put("execution", node("execution", type_id))

    def write(writer: int) -> list[str]:
        codes = []
        for number in range(50):
            custom = {"writer": writer, "number": number}
            codes.append(door.refusal("PutExecutions", executions=[node("execution", id=id, type_id=type_id, custom=custom)]))
        return codes

    with ThreadPoolExecutor(16) as pool:
        codes = [code for found in pool.map(write, range(16)) for code in found]

    assert codes == ["OK"] * 800
    assert door.one("execution", id).custom_properties["number"].int_value == 49


def test_first_calls_at_once_share_a_context(door: Door) -> None:
    """All ask to reuse it by name; none has made it yet."""
    context, execution = door.type("context"), door.type("execution")

    def put(name: str) -> tuple[int, ...]:
        asked: dict[str, Any] = {
            "execution": node("execution", execution),
            "contexts": [message("Context", type_id=context, name=name)],
            "options": {"reuse_context_if_already_exist": True},
        }
        return tuple(door.call("PutExecution", **asked).context_ids)

    for name in (fresh("shared") for _ in range(5)):
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(put, [name] * 8))) == 1
