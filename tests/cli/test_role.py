from __future__ import annotations

from aiohttp import web

from jmap_proxy.cli.listeners import Way
from jmap_proxy.cli.role import Role
from jmap_proxy.config import Config, Limits
from jmap_proxy.proxy.listener.listener import Listener


async def answer(_request: web.BaseRequest) -> web.StreamResponse:
    """Answer nothing."""
    return web.Response()


async def test_the_only_process_does_it_all() -> None:
    """It answers for itself, tells what it knows, and has nobody to agree with."""
    role = Role()
    assert role.is_first
    assert role.is_well
    assert role.admin(answer) is answer
    assert role.reports(dict) is dict
    assert role.streams(dict) is dict
    assert type(role.listener(Way("http", "listen.http", "", answer, 0), Limits())) is Listener
    await role.agree(Config(), {})
    await role.close()
