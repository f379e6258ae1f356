"""Studies on the workers of a dask scheduler: inputs go out as one zip, the finished folder comes back as one.

Workers share no disk with the batch. Each must run the same package and the same versions, else it is passed over by name, for the
same inputs are to give the same report. Reports are published by the batch alone.
"""

from __future__ import annotations

import platform
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import PipevalError, UsageError, some
from ..report.versions import versions
from .carry import packed, packed_folder, unpacked, unpacked_folder
from .execute import here
from .inputs import Inputs, Store, _package, source_digest

DEATHS = 3
"""Workers that may end under a study before it is taken for the cause."""

_CONNECT = 15  # seconds in which a scheduler answers
_PATIENCE = 60  # seconds without any worker that could run a study: a nanny needs a few to start one anew
_LOOK = 5  # seconds between two looks at the workers
_WARN = "distributed.admin.large-graph-warning-threshold"


class Elsewhere:
    """What runs studies on dask workers; called like `execute.here`.

    Parameters
    ----------
    address : str
        Of the scheduler, `tcp://host:8786` or `tls://…`.
    """

    def __init__(self, address: str):
        self.address = address
        self.slots = 0
        """Studies at the same time: one for each thread of a worker that may run them."""
        self._refused: dict[str, str] = {}
        self._ticks: dict[str, Callable[[float], None]] = {}
        self._starts: dict[str, int] = {}
        self._topic = f"pipeval-{secrets.token_hex(8)}"
        self._over = ""  # why nothing more is to be run
        self._lock = threading.Lock()
        self._open = ExitStack()

    def __enter__(self) -> Elsewhere:
        """Find the scheduler and ask every worker what it runs.

        Raises
        ------
        PipevalError
            When the package `distributed` is not installed, no scheduler answers, or none of its workers may run studies.
        """
        try:
            import dask
            import distributed
        except ModuleNotFoundError:
            raise PipevalError('--dask needs the package distributed: python -m pip install "pipeval[dask]"') from None
        self._open.enter_context(dask.config.set({_WARN: "4GB"}))  # the inputs of a study are no graph
        try:
            self._client = self._open.enter_context(distributed.Client(self.address, timeout=_CONNECT, set_as_default=False))
        except (OSError, TimeoutError) as error:
            self._open.close()
            said = str(error) or type(error).__name__
            raise PipevalError(f"no dask scheduler answers at {self.address} ({said}); start one, or run without --dask") from None
        except ValueError as error:
            self._open.close()
            raise UsageError(
                f"--dask must be the address of a scheduler, such as tcp://host:8786; found {self.address}: {error}"
            ) from None
        try:
            self._client.subscribe_topic(self._topic, self._heard)
            threads = self._client.nthreads()
            self._probe(threads)
            self.slots = sum(count for worker, count in threads.items() if worker not in self._refused)
            if not self.slots:
                raise PipevalError(self._none_fit(threads))
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        with suppress(Exception):  # a scheduler that is lost cannot be taken leave of
            self._client.unsubscribe_topic(self._topic)
        with suppress(OSError, TimeoutError):
            self._open.close()

    def end(self) -> None:
        """Run nothing more; calls under way in other threads end within a second or two, their studies at their next cell."""
        self._over = self._over or "stopped before it was done"

    def __call__(
        self, record: Inputs, store: Store, place: Path, timeout: int, tick: Callable[[float], None] | None = None
    ) -> tuple[int, str]:
        """Run a study on a worker; its folder is laid out in `place/made`. Exit code 0, or code and message of the failure.

        Raises
        ------
        DataError
            When the inputs are not kept, or what came back is not a folder.
        PipevalError
            When the scheduler or all workers were lost, or the study took `DEATHS` workers with it.
        """
        made = place / "made"
        made.mkdir(parents=True, exist_ok=True)
        content = packed(record, store)
        token = f"pipeval-{record.study}-{secrets.token_hex(6)}"
        self._ticks[token] = tick or (lambda share: None)
        try:
            code, message, folder = self._ran(token, (content, record.source, record.versions, timeout))
        finally:
            self._ticks.pop(token, None)
        unpacked_folder(folder, made)
        if code == 0 and not (made / "results.json").is_file():
            return 1, "the worker sent a folder without results.json; run the study again"
        return code, message

    def _ran(self, token: str, work: tuple[bytes, str, Mapping[str, str], int]) -> tuple[int, str, bytes]:
        """The answer of the first worker that may run the study."""
        attempt = 0
        while True:
            attempt += 1
            fit = self._fit()
            future = self._submitted(f"{token}-{attempt}", work, fit)
            try:
                answer = self._answer(future, token, fit)
            finally:
                with suppress(Exception):
                    future.cancel(force=True)
            if answer is None:
                continue
            code, message, rest = answer
            if code is not None:
                return code, message, rest
            self._refuse(rest, message)

    def _submitted(self, key: str, work: tuple, fit: list[str] | None):
        token = key.rpartition("-")[0]
        try:
            return self._client.submit(_study_here, *work, self._topic, token, key=key, pure=False, workers=fit)
        except Exception as error:
            raise self._lost(error) from None

    def _answer(self, future, token: str, fit: list[str] | None) -> tuple | None:
        """What the worker said; None when every worker that was allowed is gone and the study has to be given to others."""
        from distributed.scheduler import KilledWorker

        alone, looked, known = None, time.monotonic(), 0
        while True:
            self._proceed()
            if self._starts.get(token, 0) > DEATHS:
                raise PipevalError(_deadly(DEATHS))
            try:
                return _proved(future.result(timeout=1))
            except TimeoutError:  # the study itself never raises one
                pass
            except KilledWorker as error:
                raise PipevalError(_deadly(error.allowed_failures + 1)) from None
            except CancelledError as error:
                raise self._lost(error) from None
            except PipevalError:
                raise
            except Exception as error:
                raise PipevalError(f"a worker could not run it: {type(error).__name__}: {error}") from None
            if time.monotonic() - looked < _LOOK:
                continue
            looked, alive, starts = time.monotonic(), self._alive(), self._starts.get(token, 0)
            if fit is not None and not set(fit) & set(alive):
                return None
            alone = None if alive or starts > known else (alone or looked)  # one may have come, begun it and died between two looks
            known = starts
            if alone is not None and looked - alone > _PATIENCE:
                raise PipevalError(f"no worker has been left at {self.address} for {_PATIENCE} seconds; start some and run again")

    def _fit(self) -> list[str] | None:
        """The workers that a study may go to; None when none was refused, so that workers which join later take part."""
        waiting = time.monotonic()
        while self._refused:
            self._proceed()
            alive = self._alive()
            if fit := [worker for worker in alive if worker not in self._refused]:
                return fit
            if time.monotonic() - waiting > _PATIENCE:
                raise PipevalError(self._none_fit(alive))
            time.sleep(1)
        self._proceed()
        return None

    def _probe(self, workers: Mapping[str, int]) -> None:
        """Ask each worker what it runs; one that cannot even load this module has no package, or another one."""
        wanted = source_digest(), _own_versions()
        for worker in workers:
            try:
                why = self._client.run(unfit, *wanted, workers=[worker])[worker]
            except Exception as error:
                why = f"it cannot load this package ({type(error).__name__}: {error})"
            if why:
                self._refuse(worker, why)

    def _refuse(self, worker: str, why: str) -> None:
        with self._lock:
            known, self._refused[worker] = worker in self._refused, why
        if not known:
            print(f"pipeval: worker {worker} is passed over: {why}", file=sys.stderr)

    def _none_fit(self, workers: Mapping[str, int]) -> str:
        if not workers:
            return f"the scheduler at {self.address} has no workers; start some, or run without --dask"
        why = next((self._refused[worker] for worker in workers if worker in self._refused), "")
        return (
            f"workers must run the same package and versions as this machine; at {self.address} none does: "
            f"{some(workers, 'worker')}, the first: {why}. Install the same there, or run without --dask"
        )

    def _alive(self) -> dict[str, int]:
        try:
            return self._client.nthreads()
        except Exception as error:
            raise self._lost(error) from None

    def _proceed(self) -> None:
        if not self._over and self._client.status in ("closed", "closing"):
            self._over = f"the scheduler at {self.address} was lost; start it and run again: what is done is not run twice"
        if self._over:
            raise PipevalError(self._over)

    def _lost(self, error: BaseException) -> PipevalError:
        """The error to raise, for this study and all that follow, once the scheduler does not answer."""
        what = f"the scheduler at {self.address} was lost ({type(error).__name__})"
        self._over = self._over or f"{what}; start it and run again: what is done is not run twice"
        return PipevalError(self._over)

    def _heard(self, event: tuple[float, Any]) -> None:
        """Take note of a start, or of the share of cells done."""
        said = event[1]
        token, share = said["token"], said["share"]
        if share is None:
            self._starts[token] = self._starts.get(token, 0) + 1
        elif token in self._ticks:
            self._ticks[token](share)


def unfit(source: str, wanted: Mapping[str, str]) -> str:
    """Why this machine may not run a study made with this package source and these versions; empty when it may."""
    for remembered in (_package, source_digest, versions):  # a worker lives for weeks, and a study runs in a new process
        remembered.cache_clear()
    own = _own_versions()
    lacking = [name for name, version in wanted.items() if own.get(name, "not installed") == "not installed" != version]
    lacking += [] if find_spec("ipykernel") else ["ipykernel"]
    other = [f"{n} {own[n]} instead of {v}" for n, v in wanted.items() if n not in lacking and own.get(n, v) != v]
    faults = ["another source of this package"] if source_digest() != source else []
    faults += [f'lacks {some(lacking, "package")}: python -m pip install "pipeval[report]"'] if lacking else []
    return "; ".join([*faults, *other[:5]] + (["…"] if len(other) > 5 else []))


def _own_versions() -> dict[str, str]:
    return {"python": platform.python_version(), **versions()}


def _study_here(content: bytes, source: str, wanted: Mapping[str, str], timeout: int, topic: str, token: str) -> tuple:
    """Run on the worker: exit code, message and folder, or no code, the worker's address and why it may not run the study."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    if why := unfit(source, wanted):
        return None, why, worker.address
    worker.log_event(topic, {"token": token, "share": None})

    def tick(share: float) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":  # the batch is gone, or gave it up
            raise PipevalError("stopped: nobody waits for it any more")
        worker.log_event(topic, {"token": token, "share": share})

    # in the worker's own folder, which its nanny clears should it die
    with tempfile.TemporaryDirectory(prefix="pipeval-", dir=worker.local_directory, ignore_cleanup_errors=True) as scratch:
        place = Path(scratch)
        try:
            record, store = unpacked(content, place / "sent")
            code, message = here(record, store, place / "work", timeout, tick)
            return code, message, packed_folder(place / "work" / "made")
        except PipevalError as error:
            return error.exit_code, str(error), _NOTHING
        except OSError as error:
            return 1, f"worker {worker.address} cannot write: {error.strerror or error}", _NOTHING


_NOTHING = b"PK\x05\x06" + bytes(18)  # a zip without files


def _proved(answer: Any) -> tuple:
    """The answer, refused when it is not of the shape that a worker gives."""
    shapes = ((int, str, bytes), (type(None), str, str))
    if isinstance(answer, tuple) and any(len(answer) == 3 and all(map(isinstance, answer, shape)) for shape in shapes):
        return answer
    raise PipevalError(
        f"a worker must answer with exit code, message and folder; found {type(answer).__name__}. Is it a pipeval worker?"
    )


def _deadly(deaths: int) -> str:
    return f"{deaths} workers died while they ran it, so it was given to no other: look at their logs, at their memory first"
