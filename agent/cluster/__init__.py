"""The Kubernetes API over httpx: who we are (access.py), reading (api.py), the few writes that a flag asks for (writing.py)."""
