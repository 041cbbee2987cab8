"""A service of uvicorn that calls by httpx: asgi.py PORT"""

import sys

import httpx
import uvicorn

import tasks
import work

CLIENT = httpx.AsyncClient(limits=httpx.Limits(max_connections=None), trust_env=False)


async def ask(request, number):
    url = f"http://{work.LEAF}{request.path(number)}"
    response = await CLIENT.get(url, headers=request.headers())
    assert response.status_code == 200, response.status_code


async def app(scope, receive, send):
    assert scope["type"] == "http", scope
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    request = work.Request(scope["path"], headers.get("pass-on"), headers.get("traceparent"))
    await tasks.do(request, ask)
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
    await send(start)
    await send({"type": "http.response.body", "body": b"done\n"})
    request.note("after")


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), lifespan="off", log_level="warning")
