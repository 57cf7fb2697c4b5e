"""Executor: independent jobs, one after another or in local processes; results are the same."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from limbeck.errors import Interrupted, LimbeckError
from limbeck.run.interrupt import deferred

if TYPE_CHECKING:
    from limbeck.run.run import Run

T = TypeVar("T")


class Executor:
    """Runs jobs that do not depend on each other.

    Args:
        run: gives the progress display and the threads a job uses.
        processes: how many at once; None takes as many as the cores allow.
    """

    def __init__(self, run: Run, processes: int | None = None) -> None:
        self._run, self._processes = run, processes

    def map(
        self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], label: str = "jobs"
    ) -> list[T]:
        """Call a function on every job and return the results in order.

        Args:
            function: a module-level function; it gets the items of a job as arguments. Nothing
                is passed through global state, so a job gives the same result wherever it runs.
            jobs: tuples of arguments.
            label: what to call the jobs in the progress display.

        Returns:
            One result a job.
        """
        wanted = self._processes or (os.cpu_count() or 1) // self._run.options.threads
        processes = max(1, min(len(jobs), wanted))
        results: list[T] = []
        with self._run.progress(label, len(jobs)) as shown:
            if processes == 1:
                with _threads(self._run.options.threads):
                    for job in jobs:
                        results.append(function(*job))
                        shown.advance()
                return results
            from joblib import Parallel, delayed, parallel_config

            with parallel_config("loky", inner_max_num_threads=self._run.options.threads):
                parallel = Parallel(n_jobs=processes, return_as="generator")
            with deferred(_tell_workers) as stop:
                said: list[T | LimbeckError] = []
                try:
                    for result in parallel(delayed(_guarded)(function, job) for job in jobs):
                        said.append(result)
                        shown.advance()
                        if stop.asked:
                            break
                except Exception as error:
                    # A worker that was still starting dies of the key press that others note.
                    if not stop.asked:
                        raise
                    raise Interrupted("stopped while jobs were starting") from error
            errors = [one for one in said if isinstance(one, LimbeckError)]
            if errors:
                raise errors[0]
            if stop.asked and len(said) < len(jobs):
                raise Interrupted(f"stopped after {len(said)} of {len(jobs)} jobs")
            return [one for one in said if not isinstance(one, LimbeckError)]


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with that many threads, as a process of its own would."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _guarded(function: Callable[..., T], job: tuple[Any, ...]) -> T | LimbeckError:
    """Call a job; what limbeck raises comes back as a value, so that other jobs end in peace."""
    try:
        return function(*job)
    except LimbeckError as error:
        return error


def _tell_workers() -> None:
    """Pass a Ctrl-C on to the workers: they save their state and come back."""
    from joblib.externals.loky import get_reusable_executor

    # With other arguments than those of the jobs it would wait for them and start anew.
    for process in list(get_reusable_executor(reuse=True)._processes.values()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
