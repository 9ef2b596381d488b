"""Run by a Python that has mlflow: a notebook's cells, one after the other, as they stand but for the address of the server.

It prints what the last line of each cell was, as JSON.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any

WRITTEN = "http://127.0.0.1:8080"

url, file = sys.argv[1:]
cells = json.loads(Path(file).read_text("utf-8"))["cells"]
sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
if sum(source.count(WRITTEN) for source in sources) != 1:
    raise SystemExit(f"{file} has to name {WRITTEN} once")
names: dict[str, Any] = {"__name__": "__main__"}
shown: list[str] = []
for number, source in enumerate(sources, 1):
    tree = ast.parse(source.replace(WRITTEN, url))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number}", "exec"), names)
    if isinstance(last, ast.Expr):
        shown.append(str(eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)))
print(json.dumps(shown))
