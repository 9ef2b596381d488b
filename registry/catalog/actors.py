"""Who asks: one shape for every door and every kind of identity."""

from dataclasses import dataclass, replace
from enum import Enum, auto

import sqlalchemy as sa

from registry.errors import NotPermitted
from registry.names import Author, Role

INSTALL = 0
"""The workspace of what a whole installation shares, and the scope of its names: ML Metadata's platform mode."""


class Reach(Enum):
    """What an identity sees: its workspace, that and what the installation shares, or everything there is."""

    WORKSPACE = auto()
    SHARED = auto()
    INSTALL = auto()


@dataclass(frozen=True)
class Actor:
    """An identity in the workspace that its request selected; rights come from the identity, never from the selection."""

    name: str
    workspace: int
    workspace_name: str
    role: Role
    author: Author = Author.CLIENT
    request_id: str | None = None
    reach: Reach = Reach.WORKSPACE

    @property
    def scope(self) -> int:
        """Where the names that it gives are unique."""
        return self.workspace if self.reach is Reach.WORKSPACE else INSTALL

    def sees(self, workspace: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
        """The filter of every query: on the column that says whose a row is."""
        if self.reach is Reach.INSTALL:
            return sa.true()
        return workspace == self.workspace if self.reach is Reach.WORKSPACE else workspace.in_([INSTALL, self.workspace])

    def at(self, workspace: int) -> "Actor":
        """The same, for what is done in that workspace alone."""
        return replace(self, workspace=workspace, reach=Reach.WORKSPACE)

    def require(self, role: Role) -> None:
        """Raises NotPermitted below `role`."""
        if self.role < role:
            raise NotPermitted(
                f"{self.name} is {self.role.name.lower()} in workspace {self.workspace_name}, {role.name.lower()} is needed",
                needed=role.name.lower(),
                role=self.role.name.lower(),
            )
