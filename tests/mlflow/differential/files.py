"""Probes of files: through the proxy, and by their names in runs."""

from tests.mlflow.differential.asking import BASE, Asker

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
ESCAPES = ["..%2Fsecret", "%2e%2e/secret", "a/%2e%2e/%2e%2e/secret", "%252e%252e/secret", "%2Fetc/passwd", "a%00b"]


def files(ask: Asker) -> None:
    experiment = ask.experiment("files")
    run = ask.run("with files", experiment)
    root = f"{PROXY}/{experiment}/{run}/artifacts"
    for name, content in (
        ("a.txt", b"hello"),
        ("folder/b.json", b"{}"),
        ("folder/deep/c.bin", bytes(300)),
        ("empty", b""),
        ("sp ace/ü.txt", b"x"),
    ):
        ask.raw(f"put {name}", "PUT", f"{root}/{name}", content=content)
    ask.raw("put again", "PUT", f"{root}/a.txt", content=b"hello again")
    for name in ("a.txt", "folder/b.json", "folder/deep/c.bin", "empty", "sp ace/ü.txt", "nothing", "folder"):
        ask.raw(f"get {name}", "GET", f"{root}/{name}")
    ask.raw("get a range", "GET", f"{root}/a.txt", headers={"Range": "bytes=1-3"})
    for path in ("", "folder", "folder/deep", "a.txt", "nothing"):
        listed = f"{experiment}/{run}/artifacts/{path}".rstrip("/")
        ask.raw(f"list {path!r}", "GET", PROXY, params={"path": listed})
    for path in ("", "folder", "folder/deep", "a.txt", "nothing", "../x", "/etc"):
        fields = {"path": path} if path else {}
        ask.call(f"list {path!r} of the run", "GET", "artifacts/list", run_id=run, **fields)
    ask.call("list of nobody", "GET", "artifacts/list", run_id="0" * 32)
    ask.call("list of no run", "GET", "artifacts/list")
    for escape in ESCAPES:
        ask.raw(f"get {escape}", "GET", f"{PROXY}/{escape}")
        ask.raw(f"put {escape}", "PUT", f"{PROXY}/{escape}", content=b"x")
        ask.raw(f"list {escape}", "GET", f"{PROXY}?path={escape}")
    ask.raw("get-artifact", "GET", "/get-artifact", params={"run_id": run, "path": "a.txt"})
    ask.raw("get-artifact of nothing", "GET", "/get-artifact", params={"run_id": run, "path": "nothing"})
    ask.raw("get-artifact that climbs", "GET", "/get-artifact", params={"run_id": run, "path": "../x"})
    upload = "/ajax-api/2.0/mlflow/upload-artifact"
    ask.raw("upload-artifact", "POST", f"{upload}?run_uuid={run}&path=up/n.txt", content=b"note")
    ask.raw("uploaded", "GET", "/get-artifact", params={"run_id": run, "path": "up/n.txt"})
    ask.raw("upload-artifact without run", "POST", f"{upload}?path=n.txt", content=b"note")
    ask.raw("upload-artifact without path", "POST", f"{upload}?run_uuid={run}", content=b"note")
    ask.raw("upload-artifact too large", "POST", f"{upload}?run_uuid={run}&path=l", content=bytes(10 * 1024 * 1024 + 1))
    ask.raw("delete a file", "DELETE", f"{root}/a.txt")
    ask.raw("delete a folder", "DELETE", f"{root}/folder")
    ask.call("list after deletes", "GET", "artifacts/list", run_id=run)
    ask.raw("multipart", "POST", f"/api/2.0/mlflow-artifacts/mpu/create/{experiment}/x", json={"path": "b", "num_parts": 1})
    ask.raw("presigned download", "GET", f"/api/2.0/mlflow-artifacts/presigned/{experiment}/x")
    for kind in ("upload", "download"):
        ask.raw(f"presigned {kind} of a run", "POST", f"{BASE}/artifacts/presigned-{kind}-url", json={"run_id": run, "path": "x"})
