from tests.servers import docs_server

__all__ = ["docs_server"]
