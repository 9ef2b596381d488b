import subprocess
import sys


def test_the_server_starts_without_graphene() -> None:
    """It takes a third of a second to import; the first request to /graphql brings it."""
    code = "import sys, registry.api.app; print([name for name in sys.modules if name.split('.')[0] in ('graphene', 'graphql')])"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    assert told.stdout.strip() == "[]"
