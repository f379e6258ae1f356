"""Is the baseline to be believed? Every table that speaks to it, gathered."""

from __future__ import annotations

import pandas as pd

from ..data.disclosure import guarded
from ..data.intervals import with_share
from ..data.load import Tables
from ..data.measures import Measures
from ..study.specs import Study
from .eligibility import criteria, eligibility_exceptions, eligibility_table, owners_table, size_table, sizes
from .homogeneity import base_figures, compared, homogeneity_table, outlying_firms
from .territory import source_disagreement, territory_table
from .update import baseline_update, marginal_change
from .waves import consent_table, designation_table, missing_figures, mode_table, survey_dates_table, wave_table


def credibility_tables(
    tables: Tables, faults: pd.DataFrame, measured: Measures, firms: pd.DataFrame, study: Study
) -> dict[str, pd.DataFrame]:
    """The tables on the baseline's credibility, by name; what the data cannot give is left out.

    Figures of fewer than five firms are blank (`data.disclosure`).

    Parameters
    ----------
    tables, faults, measured
        As the stage of the data hands them over; `faults` is the whole list of the check.
    firms : DataFrame
        Firms under evaluation (index `firm_id`): those whose change is followed. All other tables take the whole register.
    study : Study
    """
    register = tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id").sort_index()
    register["size_class"] = register["size_class"].fillna(sizes(tables, measured, study)["2002"])
    scored = compared(base_figures(tables, faults, study), register, tables, study)
    level = study.did.level
    found = {
        "homogeneity": homogeneity_table(scored, study),
        "homogeneity_firms": outlying_firms(scored),
        "territory": territory_table(tables, measured, study),
        "territory_sources": source_disagreement(tables, study),
        "queries_by_arm": queries_by_arm(faults, register, level),
        "waves": wave_table(tables, level=level),
        "waves_exporters": wave_table(tables, "exp_status_baseline", level),
        "survey_modes": mode_table(tables),
        "missing_figures": missing_figures(measured, register, study),
        "survey_dates": survey_dates_table(tables, study),
        "control_designation": designation_table(tables, study),
        "consent": consent_table(tables, level),
        "baseline_update": baseline_update(measured, firms, study),
        "marginal_change": marginal_change(measured, firms, tables, study),
        "owners": owners_table(register, level),
    } | _eligibility(tables, measured, register, study)
    return guarded({name: table for name, table in found.items() if len(table) and not _silent(name, table)})


def _eligibility(tables: Tables, measured: Measures, register: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    classes = sizes(tables, measured, study)
    met = criteria(tables, classes, study)
    audit = eligibility_table(met, register["arm"], study.did.level)
    outside = audit[(audit["arm"] == "nonparticipant") & (audit["criterion"] == "all_criteria")].reset_index(drop=True)
    return {
        "size_rules": size_table(classes, register),
        "eligibility": audit,
        "eligibility_exceptions": eligibility_exceptions(met, classes, register["arm"], study),
        "ineligible_controls": with_share(
            outside[["n", "n_met", "n_not_met", "n_not_known"]].rename(
                columns={"n_met": "n_eligible", "n_not_met": "n_ineligible"}
            ),
            outside["n_not_met"],
            outside["n_met"] + outside["n_not_met"],
            study.did.level,
        ),
    }


_NOTED = {
    "consent": ("n_yes", "n_no"),
    "control_designation": ("n_before", "n_after"),
    "marginal_change": ("n",),
}


def _silent(name: str, table: pd.DataFrame) -> bool:
    """Whether a table only says that nothing was noted: it is then missing, and the report says so."""
    told_by = {"survey_modes": "mode", "owners": "owner_gender", "survey_dates": "status"}
    if name in told_by:
        return bool((table[told_by[name]] == "not_known").all())
    return name in _NOTED and not table[list(_NOTED[name])].to_numpy().any()


def queries_by_arm(faults: pd.DataFrame, register: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row a rule and arm: firms that the check questioned by it, and their share of the arm (`rule, arm, n, n_firms, share …`).

    `n` are the firms questioned, `n_firms` those of the arm, `share_low, share_high` Wilson. Arms that err unequally differ in
    more than the programme.
    """
    queries = faults[(faults["kind"] == "query") & faults["firm_id"].isin(register.index)]
    queries = queries.assign(arm=queries["firm_id"].map(register["arm"])).drop_duplicates(["rule", "firm_id"])
    arms = register["arm"].value_counts().sort_index()
    counts = queries.groupby(["rule", "arm"]).size()
    rows = [
        [rule, arm, int(counts.get((rule, arm), 0)), int(n)] for rule in sorted(set(queries["rule"])) for arm, n in arms.items()
    ]
    table = pd.DataFrame(rows, columns=["rule", "arm", "n", "n_firms"])
    return with_share(table, "n", "n_firms", level)
