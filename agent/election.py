"""One of several agents at work, by a Lease. Two at once are harmless (reports are idempotent) but do the work twice."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import httpx

from agent.cluster.api import ApiError
from agent.cluster.credentials import AccessError
from agent.cluster.writing import Lease
from agent.report import Json
from agent.values import as_map

log = logging.getLogger("lineal.agent.election")

_FAILURES = (ApiError, httpx.TransportError, AccessError, ValueError)


async def lead(lease: Lease, work: Callable[[], Awaitable[None]]) -> None:
    """Does the work while it holds the Lease, and waits for it when it does not, until it is cancelled; then gives it up.

    Whether another one's Lease has run out is judged by our own clock, from when we saw it change.
    """
    while True:
        await _acquire(lease)
        log.info("leading", extra={"data": {"holder": lease.holder}})
        task = asyncio.ensure_future(work())
        try:
            await _keep(lease, task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.shield(_give_up(lease))
        log.warning("another agent leads, or the API server does not answer", extra={"data": {"holder": lease.holder}})


async def _acquire(lease: Lease) -> None:
    seen, changed_at = "", 0.0
    while True:
        try:
            held = await lease.read()
            version = str(as_map((held or {}).get("metadata")).get("resourceVersion"))
            if version != seen:
                seen, changed_at = version, time.monotonic()
            if _is_free(held, lease, changed_at) and await lease.write(held):
                return
        except _FAILURES as error:
            log.info("the lease cannot be had", extra={"data": {"error": f"{type(error).__name__}: {error}"}})
        await asyncio.sleep(lease.duration_s / 4)


def _is_free(held: Json | None, lease: Lease, changed_at: float) -> bool:
    spec = as_map((held or {}).get("spec"))
    duration = spec.get("leaseDurationSeconds")
    ended = time.monotonic() - changed_at > (duration if isinstance(duration, int) else lease.duration_s)
    return spec.get("holderIdentity") in {None, "", lease.holder} or ended


async def _keep(lease: Lease, work: asyncio.Future[None]) -> None:
    """Returns when the Lease is lost, or could not be renewed for two thirds of its time. Raises what the work raises."""
    renewed_at = time.monotonic()
    while time.monotonic() - renewed_at < lease.duration_s * 2 / 3:
        done, _ = await asyncio.wait([work], timeout=lease.duration_s / 5)
        if done:
            work.result()
        try:
            held = await lease.read()
            if as_map((held or {}).get("spec")).get("holderIdentity") != lease.holder:
                return
            if await lease.write(held):
                renewed_at = time.monotonic()
        except _FAILURES as error:
            log.info("the lease cannot be renewed", extra={"data": {"error": f"{type(error).__name__}: {error}"}})


async def _give_up(lease: Lease) -> None:
    """So that the next one need not wait. Nothing is lost if it fails."""
    try:
        held = await lease.read()
        if held is not None and as_map(held.get("spec")).get("holderIdentity") == lease.holder:
            await lease.write(held, holder="")
    except _FAILURES:
        return
