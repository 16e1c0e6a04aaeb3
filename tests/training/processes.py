"""Several processes that train together, forked from this one so that they need not import anything anew."""

import os
import socket
from collections.abc import Callable, Sequence

Work = Callable[[], object]


def together(*works: Work) -> list[int]:
    """Let as many processes work together, each with its own number; return their exit codes.

    A process that ends with an error has 1; its traceback goes to stderr.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    children = [_child(work, rank, len(works), port) for rank, work in enumerate(works)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def alike(work: Work, count: int = 2) -> Sequence[Work]:
    """Give the same work to each."""
    return [work] * count


def _child(work: Work, rank: int, world: int, port: str) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        os.environ |= {name: str(number) for name, number in names.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        work()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)
