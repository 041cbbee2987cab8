"""What asyncio's services have in common: the work, with `ask(request, number)` as the call."""

import asyncio

import work

BACKGROUND = set()


async def do(request, ask):
    request.note("begin")
    if request.pattern == "one":
        await noted(request, ask, 1)
    elif request.pattern == "seq":
        await noted(request, ask, 1)
        await noted(request, ask, 2)
    elif request.pattern == "par":
        await asyncio.gather(branch(request, ask, 1), branch(request, ask, 2))
        request.note("joined")
    elif request.pattern == "late":
        await asyncio.sleep(work.LATE)
        request.note("slept")
        await noted(request, ask, 1)
    elif request.pattern == "pool":
        await asyncio.get_running_loop().run_in_executor(None, in_pool, request)
        request.note("joined")
        await noted(request, ask, 1)
    else:
        assert request.pattern == "after", request.pattern
        task = asyncio.create_task(after(request, ask))
        BACKGROUND.add(task)
        task.add_done_callback(BACKGROUND.discard)
    request.note("end")


async def noted(request, ask, number, place="called"):
    await ask(request, number)
    request.note(place)


async def branch(request, ask, number):
    """A task of its own."""
    request.note("started")
    await noted(request, ask, number, "started")


def in_pool(request):
    work.some_file()
    request.note("pooled")


async def after(request, ask):
    """The answer is out some time after the handler has returned."""
    await asyncio.sleep(work.LATE)
    request.note("later")
    await noted(request, ask, 1, "later")
