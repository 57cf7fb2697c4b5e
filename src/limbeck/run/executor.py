"""Executor: independent jobs, in turn, in local processes or on a Ray cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from limbeck.errors import Interrupted, LimbeckError, RunError, warnings_in_words
from limbeck.run.choices import check_choices
from limbeck.run.interrupt import deferred
from limbeck.run.processes import die_with_parent, world
from limbeck.run.processor import computing, give_freed_memory_back

if TYPE_CHECKING:
    from limbeck.run.progress import Progress
    from limbeck.run.run import Run

T = TypeVar("T")
TRIES, JOBS = 2, "jobs"
# Whether this process computes a job of another executor: its cores are shared out already.
_in_job = False


class Executor:
    """Runs jobs that do not depend on each other.

    Every job computes with the run's thread count, so results are the same wherever it runs. Jobs
    that were not done when a worker died are tried once more, and when one dies again one by one,
    so that a job that takes its worker with it fails alone. A Ctrl-C lets local jobs save their
    state and come back; jobs on Ray do not hear of it and are waited for.

    Args:
        run: gives the progress display, the threads a job uses, and where jobs run: ``"local"``,
            ``"serial"``, ``"ray"`` or ``"ray://HOST:PORT"``.
        processes: how many at once; None takes as many as the cores allow.

    Raises:
        ArgumentError: no such place to run jobs in.
    """

    def __init__(self, run: Run, processes: int | None = None) -> None:
        self._run, self._processes = run, processes
        self._where = run.options.executor
        check_choices({"executor": self._where})

    def at_once(self, jobs: int) -> int:
        """How many of some jobs run at the same time; one where a job itself asks for jobs."""
        if _in_job:
            return 1
        wanted = self._processes or (os.cpu_count() or 1) // self._run.options.threads
        # Processes that compute one job together take the jobs one after another.
        return max(1, min(jobs, wanted)) if world() == 1 and self._where != "serial" else 1

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

        Raises:
            RunError: a job's worker died each time, or the Ray cluster does not answer.
            Interrupted: the user asked to stop.
        """
        results: list[T] = []
        for one in self.attempt(function, jobs, label):
            if isinstance(one, LimbeckError):
                raise one
            results.append(one)
        return results

    def attempt(
        self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], label: str = "jobs"
    ) -> list[T | LimbeckError]:
        """Call a function as `map` does, and give back the errors of single jobs as their results.

        Jobs that run in this process raise them: there the first one ends all.

        Args:
            function: a module-level function.
            jobs: tuples of arguments.
            label: what to call the jobs in the progress display.

        Returns:
            A result or an error a job; that of a job whose worker died each time is a `RunError`.

        Raises:
            RunError: the Ray cluster does not answer.
            Interrupted: the user asked to stop.
        """
        with self._run.progress(label, len(jobs)) as shown:
            alone = self.at_once(len(jobs)) == 1
            if alone and (_in_job or not self._where.startswith("ray")):
                return self._in_turn(function, jobs, shown)
            said: list[T | LimbeckError] = []
            with deferred(self._pass_on) as stop:
                for _ in range(TRIES):
                    if self._survived(function, jobs, said, shown, stop) is None:
                        break
                while len(said) < len(jobs) and not stop.asked:
                    died = self._survived(function, jobs[: len(said) + 1], said, shown, stop)
                    if died is not None:
                        said.append(_died(died))
                        shown.advance()
            stopped = [one for one in said if isinstance(one, Interrupted)]
            if stopped:
                raise stopped[0]
            if len(said) < len(jobs):
                raise Interrupted(f"stopped after {len(said)} of {len(jobs)} jobs")
            return said

    def part(self, name: str) -> Run:
        """The run folder of a job, ``jobs/NAME`` below that of the run."""
        from limbeck.run.run import Run

        own = self._run
        options = replace(own.options, quiet=True, trackers=())
        shared = own.shared and own.shared / JOBS / name
        return Run(own.dir / JOBS / name, seed=own.seed, options=options, shared=shared)

    def runs(
        self,
        function: Callable[..., T],
        names: Sequence[str],
        jobs: Sequence[tuple[Any, ...]],
        label: str = "jobs",
    ) -> list[T]:
        """Call a function as `map` does, on a run folder of the job's own and its items.

        Args:
            function: a module-level function; what it saves in its run lets it go on after a stop.
            names: of the folders, one a job.
            jobs: tuples of further arguments.
            label: what to call the jobs in the progress display.

        Returns:
            One result a job.
        """
        parts = [self.part(name) for name in names]
        return self.map(
            function, [(part, *job) for part, job in zip(parts, jobs, strict=True)], label
        )

    def _in_turn(
        self, function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], shown: Progress
    ) -> list[T | LimbeckError]:
        results: list[T | LimbeckError] = []
        with computing(self._run.options.threads):
            for job in jobs:
                results.append(function(*job))
                shown.advance()
        return results

    def _survived(
        self,
        function: Callable[..., T],
        jobs: Sequence[tuple[Any, ...]],
        said: list[T | LimbeckError],
        shown: Progress,
        stop: Any,
    ) -> Exception | None:
        """Append the results of the jobs that are not done yet; return what a worker died of."""
        try:
            self._side_by_side(function, jobs, said, shown, stop)
        except Exception as error:
            # A worker that was still starting dies of the key press others note.
            if stop.asked:
                raise Interrupted("stopped while jobs were starting") from error
            if not _worker_died(error):
                raise
            return error
        return None

    def _side_by_side(
        self,
        function: Callable[..., T],
        jobs: Sequence[tuple[Any, ...]],
        said: list[T | LimbeckError],
        shown: Progress,
        stop: Any,
    ) -> None:
        """Append the results of the jobs that are not done yet."""
        from joblib import Parallel, delayed, parallel_config

        threads, left = self._run.options.threads, jobs[len(said) :]
        if self._where == "local":
            # From its first moment on, before it has a job that could say so.
            first = {"initializer": die_with_parent, "initargs": (os.getpid(),)}
            place = parallel_config("loky", inner_max_num_threads=threads, **first)
            how = "generator"
        else:
            from limbeck.run.ray import connect

            connect(self._where, threads)
            # Ray's side of joblib gives all results at once.
            place, how = parallel_config("ray"), "list"
        with place:
            # With one process joblib takes this one, which a job that dies would take along.
            processes = 2 if len(left) == 1 else self.at_once(len(jobs))
            parallel = Parallel(n_jobs=processes, return_as=how)
        here = os.getcwd()
        for result in parallel(delayed(_guarded)(threads, here, function, job) for job in left):
            said.append(result)
            shown.advance()
            if stop.asked and how == "generator":
                return

    def _pass_on(self) -> None:
        """Pass a Ctrl-C on to the workers, or say that they do not hear of it."""
        if self._where.startswith("ray"):
            sys.stderr.write("\njobs on Ray are waited for; press Ctrl-C again to leave them\n")
            return
        _tell_workers()


def _guarded(
    threads: int, place: str, function: Callable[..., T], job: tuple[Any, ...]
) -> T | LimbeckError:
    """Call a job; what limbeck raises comes back as a value, so that other jobs end in peace."""
    global _in_job

    before, _in_job = _in_job, True
    # A worker may be older than the place that its parent is at now; another machine has none.
    with contextlib.suppress(OSError):
        os.chdir(place)
    try:
        with computing(threads), warnings_in_words():
            return function(*job)
    except LimbeckError as error:
        return error
    finally:
        _in_job = before
        give_freed_memory_back()


def _worker_died(error: Exception) -> bool:
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # Ray is not imported for a name.
    of_ray = ("RayActorError", "ActorDiedError", "WorkerCrashedError")
    return isinstance(error, TerminatedWorkerError) or type(error).__name__ in of_ray


def _died(error: Exception) -> RunError:
    return RunError(
        f"a worker died {TRIES} times, and again with this job alone ({error}); look for a lack "
        "of memory, use --executor serial"
    )


def _tell_workers() -> None:
    """Pass a Ctrl-C on to the workers: they save their state and come back."""
    from joblib.externals.loky import get_reusable_executor

    # With other arguments than those of the jobs it would wait for them and start anew.
    for process in list(get_reusable_executor(reuse=True)._processes.values()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
