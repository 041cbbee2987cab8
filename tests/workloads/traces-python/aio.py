"""A service of aiohttp, at both ends: aio.py PORT"""

import sys

from aiohttp import ClientSession, TCPConnector, web

import tasks
import work


async def handle(incoming):
    headers = incoming.headers
    request = work.Request(incoming.path, headers.get("pass-on"), headers.get("traceparent"))

    async def ask(request, number):
        url = f"http://{work.LEAF}{request.path(number)}"
        async with incoming.app["session"].get(url, headers=request.headers()) as response:
            assert response.status == 200, response.status
            await response.read()

    await tasks.do(request, ask)
    response = web.Response(text="done\n")
    if work.LINES:
        await response.prepare(incoming)
        await response.write_eof()
        request.note("after")
    return response


async def session(app):
    app["session"] = ClientSession(connector=TCPConnector(limit=0))
    yield
    await app["session"].close()


app = web.Application()
app.cleanup_ctx.append(session)
app.router.add_get("/work/{pattern}/{marker}", handle)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
