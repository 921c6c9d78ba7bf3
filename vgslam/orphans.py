"""No process is left behind by one that was killed."""

import os
from multiprocessing import parent_process
from threading import Thread


def end_with_parent() -> None:
    """For a worker of a process pool, as its `initializer`: it ends when the process that started it does, whatever
    ended that. A pool tells its workers only if it can, and one that was killed cannot."""
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, name="vgslam-end-with-parent", daemon=True).start()
