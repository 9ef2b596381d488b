from tests.servers import http, server

__all__ = ["http", "server"]
