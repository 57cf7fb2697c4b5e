"""Ray: a cluster, or this machine alone, as a place where independent jobs run."""

from __future__ import annotations

import logging
import os
import socket
from urllib.parse import urlsplit

from limbeck.errors import ArgumentError, RunError

ANSWER_SECONDS = 5.0


def connect(where: str, threads: int) -> None:
    """Join a Ray cluster, or start one on this machine, and let joblib use it.

    Args:
        where: ``"ray"`` takes the cluster that RAY_ADDRESS names, which may be a word that Ray
            knows such as ``auto`` or ``local``, else this machine;
            ``"ray://HOST:PORT"`` a cluster's.
        threads: a job uses.

    Raises:
        ArgumentError: Ray is not installed.
        RunError: no cluster answers there.
    """
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise ArgumentError(
            f"--executor {where} needs Ray; install it with pip install 'limbeck[ray]'"
        ) from None
    address = where if where.startswith("ray://") else os.environ.get("RAY_ADDRESS")
    if not ray.is_initialized():
        if address is not None:
            _knock(address, where)
        variables = {"OMP_NUM_THREADS": str(threads)}
        if "LIMBECK_DATA" in os.environ:
            variables["LIMBECK_DATA"] = os.environ["LIMBECK_DATA"]
        try:
            ray.init(
                address=address,
                runtime_env={"env_vars": variables},
                log_to_driver=False,
                logging_level=logging.ERROR,
                # A page for people would want a port of its own.
                include_dashboard=None if address not in (None, "local") else False,
            )
        except Exception as error:
            raise RunError(
                f"Ray did not start or answer ({error}); check --executor {where}, or use local"
            ) from error
    register_ray()


def _knock(address: str, where: str) -> None:
    """Raise `RunError` where nobody listens; Ray itself would wait long for an answer."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    if "//" not in address and ":" not in address:
        # auto, local and the like are words that Ray looks up.
        return
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 10001), ANSWER_SECONDS):
            pass
    except (OSError, ValueError) as error:
        raise RunError(
            f"no Ray cluster answers at {address} ({error}); start it, correct "
            f"{'RAY_ADDRESS' if where == 'ray' else 'the address'}, or use --executor local"
        ) from None
