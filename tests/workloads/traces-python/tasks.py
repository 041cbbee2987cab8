"""What asyncio's services have in common: the work, with `ask(request, number)` as the call."""

import asyncio

import work

BACKGROUND = set()


async def do(request, ask):
    if request.pattern == "one":
        await ask(request, 1)
    elif request.pattern == "seq":
        await ask(request, 1)
        await ask(request, 2)
    elif request.pattern == "par":
        await asyncio.gather(ask(request, 1), ask(request, 2))
    elif request.pattern == "late":
        await asyncio.sleep(work.LATE)
        await ask(request, 1)
    elif request.pattern == "pool":
        await asyncio.get_running_loop().run_in_executor(None, work.some_file)
        await ask(request, 1)
    else:
        assert request.pattern == "after", request.pattern
        task = asyncio.create_task(after(request, ask))
        BACKGROUND.add(task)
        task.add_done_callback(BACKGROUND.discard)


async def after(request, ask):
    """The answer is out some time after the handler has returned."""
    await asyncio.sleep(work.LATE)
    await ask(request, 1)
