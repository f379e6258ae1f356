"""One call, measured alone in its process; started by matching.py with an interpreter that has the package.

    python matching_case.py '{"job": …, "n1": …, "n0": …, "package": …, "memory": …, "given": …, "found": …}'

Needs numpy and pandas; each package is imported by the function that calls it. Prints one line of JSON and saves what was
found.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 20031121
FOUND = tuple[dict[str, np.ndarray], float]
"""What was found (`pairs`: rows of treated and control; `number`: set of each row; `smd`), and the call's CPU seconds."""


def firms(job: str, n1: int, n0: int) -> pd.DataFrame:
    """Made firms: `id` (the row), `treat`, standard normal covariates `x0, x1, …` (the treated stand higher), `sector, region`."""
    rng = np.random.default_rng([SEED, n1, n0])
    p = {"balance": 20, "balance_all": 20, "ebal": 14}.get(job, 7)
    treat = np.zeros(n1 + n0, int)
    treat[rng.permutation(n1 + n0)[:n1]] = 1
    x = rng.normal(size=(n1 + n0, p))
    x += treat[:, None] * {"poor": 2.6, "ebal": 0.5}.get(job, 0.75) / np.sqrt(p)  # together, in standard deviations of the index
    table = pd.DataFrame({"id": np.arange(n1 + n0), "treat": treat} | {f"x{k}": x[:, k] for k in range(p)})
    for name, levels in (("sector", 5), ("region", 4)):
        table[name] = np.array([f"{name} {k}" for k in range(levels)])[rng.integers(0, levels, n1 + n0)]
    return table


def covariates(table: pd.DataFrame) -> list[str]:
    return [name for name in table if name.startswith("x")]


def pipeval(job: str, table: pd.DataFrame, given: str) -> FOUND:
    """`match` and its result; for a balance table the match is made first, and not counted."""
    from pipeval import NEVER, MatchSpec, match
    from pipeval.matching.balance import balance_table

    x = covariates(table)
    known = table[[*x, "sector", "region"]].assign(cohort=np.where(table["treat"] == 1, 2004.0, NEVER))
    known.index = pd.Index([f"F{k:07d}" for k in table["id"]], name="firm_id")
    pairs = {"method": "nearest", "caliper": 0.2}
    choices = {
        "exact": pairs | {"exact": ("sector", "region")},
        "mahalanobis": {"method": "nearest", "distance": "mahalanobis", "replace": True},
        "optimal": {"method": "optimal"},
        "optimal_caliper": {"method": "optimal", "caliper": 0.2},
        "poor": {"method": "nearest"},
        "full": {"method": "full"},
        "ebal": {"method": "ebal", "moments": 2},
    }.get(job, pairs)
    spec = MatchSpec(covariates=tuple(x), **choices)
    start = time.process_time()
    sample = match(known, spec)
    seconds = time.process_time() - start
    row = known.index.get_indexer
    out = {}
    if not sample.scores.empty:
        score = sample.scores.reindex(known.index).to_numpy(float)
        out["axis"] = np.log(score / (1 - score))
    if job.startswith("balance"):
        weights = sample
        out["weights"] = np.zeros(len(known))
        out["weights"][row(sample.sets["firm_id"])] = sample.sets["weight"]
        if job == "balance_all":
            out["weights"] = np.where(table["treat"] == 1, 1.0, np.exp(out["axis"]))
            weights = pd.Series(out["weights"], index=known.index)
        start = time.process_time()
        balance = balance_table(known, weights, x)
        seconds = time.process_time() - start
        out["smd"] = balance["smd"].to_numpy().reshape(-1, 2)
    elif job == "full":
        out["number"] = np.full(len(known), -1)
        out["number"][row(sample.sets["firm_id"])] = sample.sets["set_id"]
    elif job == "ebal":
        out["weights"] = sample.weights.droplevel(0).reindex(known.index).to_numpy()
    else:
        out["pairs"] = np.column_stack([row(sample.pairs["treated_id"]), row(sample.pairs["control_id"])])
    return out, seconds


def pymatchit(job: str, table: pd.DataFrame, given: str) -> FOUND:
    """`MatchIt(...).fit` with the table of its pairs; `summary` and its Kolmogorov–Smirnov distances for a balance table."""
    from pymatchit import MatchIt, compute_ks_statistics
    from pymatchit.diagnostics import create_summary_table

    x = covariates(table)
    if job.startswith("balance"):
        weights = pd.Series(np.load(given)["weights"], index=table.index)
        start = time.process_time()
        before, after = create_summary_table(table, table[weights > 0], x, "treat", weights)
        compute_ks_statistics(table, x, "treat", weights)
        seconds = time.process_time() - start
        return {"smd": np.column_stack([before["Std. Mean Diff."], after["Std. Mean Diff."]])}, seconds
    score = {"distance": "glm", "link": "linear.logit"}
    choices = {
        "ps": {"method": "nearest", "caliper": 0.2},
        "exact": {"method": "nearest", "caliper": 0.2, "exact": ["sector", "region"]},
        "mahalanobis": {"method": "nearest", "distance": "mahalanobis", "replace": True},
        "optimal": {"method": "optimal"},
        "optimal_caliper": {"method": "optimal", "caliper": 0.2},
        "poor": {"method": "nearest"},
        "full": {"method": "full"},
    }[job]
    start = time.process_time()
    made = MatchIt(table, **(score | choices))
    made.fit("treat ~ " + " + ".join(x))
    pairs = made.matches() if job != "full" else None
    seconds = time.process_time() - start
    if job == "full":
        number = made.matched_data["subclass"].reindex(table.index)
        return {"number": pd.factorize(number)[0]}, seconds
    return {"pairs": pairs[["treated_index", "control_index"]].to_numpy(int)}, seconds


def psmpy(job: str, table: pd.DataFrame, given: str) -> FOUND:
    """`logistic_ps` and `kdtree_matched`; the caliper, in the score's own unit, is .2 of its standard deviation."""
    from psmpy import PsmPy

    table = _highest_first(table, given)
    start = time.process_time()
    made = PsmPy(table, treatment="treat", indx="id", exclude=["sector", "region"])
    made.logistic_ps(balance=False)
    caliper = 0.2 * made.predicted_data["propensity_logit"].std()
    made.kdtree_matched(matcher="propensity_logit", replacement=False, caliper=caliper if job == "ps" else None)
    seconds = time.process_time() - start
    return {"pairs": made.matched_ids.to_numpy(int)}, seconds


def causalml(job: str, table: pd.DataFrame, given: str) -> FOUND:
    """A logit by scikit-learn and `NearestNeighborMatch`, the firms with the highest score first."""
    from causalml.match import NearestNeighborMatch
    from sklearn.linear_model import LogisticRegression

    table = _highest_first(table, given)
    x = table[covariates(table)]
    start = time.process_time()
    model = LogisticRegression(C=np.inf, tol=1e-8).fit(x, table["treat"])
    table["score"] = model.decision_function(x)
    made = NearestNeighborMatch(caliper=0.2 if job == "ps" else np.inf, replace=False, shuffle=False, n_jobs=1)
    made.match(table, "treat", ["score"])
    seconds = time.process_time() - start
    return {"pairs": table["id"].loc[made.matched_indexes_.to_numpy().ravel()].to_numpy().reshape(-1, 2)}, seconds


def sklearn(job: str, table: pd.DataFrame, given: str) -> FOUND:
    """The neighbours alone: whitened covariates, `NearestNeighbors` by k-d tree; no score, no result object."""
    from sklearn.neighbors import NearestNeighbors

    treat = table["treat"].to_numpy() == 1
    x = table[covariates(table)].to_numpy()
    start = time.process_time()
    points = whitened(x, treat)
    near = NearestNeighbors(n_neighbors=1, algorithm="kd_tree", n_jobs=1).fit(points[~treat])
    found = near.kneighbors(points[treat], return_distance=False)[:, 0]
    seconds = time.process_time() - start
    return {"pairs": np.column_stack([np.flatnonzero(treat), np.flatnonzero(~treat)[found]])}, seconds


R = """suppressMessages(library(MatchIt)); d <- read.csv("{data}"); d$sector <- factor(d$sector); d$region <- factor(d$region)
f <- treat ~ {terms}
balance <- {balance}
if (balance) m <- matchit(f, d{call})
start <- proc.time()
if (balance) s <- summary(m) else {{ m <- matchit(f, d{call}); mm <- m$match.matrix }}
cpu <- sum((proc.time() - start)[1:2])
if (balance) out <- data.frame(a = s$sum.all[-1, 3], b = s$sum.matched[-1, 3]) else
if ({full}) out <- data.frame(a = ifelse(is.na(m$subclass), 0, as.integer(m$subclass)), b = 0) else {{
  k <- !is.na(mm[, 1]); out <- data.frame(a = as.integer(rownames(mm)[k]) - 1, b = as.integer(mm[k, 1]) - 1) }}
write.csv(out, "{out}", row.names = FALSE); cat(cpu, as.character(packageVersion("MatchIt")), "\\n")
"""


def matchit(job: str, table: pd.DataFrame, given: str) -> FOUND:
    """R's `matchit` and its pairs, or `summary`: the time between two readings of R's own clock."""
    if shutil.which("Rscript") is None:
        raise ImportError("no Rscript on PATH")
    data, out = Path(given).with_suffix(".csv"), Path(given).with_suffix(".found.csv")
    table.to_csv(data, index=False)
    score = ', distance = "glm", link = "linear.logit"'
    near = f', method = "nearest"{score}, caliper = 0.2, m.order = "largest"'
    call = {
        "exact": f"{near}, exact = ~ sector + region",
        "mahalanobis": ', method = "nearest", distance = "mahalanobis", replace = TRUE',
        "optimal": f', method = "optimal"{score}',
        "poor": f', method = "nearest"{score}, m.order = "largest"',
        "full": f', method = "full"{score}',
    }.get(job, near)
    flags = {"balance": str(job == "balance").upper(), "full": str(job == "full").upper()}
    code = R.format(data=data, out=out, terms=" + ".join(covariates(table)), call=call, **flags)
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or "R stopped").splitlines()[-1])
    seconds, number = done.stdout.split()[-2:]
    VERSIONS["matchit"] = number
    found = pd.read_csv(out).to_numpy()
    name = "smd" if job == "balance" else "number" if job == "full" else "pairs"
    return {name: found[:, 0].astype(int) - 1 if job == "full" else found}, float(seconds)


def whitened(x: np.ndarray, treat: np.ndarray) -> np.ndarray:
    """Rows whose Euclidean distance is the Mahalanobis distance under the covariance within the arms."""
    within = sum((arm.sum() - 1) * np.cov(x[arm].T) for arm in (treat, ~treat)) / (len(x) - 2)
    return x @ np.linalg.cholesky(np.linalg.inv(within))


def _highest_first(table: pd.DataFrame, given: str) -> pd.DataFrame:
    """The rows in the order in which their firms choose, for packages that go by the order of rows; not counted."""
    order = np.argsort(-np.load(given)["axis"], kind="stable")
    return table.iloc[order].reset_index(drop=True)


CALLS = {
    "pipeval": pipeval,
    "pymatchit-causal": pymatchit,
    "psmpy": psmpy,
    "causalml": causalml,
    "scikit-learn": sklearn,
    "matchit": matchit,
}
VERSIONS: dict[str, str] = {}


def _version(package: str) -> str:
    try:
        return VERSIONS.get(package) or version(package)
    except PackageNotFoundError:  # run from its source
        return "source"


def main() -> None:
    asked = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    space = int(asked["memory"] * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    table = firms(asked["job"], asked["n1"], asked["n0"])
    try:
        found, seconds = CALLS[asked["package"]](asked["job"], table, asked["given"])
    except ImportError as error:
        print(json.dumps({"failed": f"not installed ({error})"}))
        return
    except MemoryError:
        print(json.dumps({"failed": f"MemoryError (more than {asked['memory']:g} GB)"}))
        return
    except Exception as error:  # a peer may fail in any way, and that is a row
        print(json.dumps({"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"}))
        return
    kilobytes = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    np.savez(asked["found"], **found)
    print(json.dumps({"seconds": seconds, "megabytes": kilobytes / 1024, "version": _version(asked["package"])}))


if __name__ == "__main__":
    main()
