"""One call, measured alone in its process; started by did.py with an interpreter that has the package.

    python did_case.py '{"job": …, "n": …, "package": …, "memory": …}'

Needs numpy and pandas; each package is imported by the function that calls it. Prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pandas as pd

SEED, PERIODS, DRAWS = 20031121, 10, 999
COHORTS = (4, 5, 6, 7, 8)
COVARIATES = ["x1", "x2"]
FOUND = tuple[float, float, float]
"""CPU seconds of the call, and the overall effect with its standard error (NaN where the call gives none)."""


def long(job: str, n: int) -> pd.DataFrame:
    """Made firm-years: `firm, year, start` (0 = never, half of the firms), `x1, x2`, `treated`, outcome `y`."""
    rng = np.random.default_rng([SEED, n])
    x = rng.normal(size=(n, 2))
    start = rng.choice([*COHORTS, 0], n, p=[0.1] * 5 + [0.5])
    year = np.arange(1, PERIODS + 1)
    treated = (start > 0)[:, None] & (start[:, None] <= year)
    y = rng.normal(size=(n, 1)) + 0.1 * year + 0.05 * x[:, :1] * year + 0.3 * treated + rng.normal(0, 0.5, (n, PERIODS))
    if job == "poisson":
        y = rng.poisson(np.exp(0.5 * y)).astype(float)
    frame = pd.DataFrame({"firm": np.repeat(np.arange(n), PERIODS), "year": np.tile(year, n), "start": np.repeat(start, PERIODS)})
    frame["x1"], frame["x2"] = np.repeat(x, PERIODS, axis=0).T
    return frame.assign(y=y.ravel(), treated=treated.ravel().astype(int))


def pipeval(job: str, frame: pd.DataFrame) -> FOUND:
    """From the long frame: the `Panel`, the cells, four summaries and their bands."""
    from pipeval import DidSpec, Panel, aggregate, att_gt
    from pipeval.did.poisson import poisson_att

    start = time.process_time()
    names = {"firm_id": "firm", "period": "year", "cohort": "start"}
    panel = Panel.from_frame(frame, **names, outcomes=["y"], covariates=COVARIATES)
    if job == "poisson":
        table = poisson_att(panel, "y", by="overall").table
    else:
        spec = DidSpec(method="imputation") if job == "imputation" else DidSpec(covariates=COVARIATES, draws=DRAWS)
        cells = att_gt(panel, "y", spec)
        found = {by: aggregate(cells, by) for by in ("overall", "cohort", "event_time", "period")}
        if job == "att_gt":
            found = {by: effects.bands(DRAWS, SEED) for by, effects in found.items()}
        table = found["overall"].table
    return time.process_time() - start, table["estimate"].iloc[0], table["std_error"].iloc[0]


def diff_diff(job: str, frame: pd.DataFrame) -> FOUND:
    from diff_diff import CallawaySantAnna, ImputationDiD, WooldridgeDiD

    start = time.process_time()
    names = {"outcome": "y", "unit": "firm", "time": "year", "first_treat": "start"}
    if job == "att_gt":
        model = CallawaySantAnna(control_group="not_yet_treated", n_bootstrap=DRAWS, base_period="universal", seed=SEED)
        found = model.fit(frame, **names, covariates=COVARIATES, aggregate="all")
    elif job == "imputation":
        found = ImputationDiD().fit(frame, **names, aggregate="all")
    else:
        found = WooldridgeDiD(method="poisson", cluster="firm").fit(frame, **names)
    seconds = time.process_time() - start
    return seconds, float(getattr(found, "overall_att", np.nan)), float(getattr(found, "overall_se", np.nan))


def csdid(job: str, frame: pd.DataFrame) -> FOUND:
    from csdid.att_gt import ATTgt

    start = time.process_time()
    names = {"yname": "y", "gname": "start", "idname": "firm", "tname": "year"}
    model = ATTgt(data=frame, **names, xformla="y ~ x1 + x2", control_group="notyettreated", biters=DRAWS)
    model.fit(est_method="dr", base_period="universal", bstrap=True)
    for kind in ("group", "calendar", "dynamic", "simple"):
        model.aggte(kind, bstrap=True, cband=True, biters=DRAWS)
    seconds = time.process_time() - start
    return seconds, float(model.atte["overall_att"]), float(np.ravel(model.atte["overall_se"])[0])


def differences(job: str, frame: pd.DataFrame) -> FOUND:
    from differences import ATTgt

    start = time.process_time()
    data = frame.assign(start=frame["start"].where(frame["start"] > 0).astype(float)).set_index(["firm", "year"])
    model = ATTgt(data=data, cohort_column="start", base_period="universal")
    settings = {"boot_iterations": DRAWS, "random_state": SEED, "n_jobs": 1}
    model.fit("y ~ x1 + x2", est_method="dr", control_group="not_yet_treated", n_jobs=1, progress_bar=False)
    found = {kind: model.aggregate(kind, **settings) for kind in ("cohort", "time", "event", "simple")}
    return time.process_time() - start, float(found["simple"].iloc[0, 0]), float(found["simple"].iloc[0, 1])


def moderndid(job: str, frame: pd.DataFrame) -> FOUND:
    from moderndid import aggte, att_gt

    start = time.process_time()
    names = {"yname": "y", "tname": "year", "idname": "firm", "gname": "start"}
    choices = {"control_group": "notyettreated", "base_period": "universal", "est_method": "dr", "biters": DRAWS}
    cells = att_gt(frame, **names, xformla="~ x1 + x2", **choices, boot=True, random_state=SEED)
    kinds = ("group", "calendar", "dynamic", "simple")
    found = {kind: aggte(cells, type=kind, boot=True, cband=True, biters=DRAWS, random_state=SEED) for kind in kinds}
    return time.process_time() - start, float(found["simple"].overall_att), float(found["simple"].overall_se)


def pyfixest(job: str, frame: pd.DataFrame) -> FOUND:
    """Poisson with firm and year effects and one dummy: another estimand, the usual call."""
    from pyfixest import fepois

    start = time.process_time()
    found = fepois("y ~ treated | firm + year", data=frame, vcov={"CRV1": "firm"})
    return time.process_time() - start, float(found.coef().iloc[0]), float(found.se().iloc[0])


CALLS = {
    "pipeval": pipeval, "diff-diff": diff_diff, "csdid": csdid, "differences": differences, "moderndid": moderndid,
    "pyfixest": pyfixest,
}  # fmt: skip


def main() -> None:
    asked = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    space = int(asked["memory"] * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    frame = long(asked["job"], asked["n"])
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    try:
        seconds, estimate, std_error = CALLS[asked["package"]](asked["job"], frame)
    except ImportError as error:
        print(json.dumps({"failed": f"not installed ({error})"}))
        return
    except MemoryError:
        print(json.dumps({"failed": f"MemoryError (more than {asked['memory']:g} GB)"}))
        return
    except Exception as error:  # a peer may fail in any way, and that is a row
        print(json.dumps({"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"}))
        return
    try:
        number = version(asked["package"])
    except PackageNotFoundError:  # run from its source
        number = "source"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = {"seconds": seconds, "megabytes": peak, "data": made, "estimate": estimate, "std_error": std_error, "version": number}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
