"""`lineal lineage`: what a record comes from and what it went into, as a tree."""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator

from lineal.cli.printing import AddCommand, Json, plain, print_json
from lineal.client import Client

Way = str
Next = dict[str, list[str]]


def add_commands(command: AddCommand) -> None:
    made = command("lineage", lineage, "Show what a record comes from and what it went into.")
    made.add_argument("id", metavar="ID", help="run_…, art_…, mv_…, step_…, dep_…, models:/NAME/NUMBER, models:/NAME@ALIAS")
    way = made.add_mutually_exclusive_group()
    way.add_argument("--upstream", action="store_const", dest="way", const="upstream", help="only what it comes from")
    way.add_argument("--downstream", action="store_const", dest="way", const="downstream", help="only what it went into")
    made.add_argument("--depth", type=_depth, default=10, metavar="N", help="edges from it, 0 to 50 (default: 10)")
    made.set_defaults(way="both")


def _depth(text: str) -> int:
    if not 0 <= int(text) <= 50:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 50")
    return int(text)


def lineage(client: Client, arguments: argparse.Namespace) -> None:
    root = arguments.id
    if root.startswith("models:/"):
        root = client.get_record(root)["id"]
    elif re.fullmatch("[0-9a-f]{32}", root):
        root = f"run_{root}"
    graph = client.lineage(root, direction=arguments.way, depth=arguments.depth, max_nodes=5000)
    if arguments.json:
        print_json(graph)
        return
    nodes = {node["id"]: node for node in graph["nodes"]}
    print(_text(nodes[graph["root"]]))
    for way in ("upstream", "downstream"):
        if arguments.way in {"both", way}:
            _print_way(graph, nodes, way)
    if graph["cut"]:
        print(f"lineal: not everything is shown: {', '.join(graph['cut'])}", file=sys.stderr)


def _print_way(graph: Json, nodes: dict[str, Json], way: Way) -> None:
    print("comes from" if way == "upstream" else "went into")
    hidden = {stub["node"]: stub["hidden"] for stub in graph["frontier"] if stub["way"] == way}
    follow: Next = defaultdict(list)
    for edge in graph["edges"]:
        here, there = (edge["target"], edge["source"]) if way == "upstream" else (edge["source"], edge["target"])
        if there not in follow[here]:
            follow[here].append(there)
    empty = True
    for line in _branches(graph["root"], nodes, follow, hidden):
        print(line)
        empty = False
    if empty:
        print("└─ nothing")


def _branches(root: str, nodes: dict[str, Json], follow: Next, hidden: dict[str, int | None]) -> Iterator[str]:
    """Depth first, with a stack of its own: a chain may be longer than Python's. What was shown before is not opened again."""
    shown = {root}
    stack = [("", iter(_below(root, nodes, follow, hidden)))]
    while stack:
        indent, rest = stack[-1]
        entry = next(rest, None)
        if entry is None:
            stack.pop()
            continue
        id, text, last = entry
        again = id in shown
        yield f"{indent}{'└─' if last else '├─'} {text}{' (see above)' if again and id is not None else ''}"
        if id is not None and not again:
            shown.add(id)
            stack.append((indent + ("   " if last else "│  "), iter(_below(id, nodes, follow, hidden))))


def _below(id: str, nodes: dict[str, Json], follow: Next, hidden: dict[str, int | None]) -> list[tuple[str | None, str, bool]]:
    """(node, text, whether it is the last) of what hangs on a node; None for what was left out."""
    found: list[tuple[str | None, str]] = [(next, _text(nodes[next])) for next in follow[id] if next in nodes]
    if id in hidden:
        found.append((None, "…" if hidden[id] is None else f"… {hidden[id]} more"))
    return [(node, text, place == len(found) - 1) for place, (node, text) in enumerate(found)]


def _text(node: Json) -> str:
    status = f" ({node['status'].lower()})" if node["status"] else ""
    return f"{node['kind'].replace('_', ' ')} {plain(node['name'])}{status}  {node['id']}"
