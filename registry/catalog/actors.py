"""Who asks: one shape for every door and every kind of identity."""

from dataclasses import dataclass

from registry.errors import NotPermitted
from registry.names import Author, Role


@dataclass(frozen=True)
class Actor:
    """An identity in the workspace that its request selected; rights come from the identity, never from the selection."""

    name: str
    workspace: int
    workspace_name: str
    role: Role
    author: Author = Author.CLIENT
    request_id: str | None = None

    def require(self, role: Role) -> None:
        """Raises NotPermitted below `role`."""
        if self.role < role:
            raise NotPermitted(
                f"{self.name} is {self.role.name.lower()} in workspace {self.workspace_name}, {role.name.lower()} is needed",
                needed=role.name.lower(),
                role=self.role.name.lower(),
            )
