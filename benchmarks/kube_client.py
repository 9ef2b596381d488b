"""`python kube_client.py KUBECONFIG NAMESPACE`: the official client lists and watches the Workflows, and does nothing.

Run by the benchmark in the peer's environment. A line when the list is read, one each second with the number of events so far.
"""

import sys
import threading
import time

from kubernetes import client, config, watch  # type: ignore[import-not-found]

PAGE = 100


def main(kubeconfig: str, namespace: str) -> None:
    config.load_kube_config(kubeconfig)
    api = client.CustomObjectsApi()
    where = ("argoproj.io", "v1alpha1", namespace, "workflows")
    began, seen, version, token = time.monotonic(), 0, "", None
    while True:
        page = api.list_namespaced_custom_object(*where, limit=PAGE, _continue=token)
        seen += len(page["items"])
        version, token = version or page["metadata"]["resourceVersion"], page["metadata"].get("continue")
        if not token:
            break
    print(f"listed {seen} {time.monotonic() - began:.2f}", flush=True)
    events = [0]
    threading.Thread(target=tell, args=(events,), daemon=True).start()
    for _ in watch.Watch().stream(api.list_namespaced_custom_object, *where, resource_version=version):
        events[0] += 1


def tell(events: list[int]) -> None:
    while True:
        print(f"events {events[0]}", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
