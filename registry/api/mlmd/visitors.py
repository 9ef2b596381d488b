"""Who calls the door: a token's identity, or the anonymous one that the door was opened to, or on loopback an administrator.

In platform mode the door is one metadata service for an installation of Kubeflow Pipelines: names are unique in all of it.
"""

from collections.abc import Mapping
from dataclasses import replace

from registry.api.services import Services, identified_here
from registry.catalog.actors import Actor, Reach
from registry.errors import NotFound
from registry.names import Role
from registry.settings import ANONYMOUS, EVERYWHERE


def actor_of(services: Services, metadata: Mapping[str, str], *, request_id: str) -> Actor:
    """Waits where something has to be read. Raises as `identified`."""
    settings = services.settings
    authorization, wanted = metadata.get("authorization", ""), metadata.get("x-lineal-workspace")
    anonymous = ANONYMOUS.fullmatch(settings.anonymous_mlmd)
    if anonymous is None or authorization.partition(" ")[0]:
        actor = identified_here(services, authorization, wanted, request_id=request_id)
        whole = not authorization  # on loopback
    else:
        role, own = anonymous.groups()
        whole = own == EVERYWHERE
        if not whole and wanted not in {None, own}:
            raise NotFound("workspace", wanted)
        name = (wanted or "default") if whole else own
        actor = Actor("anonymous", services.workspace_here(name), name, Role[role.upper()], request_id=request_id)
    if not settings.mlmd_platform:
        return actor
    return replace(actor, reach=Reach.INSTALL if whole else Reach.SHARED)
