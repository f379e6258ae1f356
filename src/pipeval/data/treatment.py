"""Who is treated, since when, and the panel made of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..errors import DesignError, Note, some, warn
from ..study.specs import Study, Treatment
from .load import Tables
from .measures import Measures, outcome_values
from .panel import NEVER, Panel
from .winsorise import winsorised

SIZE_BANDS = {"micro": (0, 10), "small": (11, 50), "medium": (51, 250), "large": (251, np.inf)}
"""Workers by size class, industry (Mexico, 30 December 2002)."""

_ASSISTANCE = ("ta_individual", "ta_group")
_ELIGIBILITY = ("elig_msme", "elig_willing", "elig_export", "elig_env_osh", "elig_nondiscrim")


def classify_size(workers: pd.Series) -> pd.Series:
    """Size class by number of workers, industry, Mexican classification of December 2002.

    >>> classify_size(pd.Series([10, 11, 300])).tolist()
    ['micro', 'small', 'large']
    """
    edges = [-np.inf, *(high for _, high in SIZE_BANDS.values())]
    return pd.cut(workers, edges, labels=list(SIZE_BANDS)).astype("str").where(workers.notna())


def treatment(tables: Tables, study: Study, definition: str) -> pd.Series:
    """The first treated year of each firm under a definition; `NEVER` for all others.

    `beneficiary`: registered participants of every branch, from their entry year. `component2`: those in a business cluster
    of the evaluated branches. `ta_recipient`: those of the evaluated branches that received assistance, from its first year.

    Raises
    ------
    DesignError
        When nobody is treated, or the services table that defines assistance is missing.
    """
    firms = tables["enterprises"].set_index("firm_id")
    member = firms["arm"] == "beneficiary"
    since = firms["entry_year"]
    if definition != "beneficiary" and study.treatment.branches:
        member &= firms["branch"].isin(study.treatment.branches)
    if definition == "component2":
        member &= firms["cluster_id"].notna()
    if definition == "ta_recipient":
        if "services" not in tables:
            raise DesignError("treatment by technical assistance needs the table services; supply it or choose another definition")
        services = tables["services"]
        given = services[services["activity_type"].isin(_ASSISTANCE)]
        since = given.groupby("firm_id")["start_on"].min().dt.year.reindex(firms.index)
        member &= since.notna()
    if not member.any():
        raise DesignError(
            f"no firm is treated under the definition '{definition}'; see treatment.definition and treatment.branches"
        )
    return since.where(member, NEVER).astype(float)


def build_panel(tables: Tables, measured: Measures, study: Study, definition: str) -> Panel:
    """The panel of one treatment definition: firms with cohort and base-year covariates, and every outcome by year.

    Besides the columns of enterprises, firms carry `ln_workers, ln_age, size_class, business_cluster, other_programme,
    eligible`, and for each outcome its base-year value `base_<outcome>` and its change over the years before the base year
    `growth_<outcome>`. Outcomes that params winsorise are drawn in first, among all firms of the register. Firms of branches
    whose outcomes are not evaluated leave by the ledger. Beside the outcomes stands `recall_flag`, where the survey has it.
    """
    outcomes = pd.DataFrame({o.id: outcome_values(o, measured.headline) for o in study.outcomes})
    firms = _covariates(tables, measured, study)
    for outcome in (o for o in study.outcomes if o.winsorise):
        outcomes[outcome.id] = winsorised(outcomes[outcome.id], firms, outcome.winsorise)
    firms["cohort"] = treatment(tables, study, definition)
    firms = firms.join(_history(outcomes, study))
    if measured.headline["recall_flag"].notna().any():
        outcomes["recall_flag"] = measured.headline["recall_flag"]
    panel = Panel(firms, outcomes, tables.dropped)
    branches = rules(study, definition).branches
    if branches:
        panel = panel.keep(firms.index[firms["branch"].isin(branches)], stage="frame", reason="outside_branches")
    unsupported = panel.firms["closed_on"].dt.year < panel.firms["cohort"].where(np.isfinite(panel.firms["cohort"]))
    if not unsupported.any():
        return panel
    gone = panel.firms.index[unsupported]
    warn(Note("closed_before_entry", "left out, closed before their support began: {firms}", {"firms": some(gone)}))
    return panel.keep(panel.firms.index[~unsupported], stage="frame", reason="closed_before_entry")


def rules(study: Study, definition: str) -> Treatment:
    """The treatment section as it reads for a definition: registered beneficiaries are taken in every branch."""
    return study.treatment if definition != "beneficiary" else study.treatment.model_copy(update={"branches": ()})


def _covariates(tables: Tables, measured: Measures, study: Study) -> pd.DataFrame:
    firms = tables["enterprises"].set_index("firm_id").sort_index()
    base = study.baseline.year
    jobs = measured.nominal["jobs"].unstack().reindex(firms.index)
    workers = firms["workers_baseline"].fillna(jobs[base]) if base in jobs else firms["workers_baseline"]
    firms["ln_workers"] = np.log(workers.where(workers > 0))
    firms["ln_age"] = np.log((base - firms["founded_year"] + 1).clip(lower=1))
    firms["size_class"] = firms["size_class"].fillna(classify_size(workers))
    firms["business_cluster"] = firms["cluster_id"]
    status = measured.nominal["exp_status"].unstack().reindex(firms.index)
    firms["exp_status_baseline"] = (
        firms["exp_status_baseline"].fillna(status[base]) if base in status else firms["exp_status_baseline"]
    )
    supported = tables["other_support"]["firm_id"] if "other_support" in tables else []
    firms["other_programme"] = firms.index.isin(supported)
    firms["eligible"] = ~(firms[list(_ELIGIBILITY)] == 0).any(axis=1)
    return firms


def _history(outcomes: pd.DataFrame, study: Study) -> pd.DataFrame:
    """What a firm's outcomes were in the base year, and how they changed until then from the first year before it."""
    wide = outcomes.unstack()
    columns = {}
    for name in outcomes:
        by_year = wide[name]
        if study.baseline.year in by_year:
            columns[f"base_{name}"] = by_year[study.baseline.year]
            first = next((y for y in sorted(study.baseline.pre_years) if y in by_year), None)
            if first is not None:
                columns[f"growth_{name}"] = by_year[study.baseline.year] - by_year[first]
    return pd.DataFrame(columns, index=wide.index)
