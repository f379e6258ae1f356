"""Two invented bundles for the report's tests: a full programme and one with few tables. No number here means anything."""

from __future__ import annotations

import math
from io import StringIO

import pandas as pd

from pipeval.errors import Note
from pipeval.report.bundle import Bundle
from pipeval.report.tables import read_layout

NAN = float("nan")
HOSTILE = "=cmd()|'x' <script>alert(1)</script> *bold* #let @ref $a_b$ [x](http://x.y)"

_OUTCOMES = {
    "ln_sales": ("Ventas reales", "Real sales", "log"),
    "ln_va_job": ("Valor agregado por empleo", "Value added per job", "log"),
    "ln_price": ("Precio medio de venta", "Average sales price", "log"),
    "jobs": ("Empleo", "Jobs", "log"),
    "exports": ("Valor exportado", "Export value", "poisson"),
    "exports_directly": ("Exporta directamente", "Exports directly", "yes_no"),
    "survival": ("Supervivencia", "Survival", "yes_no"),
}


def study(stage: str = "final") -> dict:
    """The params of the full bundle, as JSON."""
    return {
        "study": f"guanajuato_{stage}",
        "stage": stage,
        "as_of": "2005-01-31" if stage == "midterm" else "2007-03-31",
        "programme": {
            "id": "TC-03-02-01-3-ME",
            "name": {
                "es": "Integración de cadenas productivas de Guanajuato <b>&</b>",
                "en": "Guanajuato production chains <b>&</b>",
            },
            "place": {"es": "Guanajuato, México", "en": "Guanajuato, Mexico"},
            "executing_agency": "COFOCE",
            "financier": "MIF",
            "currency": "MXN",
        },
        "baseline": {"year": 2003, "pre_years": [2001, 2002]},
        "treatment": {"definition": "component2", "beside": ["beneficiary"], "branches": ["footwear"], "reference_year": 2006},
        "money": {"headline": "real", "deflator": "inpc", "base_year": 2003, "fx": "fx_mxn_usd"},
        "outcomes": [
            {
                "id": k,
                "measure": "value_added" if k == "ln_va_job" else k,
                "per": "jobs" if k == "ln_va_job" else None,
                "scale": scale,
                "direction": "increase",
                "label": {"es": es, "en": en},
                "relevant_effect": 0.05 if scale == "log" else None,
            }
            for k, (es, en, scale) in _OUTCOMES.items()
        ],
        "headline": "common_support",
        "match": {"covariates": ["ln_workers", "ln_age"], "exact": ["branch", "size_class"], "method": "optimal", "caliper": 0.25},
        "did": {
            "method": "reg",
            "covariates": ["ln_workers", "branch"],
            "comparison": "not_yet_treated",
            "base": "universal",
            "cluster": "firm_id",
            "level": 0.95,
        },
        "power": {"alpha": 0.05, "power": 0.8},
        "verdicts": {"partly_from": 0.75, "primary": ["G1", "G2", "G3"], "joint": "all"},
        "logframe": "guanajuato",
        "report": {"languages": ["es", "en"], "locales": {"es": "es_MX", "en": "en_US"}, "author": "Equipo evaluador"},
        "seed": 1,
    }


def full(stage: str = "final") -> Bundle:
    """A bundle that holds every table of the contract."""
    tables = {
        **_programme(),
        **_samples(),
        **_control(),
        **_effects(),
        **_dynamics(),
        **_judgement(stage),
        **_execution(),
        **hidden(),
        **parts(),
        **({} if stage == "midterm" else asked_again()),
    }
    notes = [
        Note("few_clusters", "only {n} treated business clusters: the t({df}) distribution is used", {"n": 6, "df": 5}),
        Note("zz_untranslated", "a remark that no language file knows: {what}", {"what": HOSTILE}),
    ]
    return Bundle.build(study(stage), tables, notes, _provenance(study(stage)))


def whole(stage: str = "final", without: tuple[str, ...] = ()) -> Bundle:
    """The full bundle with the programme side too, less the tables of `without`."""
    base = full(stage)
    tables = {name: base.table(name) for name in base.tables} | programme_side()
    return Bundle.build(study(stage), {n: t for n, t in tables.items() if n not in without}, base.notes, base.provenance)


def programme_side() -> dict[str, pd.DataFrame]:
    """The small tables of `_SIDE`: a name, its columns, its rows; codes, texts and days stay texts."""
    kinds = read_layout().kinds
    texts = [column for column, kind in kinds.items() if kind in ("code", "text", "light", "day", "outcome")]
    tables = {}
    for block in _SIDE.strip().removeprefix("# ").split("\n\n# "):
        name, _, body = block.partition("\n")
        tables[name] = pd.read_csv(StringIO(body), sep="|", dtype=dict.fromkeys(texts, "str"))
    return tables


def tiny() -> Bundle:
    """A bundle of an enterprise and a survey table only: outcomes where lower is better, nothing of a programme."""
    params = study() | {
        "study": "michigan_final",
        "as_of": "1990-06-30",
        "programme": {
            "id": "MI-1988",
            "name": {"en": "Michigan job training grants", "es": "Subsidios de capacitación de Michigan"},
            "place": {},
            "executing_agency": "",
            "financier": "",
            "currency": "USD",
        },
        "baseline": {"year": 1987, "pre_years": []},
        "did": {"method": "dr", "covariates": [], "comparison": "not_yet_treated", "cluster": "firm_id", "level": 0.95},
        "treatment": {"definition": "beneficiary", "beside": [], "branches": [], "reference_year": 1989},
        "money": {"headline": "nominal", "deflator": None, "base_year": None, "fx": None},
        "outcomes": [
            {
                "id": "ln_scrap",
                "measure": "scrap",
                "scale": "log",
                "direction": "decrease",
                "label": {"en": "Scrap rate", "es": "Tasa de desperdicio"},
                "relevant_effect": -0.1,
            }
        ],
        "report": {"languages": ["en", "es"], "locales": {}, "author": ""},
    }
    effects = (
        _effects()["effects"]
        .iloc[:1]
        .assign(
            outcome="ln_scrap",
            definition="beneficiary",
            estimate=-0.31,
            std_error=0.17,
            conf_low=-0.65,
            conf_high=0.03,
            effect=-0.267,
            effect_low=-0.478,
            effect_high=0.031,
            p_value=0.073,
            p_holm=0.073,
            n_treated=29,
            n_control=25,
            mde=0.39,
        )
    )
    pretrend = pd.DataFrame(
        [
            {
                "outcome": "ln_scrap",
                "statistic": NAN,
                "df": NAN,
                "df_resid": NAN,
                "p_value": NAN,
                "n_coefficients": 0,
                "detectable_slope": NAN,
                "testable": False,
                "reason": "no_pre_period",
            }
        ]
    )
    flow = pd.DataFrame(
        {"arm": ["beneficiary"] * 2 + ["nonparticipant"] * 2, "stage": ["register", "analysed"] * 2, "n": [66, 29, 91, 25]}
    )
    return Bundle.build(params, {"effects": effects, "pretrend": pretrend, "sample_flow": flow}, (), _provenance(params))


def _provenance(params: dict) -> dict:
    return {
        "inputs": {"enterprises.csv": "a" * 64, "survey.csv": "b" * 64},
        "params": params["study"] + ".yaml",
        "study_hash": "c" * 64,
        "packages": {"pipeval": "0.1.0", "pandas": "3.0.0", "numpy": "2.4.0"},
        "python": "3.11.7",
        "platform": "Linux-6.1-x86_64",
        "as_of": params["as_of"],
    }


def _frame(columns: str, rows: list) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns.split())


def _programme() -> dict[str, pd.DataFrame]:
    facts = [("programme_id", "TC-03-02-01-3-ME"), ("executing_agency", "COFOCE"), ("budget_usd", 2000000), ("place", HOSTILE)]
    calendar = [
        ("project_start", "2003-07-01", "", False),
        ("midterm", "2005-01-01", "months_after_first_disbursement", True),
        ("final", "2006-10-01", "months_before_last_disbursement", True),
        ("goal_due", "2008-07-01", "years_after_start", False),
    ]
    rows = [
        (
            "G1",
            "goal",
            "",
            "Las ventas aumentan más de 10 % en valor real",
            "Sales increase by more than 10% in real value",
            "growth",
            2003,
            "2008-07-01",
            0.10,
            "increase",
            "percent",
        ),
        (
            "G2",
            "goal",
            "",
            "La productividad (valor agregado por empleo) aumenta más de 5 %",
            "Productivity (value added per job) increases by more than 5%",
            "growth",
            2003,
            "2008-07-01",
            0.05,
            "increase",
            "percent",
        ),
        (
            "G3",
            "goal",
            "",
            "El precio medio de venta varía más de 5 %",
            "The average sales price changes by more than 5%",
            "growth",
            2003,
            "2008-07-01",
            0.05,
            "increase",
            "percent",
        ),
        (
            "P1",
            "purpose",
            "",
            "El volumen exportado por los exportadores directos aumenta 5 %",
            "Total export volume of direct exporters increases by 5%",
            "growth",
            2003,
            "2006-07-01",
            0.05,
            "increase",
            "percent",
        ),
        (
            "P3",
            "purpose",
            "",
            "30 empresas que no exportaban directamente lo hacen",
            "30 firms not exporting directly before now do",
            "count",
            2003,
            "2006-07-01",
            30,
            "increase",
            "firms",
        ),
        (
            "C2.2",
            "component",
            "2",
            f"60 empresas recibieron asistencia técnica {HOSTILE}",
            f"60 enterprises received technical assistance {HOSTILE}",
            "count",
            2003,
            "2006-07-01",
            60,
            "increase",
            "firms",
        ),
        (
            "C3.1",
            "component",
            "3",
            "El ejecutor presenta un programa de integración",
            "The agency submits an integration programme",
            "milestone",
            2003,
            "2004-07-01",
            NAN,
            "increase",
            "",
        ),
    ]
    return {
        "programme_facts": _frame("key value", facts),
        "calendar": _frame("event on rule binding", calendar),
        "indicators": _frame("id level component text_es text_en kind base_year due target direction unit", rows),
        "gaps": _frame("table consequence", [("customs", "export_value_from_survey"), ("satisfaction", "no_opinions")]),
        "faults_summary": _frame(
            "table rule kind n", [("survey", "parts_not_sum", "query", 17), ("enterprises", "duplicate_firm", "query", 3)]
        ),
        "corrections": _frame(
            "table key column old new source date",
            [("survey", "F0012, 2004", "sales_kmxn", "1200", "12000", HOSTILE, "2006-02-11")],
        ),
    }


def _samples() -> dict[str, pd.DataFrame]:
    stages = ["register", "evaluated", "comparable", "surveyed_base", "matched", "analysed"]
    counts = {
        "treated": [165, 163, 161, 158, 129, 141],
        "comparison": [500, 448, 402, 400, 129, 286],
        "indirect": [300, 270, 0, 0, 0, 0],
    }
    flow = [(arm, s, n) for arm, ns in counts.items() for s, n in zip(stages, ns, strict=True)]
    response = [
        (arm, year, n, n - drop * (year - 2002), closed * (year - 2003), (n - drop * (year - 2002)) / n)
        for arm, n, drop, closed in [("beneficiary", 200, 9, 2), ("nonparticipant", 500, 35, 8)]
        for year in range(2003, 2007)
    ]
    cells = [
        (m, arm, branch, "all", 141 if arm == "beneficiary" else 286, mean, mean * 0.6, mean * 1.3, 4)
        for m, mean in [("sales_kmxn", 12345.6), ("jobs", 23.4), ("va_job_kmxn", 187.3)]
        for arm in ("beneficiary", "nonparticipant")
        for branch in ("all", "footwear", "leather", "ceramics")
    ]
    return {
        "sample_flow": _frame("arm stage n", flow),
        "response": _frame("arm period n_registered n_responding n_closed response_rate", response),
        "response_test": _frame("period difference std_error p_value", [(2004, 0.04, 0.021, 0.057), (2006, 0.049, 0.024, 0.041)]),
        "masked": _frame("table n", [("survey", 2006), ("customs", 448)]),
        "firms_not_used": _frame(
            "firm_id stage reason",
            [("ZZ-F0077", "frame", "closed_before_entry"), ("ZZ-F0078", "headline", "not_observed_or_off_support")],
        ),
        "baseline_indicators": _frame("measure arm branch size_class n mean median sd n_missing", cells),
    }


def _control() -> dict[str, pd.DataFrame]:
    balance = [
        (c, k, s, m, m - d, d, 1.1, 0.08, 0.02, 0.05)
        for c, k, m, before, after in [
            ("ln_workers", "level", 2.9, 0.53, 0.05),
            ("branch=leather", "level", 0.4, 0.31, -0.03),
            ("chamber_member", "level", 0.61, 0.22, 0.08),
            ("exports_baseline", "level", 0.34, 0.41, 0.02),
            ("growth_ln_sales", "change", 0.02, 0.05, 0.12),
        ]
        for s, d in (("before", before), ("after", after), ("weighted", after / 2))
    ]
    overlap = [
        (
            i / 10,
            (i + 1) / 10,
            int(60 * math.exp(-(((i - 5.5) / 2.4) ** 2))),
            int(160 * math.exp(-(((i - 2.2) / 2.2) ** 2))),
            60 * math.exp(-(((i - 5.2) / 2.4) ** 2)),
        )
        for i in range(10)
    ]
    return {
        "pool": _frame(
            "reason arm n",
            [("kept", "nonparticipant", 402), ("other_programme", "nonparticipant", 31), ("indirect", "indirect", 300)],
        ),
        "unmatched": _frame("role reason n", [("treated", "caliper", 9), ("treated", "no_partner_in_exact_cell", 3)]),
        "propensity": _frame(
            "covariate estimate std_error p_value", [("ln_workers", 0.62, 0.14, 0.00001), ("ln_age", 0.21, 0.13, 0.104)]
        ),
        "balance": _frame("covariate kind sample mean_treated mean_control smd variance_ratio ks ecdf_mean ecdf_max", balance),
        "match_summary": _frame(
            "role status n_firms ess",
            [("treated", "matched", 129, 129.0), ("control", "matched", 129, 121.4), ("treated", "caliper", 12, NAN)],
        ),
        "overlap": _frame("bin_low bin_high n_treated n_control weight_control", overlap),
    } | _match_tables()


def _match_tables() -> dict[str, pd.DataFrame]:
    """What else is told of the match: other designs, joint test, squares and products, who with whom."""
    designs = [
        ("own", "optimal", 129, 0.915, 129, 121.4, 0.12, 0.04, 0.83, "ln_age", 0.13, 0, 0.09, 0.094, ""),
        ("nearest_replaced", "nearest", 133, 0.943, 91, 66.9, 0.16, 0.05, 0.67, "exports_baseline", 0.15, 0, 0.11, 0.116, ""),
        (
            "cem",
            "cem",
            38,
            0.27,
            52,
            32.3,
            0.03,
            0.01,
            1.0,
            "branch=leather",
            0.08,
            0,
            NAN,
            NAN,
            "no variation before the programme",
        ),
        ("ipw", "ipw", *[NAN] * 7, "", NAN, 0, NAN, NAN, "a fault that no template knows"),
        ("common_support", "", 136, 0.965, 285, 285.0, 0.63, 0.26, 0.33, "chamber_member", 0.3, 5, 0.08, 0.083, ""),
    ]
    terms = [
        (c, s, 2.9, 2.9 - d, 0.84, d, "treated", d * 0.84, 0.2)
        for c, before, after in [
            ("ln_workers", 0.53, 0.05),
            ("ln_workers^2", 0.55, 0.11),
            ("branch=leather*chamber_member", 0.3, -0.31),
            ("ln_workers*chamber_member", 0.4, 0.02),
        ]
        for s, d in (("before", before), ("after", after))
    ]
    pairs = [
        ("1", 2004.0, "ZZ-F0001", "ZZ-F0895", 1, "control", 0.105, 1.0, 3.0, 3.9, "leather", "leather"),
        ("1", 2004.0, "ZZ-F0001", "ZZ-F0896", 2, "backup", 0.2, 0.0, 3.0, 3.7, "leather", "leather"),
    ]
    return {
        "designs": _frame(
            "design method n_treated share_treated n_control ess_control smd_max smd_mean share_balanced worst ks_max "
            "n_off_support mde mde_share reason",
            designs,
        ),
        "orthogonality": _frame(
            "sample statistic df df_resid p_value n_treated n_control n_clusters dropped",
            [
                ("before", 11.01, 9, 455, 1e-9, 162, 294, 456, "branch=leather, exports_baseline"),
                ("after", 1.01, 9, 128, 0.436, 129, 129, 129, "branch=leather"),
            ],
        ),
        "balance_terms": _frame(
            "covariate sample mean_treated mean_control sd_treated smd denominator mean_difference p_value", terms
        ),
        "pair_distances": _frame(
            "cohort n_pairs mean median p95 max caliper",
            [("all", 129, 0.07, 0.06, 0.19, 0.22, 0.23), ("2004", 83, 0.07, 0.06, 0.18, 0.22, 0.23)],
        ),
        "match_map": _frame(
            "set_id cohort treated_id control_id rank role distance weight ln_workers_treated ln_workers_control branch_treated "
            "branch_control",
            pairs,
        ),
    }


def hidden() -> dict[str, pd.DataFrame]:
    """How far the matched estimate moves over small choices, and what it withstands of something unseen."""
    bias = [
        ("ln_sales", 95, 0.077, 0.012, 1.153, "", 0.017, 0.123, 0.027, ""),
        ("ln_va_job", 78, 0.06, 0.103, NAN, "not_significant", 0.01, 0.096, 0.0, ""),
        ("ln_price", 49, 0.0, 1.0, NAN, "no_difference", 0.02, 0.133, 0.018, ""),
    ]
    columns = (
        "outcome n_sets hodges_lehmann p_signed_rank gamma reason partial_r2 robustness_value robustness_value_significance note"
    )
    benchmarks = [
        (o, c, k, 0.01 * k, 0.004 * k, b - 0.002 * k * move, 0.03, b - 0.06, b + 0.06)
        for o, b in (("ln_sales", 0.073), ("ln_price", -0.031))
        for c, move in (("ln_workers", 1 if b > 0 else -1), ("chamber_member", 5 if b > 0 else -5))
        for k in (1.0, 2.0, 3.0)
    ]
    choices = [("headline", "", 0.063, 0.031, 1.0, 0.0), ("tie_break", "ids 1", 0.066, 0.031, 0.99, 0.11)]
    choices += [("caliper", "× 0.5", 0.082, 0.033, 0.61, 0.63), ("caliper", "0.25 sd", 0.058, 0.03, 0.8, 0.17)]
    choices += [("cutpoints", "+1 bin", NAN, NAN, NAN, NAN), ("order", "closest", 0.06, 0.03, 0.9, 0.1)]
    fragility = [("ln_sales", k, v, b, se, 129, 129, share, moved, "") for k, v, b, se, share, moved in choices]
    summary = [
        ("ln_sales", "tie_break", 20, 0, 0.063, 0.066, 0.11, 0.99),
        ("ln_sales", "caliper", 4, 0, 0.058, 0.082, 0.63, 0.61),
        ("ln_va_job", "caliper", 3, 1, 0.024, 0.046, 0.29, 0.61),
    ]
    return {
        "hidden_bias": _frame(columns, bias),
        "benchmarks": _frame(
            "outcome covariate multiple r2_treatment r2_outcome estimate std_error conf_low conf_high", benchmarks
        ),
        "fragility": _frame("outcome kind variant estimate std_error n_treated n_control shared_pairs moved reason", fragility),
        "fragility_summary": _frame("outcome kind n n_failed low high moved shared_pairs", summary),
    }


def parts() -> dict[str, pd.DataFrame]:
    """Several outcomes together, what they are made of, and power by simulation."""
    simulated = [
        ("ln_sales", "log", 200, "extrapolated", 0.775, 0.1, 0.105, 0.1, ""),
        ("ln_va_job", "log", 200, "observed", 0.23, 0.102, 0.107, 0.05, ""),
    ]
    simulated += [("exports", "poisson", NAN, None, NAN, NAN, NAN, 0.05, "amounts with zeros: see the placebo error")]
    several = [("ln_sales", 0.087, 0.03, 0.003, 0.009, 0.006, 0.01), ("ln_va_job", 0.031, 0.024, 0.2, 0.2, 0.2, 0.1)]
    several += [("summary_index", 0.08, 0.04, 0.036, NAN, NAN, NAN)]
    ratio = [("ln_va_job", p, b, 0.03, 0.01, b - 0.06, b + 0.06, b, b - 0.06, b + 0.06, 119, 226)
             for p, b in (("numerator", 0.093), ("denominator", 0.027), ("ratio", 0.063))]  # fmt: skip
    margin = [("exports", m, b, 0.04, 0.01, b - 0.08, b + 0.08, b, b - 0.08, b + 0.08, 150, 272)
              for m, b in (("extensive", 0.203), ("intensive", -0.01), ("total", 0.41))]  # fmt: skip
    numbers = "estimate std_error p_value conf_low conf_high share share_low share_high n_treated n_control"
    decomposed = [("comparison", 1.039, 1.11, 0.936, NAN, NAN, 1.066, 0.037, 0.012, 279)]
    decomposed += [("treated", 1.18, 1.129, 1.045, 1.02, 1.025, 1.166, 0.031, 0.043, 179)]
    weighted = [("ln_sales", w, 0.06, 0.02, 0.004, 0.02, 0.1) for w in ("overall", "cohort", "period", "event_time")]
    return {
        "simulated_power": _frame("outcome scale draws basis power mde mde_share target reason", simulated),
        "multiplicity": _frame("outcome estimate std_error p_value p_holm p_romano_wolf q_sharpened", several),
        "ratios": _frame("outcome part " + numbers, ratio),
        "margins": _frame("outcome margin " + numbers, margin),
        "shares": _frame(
            "outcome observed effect counterfactual conf_low conf_high outside n_treated n_control",
            [
                ("exports_directly", 0.307, 0.122, 0.184, 0.131, 0.252, False, 150, 272),
                ("survival", 0.99, -0.02, 1.01, NAN, NAN, True, 156, 278),
            ],
        ),
        "prices": _frame("group value price volume quantity mix total entered left n_items", decomposed),
        "overall": _frame("outcome weighting estimate std_error p_value conf_low conf_high", weighted),
    }


STOPPED = ("arm_and_products", "products", "arm", "leavers_treated", "leavers_control", "leavers_difference")
CHECKED = [
    ("trend_missed", "yes", 0.037, 0.098, NAN, NAN, NAN),
    ("group_trends", "informative", NAN, 0.06, -0.026, 0.153, NAN),
    ("honest_relative_magnitude", "informative", 0.35, NAN, NAN, NAN, NAN),
    ("honest_smoothness", "informative", 0.0, NAN, NAN, NAN, NAN),
    ("business_clusters", "no", 0.058, 0.069, -0.003, 0.145, 16),
    ("response_weighted", "yes", -0.01, 0.068, 0.015, 0.125, NAN),
    ("lee_bounds", "yes", NAN, NAN, 0.062, 0.093, NAN),
    ("selective_attrition", "yes", 0.4, NAN, NAN, NAN, 373),
    ("pre_period", "yes", 0.351, -0.028, NAN, NAN, NAN),
    ("pre_period", "informative", 0.092, -0.037, NAN, NAN, NAN),
    ("fake_cohort", "yes", 0.03, 0.002, NAN, NAN, 99),
    ("untouched", "yes", 0.52, NAN, NAN, NAN, NAN),
    *((f"without_{by}", "yes", 0.49, NAN, 0.055, 0.081, 3) for by in ("business_cluster", "branch", "municipality", "firm_id")),
    ("outliers", "yes", NAN, NAN, 0.055, 0.07, NAN),
    ("base_years", "yes", NAN, NAN, 0.049, 0.072, 4),
    ("contamination", "yes", 0.81, NAN, 0.092, 0.092, NAN),
    ("curve", "yes", 0.995, 0.08, 0.057, 0.103, 190),
    ("target_ruled_out", "informative", 0.136, 0.116, NAN, NAN, NAN),
]


def asked_again() -> dict[str, pd.DataFrame]:
    """The sensitivity chapter: its tables, codes as the stages write them, and a row a check."""
    tidy = "estimate std_error conf_low conf_high p_value n_treated n_control"
    one = (0.067, 0.026, 0.015, 0.118, 0.011, 133, 240)
    checks = [(check, outcome, "log", *rest) for outcome in ("ln_sales", "ln_va_job") for check, *rest in CHECKED]
    choice = ("common_support", "reg", "difference", "plan", "not_yet_treated", "year_before", "all", "kept", "constant")
    other = ("full", "imputation", "ancova", "score", "own_controls", "one_earlier", "balanced", "winsorised", "constant")
    kinds = ("CR1_t", "CR1", "CR2", "CR3", "wild_rademacher", "wild_webb", "randomisation")
    rows = [f"without_{w}" for w in ("other_programmes", "cluster_municipalities", "municipalities", "dense_municipalities")]
    rows += ["ring_effect", "dense_effect", "indirect_effect", "indirect_as_controls"]
    dose = [
        ("dose", "low"),
        ("dose", "high"),
        ("trend", "per_step"),
        ("component", "both"),
        ("assistance", "no"),
        ("per_thousand_usd", "slope"),
    ]
    groups = [("branch", "ceramics"), ("exp_status_baseline", "none"), ("owner_gender", "f"), ("size_class", "micro")]
    pairs = [
        (2004, NAN, "treated_vs_never"),
        (2004, 2005, "earlier_vs_later"),
        (2005, 2004, "later_vs_earlier"),
        (2005, NAN, "treated_vs_always"),
    ]
    placebos = [("pre_period_2003", -0.038, 0.022, 0.09, NAN, NAN, "pass"), ("fake_cohort", 0.002, 0.003, 0.59, 0.03, 99, "pass")]
    placebos += [("untouched", -0.027, 0.043, 0.52, NAN, NAN, "informative")]
    mine = "ln_sales"
    return {
        "sensitivity": _frame("check outcome scale passed number effect effect_low effect_high n", checks),
        "curve": _frame(
            "outcome design method lag adjusted comparison base sample outliers prices "
            + tidy
            + " gap_p note headline row_key question",
            [(mine, *choice, *one, NAN, "", True, "a1", "same"), (mine, *other, *one, 0.8, "repeats", False, "b2", "other")],
        ),
        "curve_summary": _frame(
            "outcome n_rows n_failed n_repeated n_same estimate median low high same_sign significant no_gap",
            [(mine, 384, 2, 3, 190, 0.067, 0.077, 0.056, 0.098, 0.995, 0.97, 0.97)],
        ),
        "honest": _frame(
            "outcome kind bound estimate conf_low conf_high excludes_zero breakdown reason share",
            [
                (mine, "relative_magnitude", 0.5, 0.067, 0.01, 0.146, True, 0.6, "", NAN),
                (mine, "smoothness", 0.0, 0.067, -0.02, 0.145, False, 0.0, "", 0.0),
            ],
        ),
        "trend_power": _frame(
            "outcome row slope bias note bias_given_passed coverage_given_passed estimate std_error conf_low conf_high p_value",
            [
                (mine, "missed_50", 0.027, 0.067, "", 0.071, 0.23, NAN, NAN, NAN, NAN, NAN),
                (mine, "missed_80", 0.037, 0.093, "", 0.099, 0.03, NAN, NAN, NAN, NAN, NAN),
                (mine, "detrended", NAN, NAN, "", NAN, NAN, 0.058, 0.043, -0.027, 0.143, 0.18),
            ],
        ),
        "few_clusters": _frame(
            "outcome kind estimate std_error df statistic p_value conf_low conf_high n_clusters n_clusters_treated reason",
            [(mine, k, 0.067, 0.033, 21.8, 2.0, 0.058, -0.003, 0.136, 256, 16, "") for k in kinds],
        ),
        "attrition_bounds": _frame(
            "outcome row estimate std_error conf_low conf_high lower upper share_trimmed",
            [
                (mine, "response_weighted", 0.066, 0.026, 0.015, 0.118, NAN, NAN, NAN),
                (mine, "lee", NAN, NAN, 0.01, 0.14, 0.06, 0.089, 0.03),
                (mine, "lee_tightened", NAN, NAN, 0.01, 0.14, 0.06, 0.089, 0.03),
            ],
        ),
        "selective_attrition": _frame(
            "outcome test estimate std_error statistic df1 df2 p_value n_firms reason",
            [(mine, t, 0.1, 0.2, 0.5, 1, 300, 0.6, 373, "") for t in STOPPED],
        ),
        "placebos": _frame(
            "outcome placebo estimate std_error p_value rejected draws result note", [(mine, *p, "") for p in placebos]
        ),
        "base_years": _frame(
            "outcome base " + tidy + " note",
            [(mine, b, *one, "") for b in ("own", "2001", "mean", "own_without_recalled", "mean_without_recalled")],
        ),
        "left_out": _frame(
            "outcome by left_out n_left_out estimate std_error p_value moved note",
            [
                (mine, "business_cluster", "C07", 9, 0.054, 0.026, 0.04, -0.49, ""),
                (mine, "branch", "ceramics", 114, 0.054, 0.03, 0.08, -0.47, ""),
                (mine, "firm_id", "ZZ-F0001", 1, 0.062, 0.026, 0.02, -0.19, ""),
            ],
        ),
        "outliers": _frame(
            "outcome row estimand " + tidy + " note",
            [
                (mine, r, e, *one, "")
                for r, e in (
                    ("headline", "mean"),
                    ("winsorised", "winsorised_mean"),
                    ("least_squares", "mean"),
                    ("huber", "robust_location"),
                    ("median", "median"),
                )
            ],
        ),
        "contamination": _frame(
            "outcome row scale " + tidy + " n_left note", [(mine, r, "log", *one, 0, "") for r in ("headline", *rows)]
        ),
        "subgroups": _frame(
            "outcome column group " + tidy + " p_equal difference p_difference note",
            [(mine, c, g, *one, 0.83, 0.01, 1.0, "") for c, g in groups],
        ),
        "dose": _frame("outcome division group " + tidy + " p_equal note", [(mine, d, g, *one, 0.27, "") for d, g in dose]),
        "spillover": _frame(
            "outcome term " + tidy + " note", [(mine, t, *one, "") for t in ("indirect", "direct", "direct_naive")]
        ),
        "bacon": _frame(
            "outcome treated untreated type estimate weight n_treated n_control", [(mine, *p, 0.07, 0.25, 73, 193) for p in pairs]
        ),
    }


def _effects() -> dict[str, pd.DataFrame]:
    rows = []
    values = {
        "ln_sales": (0.087, 0.029),
        "ln_va_job": (0.031, 0.024),
        "ln_price": (0.012, 0.011),
        "jobs": (0.041, 0.019),
        "exports": (0.19, 0.21),
        "exports_directly": (0.072, 0.031),
        "survival": (-0.011, 0.018),
    }
    for definition, design, shift, headline in [
        ("component2", "common_support", 0.0, True),
        ("component2", "matched", -0.004, False),
        ("ta_recipient", "common_support", 0.03, False),
        ("beneficiary", "common_support", -0.02, False),
    ]:
        for outcome, (b, se) in values.items():
            b, scale = b + shift, _OUTCOMES[outcome][2]
            low, high = b - 1.97 * se, b + 1.97 * se
            share = math.expm1 if scale in ("log", "poisson") else float
            p = math.erfc(abs(b / se) / math.sqrt(2))
            holm = min(1.0, 3 * p) if outcome in ("ln_sales", "ln_va_job", "ln_price") else NAN
            rows.append(
                (
                    definition,
                    design,
                    outcome,
                    scale,
                    b,
                    se,
                    426,
                    p,
                    low,
                    high,
                    share(b),
                    share(low),
                    share(high),
                    holm,
                    141,
                    286,
                    427,
                    2.8 * se,
                    headline,
                    False,
                )
            )
    columns = (
        "definition design outcome scale estimate std_error df p_value conf_low conf_high effect effect_low effect_high "
        "p_holm n_treated n_control n_clusters mde headline early"
    )
    power = [
        (
            o,
            2006,
            se * 9,
            141,
            286,
            se * 2.8,
            0.10 if o == "ln_sales" else 0.05,
            se * 2.8 <= (0.1 if o == "ln_sales" else 0.05),
            "baseline",
        )
        for o, (_, se) in values.items()
    ]
    robustness = [
        (
            row,
            o,
            values[o][0] + d,
            values[o][1] * k,
            values[o][0] + d - 2 * k * values[o][1],
            values[o][0] + d + 2 * k * values[o][1],
            141,
            286,
            note,
        )
        for row, d, k, note in [
            ("matched", -0.004, 1.25, ""),
            ("never_treated", 0.002, 1.05, ""),
            ("twfe", -0.03, 0.8, "negative_weights"),
        ]
        for o in ("ln_sales", "ln_va_job")
    ]
    checks = [
        ("support", None, "pass", 0.964, "support"),
        ("balance", None, "pass", 0.08, "balance"),
        ("attrition", None, "mild", 0.062, "attrition"),
        ("spillover", None, "pass", 0.4, "spillover"),
        ("clusters", None, "mild", 6, "clusters"),
        ("pre_trend", "ln_sales", "mild", 0.0312, "pre_trend"),
        ("base_year", "ln_sales", "pass", 0.2217, "base_year"),
        ("pre_trend", "exports", "not_testable", NAN, "pre_trend"),
        ("base_year", "exports", "not_testable", NAN, "base_year"),
    ]
    return {
        "effects": _frame(columns, rows),
        "power": _frame("outcome horizon sd_change n_treated n_control mde_share target detectable source", power),
        "robustness": _frame("row outcome estimate std_error conf_low conf_high n_treated n_control note", robustness),
        "design_checks": _frame("check outcome result value rule", checks),
    }


def _dynamics() -> dict[str, pd.DataFrame]:
    trends, events, cells, cohorts, periods, pre = [], [], [], [], [], []
    for k, outcome in enumerate(("ln_sales", "ln_va_job", "ln_price", "jobs")):
        for group, slope in (("treated", 3.1), ("matched", 0.9), ("comparison", -1.2)):
            for year in range(2001, 2007):
                level = 100 + slope * (year - 2003) + k
                trends.append((outcome, year, group, level if year != 2003 else 100, level - 2.5, level + 2.5, 141))
        for e in range(-2, 3):
            b, se = (0.0 if e == -1 else 0.006 * e if e < 0 else 0.04 + 0.025 * e), (0.0 if e == -1 else 0.02)
            events.append((outcome, e, b, se, b - 1.97 * se, b + 1.97 * se, b - 2.5 * se, b + 2.5 * se))
        for cohort in (2004, 2005):
            cohorts.append((outcome, cohort, 0.08 - 0.02 * (cohort - 2004), 0.03, 0.02, 0.14, 80, 286))
            for year in range(2002, 2007):
                cells.append((outcome, cohort, year, cohort - 1, 0.02 * max(0, year - cohort + 1), 0.02, -0.02, 0.06, 80, 286))
        periods += [
            (outcome, y, 0.03 * (y - 2003), 0.03, 0.03 * (y - 2003) - 0.06, 0.03 * (y - 2003) + 0.06, 141, 286)
            for y in (2004, 2005, 2006)
        ]
        pre.append((outcome, 1.31, 2, 426, 0.271, 2, 0.032, True, ""))
    columns = "estimate std_error conf_low conf_high n_treated n_control"
    return {
        "trends": _frame("outcome period group mean conf_low conf_high n", trends),
        "event_study": _frame("outcome event_time estimate std_error conf_low conf_high band_low band_high", events),
        "att_gt": _frame("outcome cohort period base_period " + columns, cells),
        "att_by_cohort": _frame("outcome cohort " + columns, cohorts),
        "att_by_period": _frame("outcome period " + columns, periods),
        "pretrend": _frame("outcome statistic df df_resid p_value n_coefficients detectable_slope testable reason", pre),
    }


def _judgement(stage: str) -> dict[str, pd.DataFrame]:
    columns = (
        "id level component text_es text_en attainment evidence baseline current change nominal_change "
        "value target unit direction due interim projection n "
        "effect effect_low effect_high p_value p_adjusted mde relevant_effect remarks"
    )
    texts = {r[0]: r for r in _programme()["indicators"].itertuples(index=False, name=None)}
    early = stage == "midterm"

    def row(key, attainment, evidence, numbers, remarks=""):
        _, level, component, es, en, _, _, due, target, direction, unit = texts[key]
        base, current, change, nominal, n, *effect = numbers
        attainment = "not_yet_due" if early else attainment
        evidence = "not_assessed" if early and level == "goal" else evidence
        return (
            key,
            level,
            component,
            es,
            en,
            attainment,
            evidence,
            base,
            current,
            change,
            nominal,
            current if change != change else change,
            target,
            unit,
            direction,
            due,
            change if early or level == "goal" else NAN,
            change * 5 / 3 if level == "goal" else NAN,
            n,
            *effect,
            0.10 if unit == "percent" else NAN,
            remarks,
        )

    rows = [
        row(
            "G1",
            "not_yet_due",
            "demonstrated",
            (12345.6, 13728.3, 0.112, 0.254, 141, 0.091, 0.03, 0.155, 0.003, 0.008, 0.081),
            "reading_real_unstated;check_mild=pre_trend;smaller_than_target",
        ),
        row("G2", "partly_met", "inconclusive", (187.3, 194.6, 0.039, 0.171, 141, 0.031, -0.016, 0.081, 0.2, 0.4, 0.068)),
        row(
            "G3",
            "not_met",
            "target_ruled_out",
            (98.1, 99.4, 0.013, 0.14, 133, 0.012, -0.01, 0.034, 0.27, 0.4, 0.031),
            "reading_direction_increase;zz_unknown",
        ),
        row("P1", "met", "indicative", (41.2, 45.0, 0.093, 0.231, 28, 0.19, -0.21, 0.81, 0.21, NAN, 0.45)),
        row("P3", "not_met", "indicative", (0, 28, NAN, NAN, 140, 15.2, -1.1, 31.4, 0.07, NAN, NAN)),
        row("C2.2", "met", "descriptive", (0, 64, NAN, NAN, 64, NAN, NAN, NAN, NAN, NAN, NAN)),
        row("C3.1", "not_measurable", "not_assessed", (NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN)),
    ]
    moves = [
        (arm, a, b, n, n / total)
        for arm, total, cells in [
            (
                "treated",
                141,
                [
                    ("none", "none", 51),
                    ("none", "indirect", 19),
                    ("none", "direct", 6),
                    ("indirect", "none", 3),
                    ("indirect", "indirect", 16),
                    ("indirect", "direct", 9),
                    ("direct", "none", 2),
                    ("direct", "indirect", 4),
                    ("direct", "direct", 31),
                ],
            ),
            (
                "comparison",
                286,
                [
                    ("none", "none", 176),
                    ("none", "indirect", 31),
                    ("none", "direct", 5),
                    ("indirect", "none", 9),
                    ("indirect", "indirect", 24),
                    ("indirect", "direct", 6),
                    ("direct", "none", 6),
                    ("direct", "indirect", 7),
                    ("direct", "direct", 22),
                ],
            ),
        ]
        for a, b, n in cells
    ]
    new = [("P3", "beneficiary", 140, 28, 12.8, 15.2, -1.1, 31.4, 7), ("P4", "beneficiary", 115, 45, 24.7, 20.3, 4.9, 35.7, 5)]
    readings = [("G1", "total", 0.112), ("G1", "median", 0.043), ("G1", "exits_as_zero", -0.0371), ("G1", "projection", 0.187)]
    readings += [("P1", "survivors_only", 0.104), ("P1", "exports_usd", 0.081), ("C2.2", "ceramics", 21.0), ("G3", "median", NAN)]
    lint = [("G3", "direction", "warn", "direction_assumed"), ("P3", "feasibility", "fail", "eligible=94"), ("G1", "due", "ok", "")]
    return {
        "readings": _frame("id reading value", readings),
        "logframe_lint": _frame("indicator check result detail", lint),
        "verdicts": _frame(columns, rows),
        "transitions": _frame("arm from to n share", moves),
        "new_exporters": _frame(
            "indicator population n_eligible gross expected net net_low net_high n_without_counterfactual", new
        ),
    }


def _execution() -> dict[str, pd.DataFrame]:
    budget = [
        (c, s, b, b * share, share)
        for c, s, b, share in [
            ("1", "mif", 111500, 1.02),
            ("1", "counterpart", 34600, 0.97),
            ("2", "mif", 800000, 0.91),
            ("2", "counterpart", 683600, 0.88),
            ("total", "mif", 1000000, 0.93),
            ("total", "counterpart", 1000000, 0.9),
        ]
    ]
    curve = [
        (
            f"{2003 + q // 4}-{3 * (q % 4) + 1:02d}-01",
            source,
            round(total / (1 + math.exp(-(q - 9) / 2))),
            1 / (1 + math.exp(-(q - 9) / 2)),
        )
        for q in range(2, 17)
        for source, total in (("mif", 1e6), ("counterpart", 9e5))
    ]
    outputs = [
        (
            "A001",
            "2",
            "Asistencia técnica en producción",
            "Technical assistance in production",
            "firms",
            60,
            64,
            64 / 60,
            "2006-06-30",
            "2006-05-12",
            "done",
        ),
        ("A002", "2", "Misiones comerciales", "Trade missions", "missions", 12, 9, 0.75, "2006-06-30", None, "delayed"),
        ("A003", "4", HOSTILE, HOSTILE, "cases", 4, NAN, NAN, "2006-07-31", None, "pending"),
    ]
    return {
        "budget": _frame("component source budget_usd executed_usd share", budget),
        "disbursement": _frame("on source cumulative_usd share", curve),
        "outputs": _frame(
            "activity_id component description_es description_en unit planned_qty actual_qty share planned_end actual_end status",
            outputs,
        ),
    }


_SIDE = """
# homogeneity
measure|branch|size_class|cell|n|median|limit_low|limit_high|n_flagged
sales_per_worker|ceramics|micro|branch_size|149|95.16|16.76|540.3|0
sales_per_worker|ceramics|small|branch_size|100|88.74|22.27|353.6|1

# territory
year|sector|measure|figure|territory_total|expanded_sum|ratio_register|ratio_expanded|status|note
2002|footwear|firms|firms|3500.0|3487.0|0.128|0.9962|plausible|
2002|footwear|workers|workers|67000.0|66470.0|0.1498|0.9921|plausible|

# territory_sources
year|sector|measure|basis|low|high|spread|status
2002|all|firms|sum_of_parts|9000.0|9345.0|0.03833|agree
2002|all|workers|sum_of_parts|120000.0|127500.0|0.0625|agree

# queries_by_arm
rule|arm|n|n_firms|share|share_low|share_high
exports_currency|beneficiary|2|200|0.01|0.002747|0.03572
exports_currency|indirect|0|300|0.0|0.0|0.01264

# waves
period|arm|n_registered|n_complete|n_partial|n_refusal|n_recalled|n_part_year|share|share_low|share_high
2001|beneficiary|200|175|9|10|184|0|0.92|0.874|0.9502
2001|indirect|300|265|12|13|277|0|0.9233|0.8876|0.9484

# waves_exporters
period|exp_status_baseline|n_registered|n_complete|n_partial|share|share_low|share_high
2001|direct|105|94|5|0.9429|0.8809|0.9736
2001|indirect|178|157|8|0.927|0.8791|0.9568

# survey_modes
period|mode|share
2001|face|0.6069
2001|mail|0.1086

# missing_figures
period|arm|measure|share
2001|all|sales|0.0
2001|all|value_added|0.03366

# survey_dates
check|n|value|unit|limit|status
months_year_to_interview|977|0.0|months|12.0|within
interviewed_before_year_end|977|0.5046|share||observed

# control_designation
exp_status_baseline|n|n_before|n_after|n_not_known|share|share_low|share_high
all|498|498|0|0|1.0|0.9923|1.0

# consent
arm|n|n_yes|n_no|n_not_known|n_used_without|share|share_low|share_high
beneficiary|200|200|0|0|0|1.0|0.9812|1.0
indirect|300|287|13|0|13|0.9567|0.9273|0.9745

# baseline_update
measure|prices|arm|n|mean_base|mean_final|mean_change|value_change
sales|real|beneficiary|139|7127.0|7546.0|419.2|1.059
sales|real|indirect|208|3707.0|3502.0|-204.4|0.9449

# marginal_change
measure|dose|n|dose_mean|change_per_unit|estimate|conf_low|conf_high
sales|per_thousand_usd|139|2.347|178.6|68.57|-129.8|267.0
sales|per_day|139|25.27|16.59|0.7713|-23.11|24.66

# owners
arm|owner_gender|n|share|share_low|share_high
beneficiary|f|46|0.2312|0.178|0.2945
beneficiary|m|107|0.5377|0.4684|0.6056

# size_rules
rule|arm|size_class|n|share
2002|beneficiary|micro|49|0.245
2002|beneficiary|small|126|0.63

# eligibility
criterion|arm|n_met|n_not_met|n_not_known|share|share_low|share_high
elig_msme|beneficiary|200|0|0|1.0|0.9812|1.0
elig_willing|beneficiary|200|0|0|1.0|0.9812|1.0

# ineligible_controls
n|n_eligible|n_ineligible|n_not_known|share|share_low|share_high
498|384|114|0|0.2289|0.1942|0.2678

# coverage
arm|sector|planned|potential|n_registered|n_committed|n_entered|n_served|progress|share|share_low|share_high
beneficiary|ceramics|||50|50.0|50.0|48||0.96|0.8654|0.989
beneficiary|all|200.0||200|200.0|200.0|192|1.0|0.96|0.9231|0.9796
indirect|all|300.0|2000.0|300|||0|1.0|||
nonparticipant|all|||498|||0||||

# served_groups
received|covariate|group|n_firms|n_served|share|share_low|share_high
service|branch|ceramics|50|48|0.96|0.8654|0.989
service|branch|footwear|85|83|0.9765|0.9182|0.9935

# selection
received|covariate|n_served|n_other|mean_served|mean_other|gap|conf_low|conf_high|p_value
service|priority_score|192|8|64.15|70.75|-6.604|-15.53|2.319|0.1258
service|group_experience|192|8|0.4792|0.5|-0.02083|-0.4695|0.4278|0.9166

# other_programmes
programme|arm|n_firms|amount_usd|share|share_low|share_high
CEVEM|beneficiary|4|8800.0|0.02|0.007804|0.05029
CEVEM|indirect|0||0.0|0.0|0.01264

# services
component|activity_type|subject|mode|n_services|n_events|n_firms|n_persons|n_participations|cost_usd|programme_share|quality_mean
1|diagnosis|management|individual|192||192|||99140.0|0.5353|3.943
1|workshop|cooperation|group|167|23.0|167|284.0|403.0|24020.0|0.5169|3.91

# counted_apart
component|n_services|n_events|n_firms|n_persons|n_participations|n_firms_added
1|359|23|192|284|403.0|359
2|541|96|153|277|858.0|468

# received
sector|received|n_served|n_firms|share|share_low|share_high
ceramics|assistance|18|50|0.36|0.2414|0.4986
ceramics|training|44|50|0.88|0.762|0.9438
all|assistance|64|200|0.32|0.2593|0.3875
all|training|147|200|0.735|0.6698|0.7913

# assistance
subject|n_services|n_firms|days|paid_usd|share|share_low|share_high
management|34|34|404.0|52310.0|0.8235|0.6649|0.9165
production|110|64|1046.0|121900.0|0.8545|0.7767|0.9084

# missions
sector|year|n_events|n_firms|planned|status
ceramics|2004|1|4|2.0|below
ceramics|2005|2|4|2.0|reached

# quarters
quarter|complete|n_services|n_events|n_firms|n_new_firms|expense_usd|disbursed_usd|n_milestones
2003Q3|True|1.0|0.0|1.0|1.0|34480.0|80000.0|0.0
2003Q4|True|1.0|0.0|1.0|1.0|55210.0|50000.0|2.0

# activity_matrix
activity_id|component|description_es|description_en|unit|actual_qty|n_firms|n_persons|cost_usd|cost_per_firm|ledger_usd|usefulness|n_usefulness
A001|1|Diagnóstico de empresa|Diagnosis of firms|firms|192.0|192||99140.0|516.3|||0
A002|1|Talleres de integració|Integration workshops|workshops|23.0|167|284.0|24020.0|143.9||4.006|320

# cooperation
arm|measure|n|mean_base|mean|mean_change|conf_low|conf_high
beneficiary|n_ties|166|1.524|2.705|1.181|0.8574|1.504
indirect|n_ties|233|1.373|1.584|0.2103|-0.02919|0.4498

# clusters
cluster_id|sector|cluster_type|n_members|members_planned|n_milestones|stage|joint_actions_planned|joint_actions_done|share|paid_usd|months|lag_months
C01|leather_footwear|horizontal|8|10.0|5|joint_sale|5.0|2.0|0.4|29740.0|35.22|-0.2136
C02|leather_footwear|cluster|9|16.0|3|formed|5.0|4.0|0.8|41290.0|38.05|-2.152

# cluster_funnel
sector|stage|n
ceramics|identified|5
ceramics|plan_approved|5

# typology
cluster_type|n_clusters|n_firms|n_others|appropriability|monitor|controls
horizontal|10|101|3|high|all_participants|same_sector
vertical|3|30|2|high|all_participants|same_sector

# chain_roles
sector|role|n_clusters|n_firms|n_beneficiaries|n_large|n_served|paid_usd|share|n|n_exporting_base|n_exporting
ceramics|anchor|1|1|0|1|1|||1|1|1
ceramics|supplier|1|9|9|0|9|21500.0|1.0|9|2|4

# joint_actions
sector|type|n|n_clusters|n_firms|joint_value_k|saving_k|saving_share
all|catalogue|10|6|27|||
all|fair|11|8|28|||

# id_matches
table|column|refers_to|n|n_found|share
survey|firm_id|enterprises|998|998|1.0
services|firm_id|enterprises|192|192|1.0

# export_trend
branch|arm|period|n|n_exporting|exports_usd|base_usd|export_index
all|beneficiary|2001|184|39|22130000.0|11620000.0|190.5
all|beneficiary|2002|192|36|14750000.0|11900000.0|123.9

# exports_by_year
year|n_both|n_survey_only|n_customs_only|n_no_answer|survey_usd|customs_usd|ratio|share
2002|95|9|0|0|26960000.0|25100000.0|0.931|0.9135
2003|96|6|0|0|23530000.0|21650000.0|0.9203|0.9412

# cost_by_component
component|year|services_usd|ledger_usd|difference_usd|status
1|2003|653.0|45890.0|45240.0|ledger_higher
1|2004|44980.0|65710.0|20730.0|ledger_higher

# sources
comparison|first|second|n|n_agree|share|share_low|share_high|ratio
exports|survey|customs|566|534|0.9435|0.9213|0.9597|0.9435
costs|services|ledger|8|6|0.75|0.4093|0.9285|2.299

# information
table|n_rows|complete_needed|complete_other|last_on|queries_per_100|share_covered|n_passed|n_rules|score
enterprises|998|1.0|0.9998||0.501||2|2|4.0
survey|5986|1.0|0.9578|2007-03-27|0.6348|1.0|4|4|4.0

# freshness
sector|n_firms|n_fresh|months_old|share|share_low|share_high
ceramics|44|44|0.9692|1.0|0.9197|1.0
garment|30|27|0.8871|0.9|0.7438|0.9654

# staff
post|unit|n_holders|n_changes|months|vacant_months|share|held
assistant|coordination_unit|1|0|42.58|0.0|1.0|True
ceramics_coordinator|ceramics|2|1|38.9|1.544|0.9603|True

# turnover
n_posts|n_changed|n_vacant|vacant_months|changes_per_year|share|share_low|share_high
7|1|1|6.604|0.04253|0.1429|0.02568|0.5131

# budget_sources
component|mif_usd|counterpart_usd|budget_usd|share_mif
1|111600.0|34600.0|146200.0|0.7633
2|799400.0|684200.0|1484000.0|0.5388

# budget_shares
component|budget_usd|printed|computed|gap|agrees
1|146200.0|7.6|7.31|-0.29|False
2|1484000.0|74.0|74.18|0.18|False

# unassigned
kind|item|n|n_missing|share|missing_usd
disbursement|source|14|0|1.0|0.0
disbursement|document|14|0|1.0|0.0

# budget_years
component|source|period|executed_usd|cumulative_usd|share
1|mif|2003|45890.0|45890.0|0.4112
1|mif|2004|65710.0|111600.0|1.0

# counterpart
component|budget_usd|due_usd|paid_usd|cash_usd|in_kind_usd|fulfilment|behind
1|34600.0|34120.0|33090.0|33090.0|0.0|0.97|False
total|1000000.0|986000.0|956400.0|693200.0|263200.0|0.97|False

# counterpart_path
on|share_mif|share_counterpart|due_usd|paid_usd|fulfilment|behind
2003-07-01|0.08|0.0|80000.0|0.0|0.0|False
2003-10-01|0.08|0.06094|80000.0|60940.0|0.7618|False
2003-10-15|0.13|0.06094|130000.0|60940.0|0.4688|False
2004-01-01|0.13|0.1006|130000.0|100600.0|0.7735|False
2004-02-10|0.21|0.1006|210000.0|100600.0|0.4788|True
2004-04-01|0.21|0.1649|210000.0|164900.0|0.7851|False
2004-05-12|0.29|0.1649|290000.0|164900.0|0.5685|True
2004-07-01|0.29|0.2311|290000.0|231100.0|0.7968|False

# revolving
limit_usd|max_usd|on|balance_usd|n_over|share|status
100000.0|182700.0|2004-12-01|17430.0|248|0.181|exceeded

# firm_contributions
component|n_firms|services_usd|share|ledger_usd
1|192.0|57670.0|0.4683|0.0
2|153.0|362700.0|0.5296|0.0

# cap
n_firms|cap_usd|mean_usd|median_usd|max_usd|n_near|n_over|share
192|7500.0|2019.0|1118.0|7992.0|6|2|0.04167

# cofinancing
by|group|n|n_firms|total_usd|rate|average|difference|scheduled|status
all|all|899|192|807700.0|0.4797|0.5|-0.02027|0.4942|within

# cofinancing_path
period_end|scheduled|rate|firm_share|total_usd|programme_usd|n|n_firms
2003-09-30|0.6836|0.6042|0.3958|649.7|392.5|1|1
2003-12-31|0.65|0.577|0.423|451.5|260.5|1|1
2004-03-31|0.6164|0.5898|0.4102|130400.0|76910.0|156|104
2004-06-30|0.5832|0.5629|0.4371|100900.0|56800.0|167|99
2004-09-30|0.55|0.5351|0.4649|127100.0|68000.0|131|75
2004-12-31|0.5164|0.5036|0.4964|62790.0|31620.0|63|49
2005-03-31|0.4832|0.469|0.531|91610.0|42960.0|103|76
2005-06-30|0.4499|0.4389|0.5611|62630.0|27490.0|68|45

# firm_share
by|group|n_quarters|share_first|share_last|change_quarter|change_low|change_high|scheduled_change|demand
all|all|14|0.3958|0.7071|0.02686|0.02436|0.02935|0.03083|0.4453
component|1|8|0.3958|0.6847|0.02756|0.02249|0.03263|0.03202|0.6244

# reports_due
kind|period_end|due|delivered|days_late|status
quarterly|2004-09-30|2004-10-30|2004-11-12|13.0|late
quarterly|2006-03-31|2006-04-30||335.0|overdue

# reports_summary
kind|n|n_on_time|n_late|n_overdue|n_not_known|share|days_late|next_due
quarterly|14|12|1|1|0|0.8571|174.0|
semiannual|7|6|1|0|0|0.8571|40.0|

# conditions_met
condition_id|applies_to|sector|statement_es|statement_en|met|first_money|days_late|paid_before_usd|status
K1|first_disbursement||Plan de trabajo del pr|Work plan for the firs|2003-06-09|2003-07-01|-22|0.0|met
K2|first_disbursement||Unidad de coordinación|Coordination unit in p|2003-06-16|2003-07-01|-15|0.0|met

# progress
component|total_usd|planned_usd|earned_usd|actual_usd|spi|cpi|share_earned|share_spent
1|146200.0|146200.0|143000.0|144700.0|0.9781|0.9883|0.9781|0.9897
total|1952000.0|1952000.0|1750000.0|1886000.0|0.8963|0.9275|0.8963|0.9664

# progress_path
on|component|planned_usd|earned_usd|actual_usd|share_planned|share_earned|share_spent
2003-08-31|1|0.0|0.0|0.0|0.0|0.0|0.0
2003-09-30|1|7869.0|1483.0|22950.0|0.05382|0.01014|0.157
2003-10-31|1|25050.0|9422.0|25060.0|0.1713|0.06445|0.1714
2003-11-30|1|45610.0|19100.0|25060.0|0.312|0.1306|0.1714
2003-12-31|1|66860.0|29050.0|48000.0|0.4573|0.1987|0.3283
2004-01-31|1|75910.0|38860.0|49370.0|0.5192|0.2658|0.3377
2004-02-29|1|87510.0|44850.0|49370.0|0.5985|0.3068|0.3377
2004-03-31|1|99900.0|49070.0|72070.0|0.6833|0.3357|0.493

# satisfaction
wave|component|item|scale|step|n_asked|response_rate|n|mean|mean_low|mean_high|share|share_low|share_high|agreement
final|1|timeliness|one_to_five|II|192|0.7812|150|3.72|3.594|3.846|0.6267|0.547|0.7|0.6133
final|1|usefulness|one_to_five|II|192|0.7812|150|4.113|3.993|4.234|0.8133|0.7434|0.8676|0.6433

# satisfaction_shares
wave|component|item|score|n|share
final|1|timeliness|1|0|0.0
final|1|timeliness|2|8|0.05333
final|1|timeliness|3|48|0.32
final|1|timeliness|4|72|0.48
final|1|timeliness|5|22|0.1467
final|1|usefulness|1|0|0.0
final|1|usefulness|2|3|0.02
final|1|usefulness|3|25|0.1667

# opinion_flags
wave|by|component|activity_id|item|n|reason|measured|threshold
final|component|2.1||environment|51|low|2.922|3.0
final|component|2.1||environment|51|split|0.451|0.25

# opinion_followup
wave|by|component|activity_id|item|side|n_firms|characteristic|group|n|share
final|component|2.1||environment|high|23|branch|footwear|37|0.4865
final|component|2.1||environment|high|23|exp_status_baseline|direct|13|0.4615

# response_groups
wave|component|profile|item|n_firms|mean
final|1|low|all|18|2.806
final|1|low|timeliness|18|2.722

# response_types
wave|component|characteristic|group|profile|n|share|test|p_holm
final|1|branch|ceramics|low|3|0.08333|permutation|1.0
final|1|branch|ceramics|lower_middle|11|0.3056|permutation|1.0

# response_association
wave|component|item|characteristic|n|n_groups|p_value|p_holm
final|1|timeliness|branch|150|4|0.8556|1.0
final|1|timeliness|size_class|150|3|0.5065|1.0

# response_map
wave|by|component|activity_id|item|characteristic|group|n|mean|reason
final|component|1||timeliness|all|all|150|3.72|none
final|component|1||usefulness|all|all|150|4.113|none
final|component|2.1||design|all|all|37|4.0|none
final|component|2.1||environment|all|all|51|2.922|low_divided
final|component|2.1||quality|all|all|91|3.901|none
final|component|2.1||timeliness|all|all|91|3.747|none
final|activity||A002|timeliness|all|all|150|3.72|none
final|activity||A002|usefulness|all|all|150|4.113|none

# opinion_nonresponse
wave|characteristic|group|n_asked|n_responding|response_rate|share_responding|share_silent|p_value
final|branch|ceramics|48|36|0.75|0.24|0.2857|0.8148
final|branch|footwear|83|67|0.8072|0.4467|0.381|0.8148

# opinion_effect
outcome|wave|item|n_yes|n_no|mean_yes|mean_no|difference|difference_low|difference_high|basis
ln_sales|final|usefulness|111|31|-0.02712|0.08216|-0.101|-0.2068|0.019|association

# compliance_path
norm|arm|quarter|n|share|share_low|share_high
env|beneficiary|2004Q2|78|0.5641|0.4536|0.6686
env|beneficiary|2007Q1|69|0.6522|0.5345|0.7538

# compliance
source|norm|by|group|arm|moment|n|share|share_low|share_high
inspection|both|all|all|beneficiary|base|78|0.3205|0.2275|0.4304
inspection|both|all|all|beneficiary|now|69|0.4493|0.3377|0.5662
inspection|env|all|all|beneficiary|base|78|0.5641|0.4536|0.6686
inspection|env|all|all|beneficiary|now|69|0.6522|0.5345|0.7538
inspection|both|sector|ceramics|beneficiary|base|20|0.35|0.1812|0.5671
inspection|both|sector|ceramics|beneficiary|now|17|0.5294|0.3096|0.7383

# compliance_change
source|norm|by|group|arm|n|share_base|share_now|n_gained|n_lost|difference|difference_low|difference_high|p_value
inspection|both|all|all|beneficiary|67|0.3134|0.4328|11|3|0.1194|0.009385|0.2225|0.05737
inspection|env|all|all|beneficiary|67|0.5522|0.6418|9|3|0.08955|-0.01338|0.1873|0.146
inspection|osh|all|all|beneficiary|67|0.6418|0.7015|9|5|0.0597|-0.05119|0.1671|0.424
survey|both|all|all|beneficiary|166|0.2831|0.4398|26|0|0.1566|0.09884|0.2107|2.98e-08

# rubric_scores
rubric|subject|criterion|criterion_es|criterion_en|n_raters|median|lowest|highest|mean_first|mean_last|evidenced
capacity|COFOCE|coordination|Coordinación con las i|Coordination with supp|3|4.0|4.0|4.0|3.0|4.0|1.0
capacity|COFOCE|cost_recovery|Cobro por servicios|Charging for services|3|2.0|1.0|3.0|2.0|2.0|1.0

# rubric_agreement
rubric|last|n_raters|n_items|alpha|result
capacity|2005-02-28|3|13|0.6651|fail
capacity|2006-10-16|3|13|0.7287|mild

# rubric_overview
rubric|subject|n_criteria|mean_first|mean_last|score_change|n_improved|n_worsened|last
capacity|COFOCE|5|2.267|3.2|0.9333|4.0|0.0|2006-10-16
capacity|technology_centre_1|4|2.417|3.75|1.333|4.0|0.0|2006-10-16
readiness|ceramics|4||1.75||||2003-12-10
readiness|garment|4||1.833||||2003-12-10

# assessment_scores
arm|assessor|factor|n|mean_first|mean_last|score_change|score_change_low|score_change_high|goal|share
beneficiary|expert|cooperation|37|1.676|2.797|1.122|0.953|1.29|3.162|0.4595
beneficiary|expert|design|37|2.378|2.824|0.4459|0.3111|0.5808|4.081|0.0

# assessment_gaps
arm|factor|moment|n|mean_expert|mean_firm|gap|gap_low|gap_high
beneficiary|cooperation|base|40|1.675|2.15|-0.475|-0.6284|-0.3216
beneficiary|cooperation|now|37|2.797|2.811|-0.01351|-0.1731|0.146

# evidence_register
id|kind|supports|mixed|contradicts|n
C1.1|agency|1|0|0|1
C2.1|consultant|2|0|0|2

# triangulation
id|n|n_kinds|supports|mixed|contradicts|triangulation
C1.1|1|1|1|0|0|too_few
C2.1|4|2|4|0|0|agree_supports

# statements
id|kind|stance|statement_es|statement_en
C1.1|agency|supports|El plan se acordó con |The plan was agreed wi
C2.1|consultant|supports|Las agrupaciones se re|The clusters meet with

# findings_register
finding_id|stage|statement_es|statement_en|severity|action_es|action_en|owner|due|status
N004|midterm|El sistema de informac|The information system|3.0|Completar la base con |Complete the data base|COFOCE|2005-12-31|closed
N001|midterm|La contrapartida va en|Counterpart stands at |2.0|Calendario de aportes |Schedule of contributi|COFOCE|2005-06-30|closed

# measures_followup
stage|severity|n|n_closed|n_overdue|n_open|share|share_low|share_high
midterm|all|4|4|0|0|1.0|0.5101|1.0
midterm|3|1|1|0|0|1.0|0.2065|1.0

# twfe
outcome|term|estimate|std_error|classical_error|p_value|negative_weight
ln_sales|post|0.06188|0.01809|0.01474|0.0006788|0.0137
ln_sales|event time 0|0.05351|0.01889|0.01801|0.004812|

# tracker
id|level|component|kind|unit|period|value|planned|target|n|status
G1|goal||growth|share|2003|0.0|0.0|0.1|158.0|on_path
G1|goal||growth|share|2004|-0.01697|0.02|0.1|149.0|behind

# plan_status
status|timing|locked_on|sha256|latest_year|n_deviations|n_estimates
departed|before_outcomes|2004-06-30|45674ebff384|2003.0|2|0

# deviations
key|locked|used|kind|affects
sensitivity.permutatio|999|99|changed|checks
sensitivity.simulation|200|20|changed|checks

# costs
component|source|cost_usd
1|mif|111600.0
all|mif|968600.0
all|counterpart|956400.0
all|firms|420400.0
all|all|2345000.0

# cost_per_output
activity_id|component|description_es|description_en|unit|actual_qty|cost_usd|unit_cost_usd|planned_unit_cost_usd
A001|1|Diagnóstico de empresa|Diagnosis of firms|firms|192.0|99140.0|516.3|400.0
A002|1|Talleres de integració|Integration workshops|workshops|23.0|24020.0|1044.0|1310.0

# cost_per_firm
component|n_firms|n_services|cost_usd|cost_per_firm_usd|cost_per_service_usd
1|192|359|202400.0|1054.0|563.7
2|153|541|1797000.0|11740.0|3321.0

# cost_per_effect
row|unit|gain|cost_per_unit_usd|cost_low_usd|cost_high_usd|note
ln_sales|percentage_point|6.876|341100.0|187300.0|1548000.0|
ln_va_job|percentage_point|6.337|370100.0|172500.0||no_upper

# contributions
outcome|division|group|estimate|conf_low|conf_high|p_value|n_treated|reading
ln_sales|component|component1|0.04855|-0.07178|0.1689|0.427|6.0|association
ln_sales|component|both|0.06799|0.01538|0.1206|0.01145|127.0|association

# return
measure|unit|central|drawn_median|drawn_low|drawn_high|share_positive|n_undefined|note
npv_usd|usd|926800.0|742200.0|-1204000.0|3330000.0|0.7244|0|
bcr|ratio|1.505|1.404|0.3444|2.813|0.7244|0|
irr|share|0.3837|0.3474|-0.2262|1.348|0.7244|32|
payback|years|4.0|4.0|2.0||0.8278|861|

# return_years
period|basis|effect|level_usd|cost_usd|benefit_usd|net_usd|discounted_usd
2003|before|||151100.0|0.0|-151100.0|-151100.0
2004|estimated|0.04814|17740000.0|755900.0|256200.0|-499700.0|-446200.0

# return_tornado
input|input_low|input_high|npv_low_usd|npv_high_usd|basis|central_usd|swing_usd
effect|0.03109|0.1576|-1127000.0|3101000.0|quantile|926800.0|4228000.0
surplus_share|0.3|0.5|236000.0|1618000.0|convention|926800.0|1382000.0
persistence|0.5866|0.9293|260600.0|1554000.0|quantile|926800.0|1293000.0
displacement|0.07906|0.4209|1557000.0|297000.0|quantile|926800.0|1260000.0
discount|0.08|0.16|1234000.0|686000.0|convention|926800.0|547900.0

# return_break_even
input|central|break_even|note
effect|0.09253|0.06521|
persistence|0.8|0.4537|

# return_draws_hist
bin_low|bin_high|n|share
-2230000.0|-2050000.0|41|0.0082
-1333000.0|-1153000.0|79|0.0158
-435700.0|-256300.0|207|0.0414
461300.0|640700.0|269|0.0538
1358000.0|1538000.0|205|0.041
2255000.0|2435000.0|107|0.0214
3152000.0|3332000.0|62|0.0124
4049000.0|4229000.0|33|0.0066

# return_assumptions
input|value|unit|period|source|note
effect|0.09253|share|2006.0|estimate|mean_of_logs
std_error|0.03509|log_points|2006.0|estimate|

# comparison
study|country|outcome|benchmark|scale|effect|effect_low|effect_high|horizon|method|source|own_effect|own_low|own_high|own_horizon|position|note
Illustrative A (made u|AR|ln_sales|sales|log|0.09|0.02|0.16|3.0|matched difference-in-|made for this sample|0.05785|-0.008248|0.1284|2.0|similar|horizon_differs
Illustrative A (made u|AR|jobs|employment|log|0.05|0.005|0.095|3.0|matched difference-in-|made for this sample|0.04295|-0.01125|0.1001|2.0|similar|horizon_differs
Illustrative B (made u|CL|ln_sales|sales|log|0.06|-0.03|0.15|2.0|difference-in-differen|made for this sample|0.05785|-0.008248|0.1284|2.0|similar|
Illustrative B (made u|CL|ln_va_job|productivity|log|0.03|-0.04|0.1|2.0|difference-in-differen|made for this sample|0.04649|-0.03329|0.1329|2.0|similar|
Illustrative C (made u|BR|exports|exports|poisson|0.14|0.03|0.26|4.0|fixed effects|made for this sample|0.5645|-0.1466|1.868|2.0|similar|horizon_differs
Illustrative C (made u|BR|survival|survival|share|0.02|||4.0|before and after|made for this sample|-0.0128|-0.09628|0.07068|2.0|not_known|horizon_differs_no_interval
Illustrative D (made u|CO|ln_va_job|productivity|log|0.07|0.01|0.13|5.0|matched difference-in-|made for this sample|0.04649|-0.03329|0.1329|2.0|similar|horizon_differs
Illustrative E (made u|PE|exports|exports|poisson|0.11|||3.0|before and after|made for this sample|0.5645|-0.1466|1.868|2.0|not_known|horizon_differs_no_interval

# chain
from|to|text_es|text_en|delivered|reached|triangulation|status
C1.1p|C1.1|Un plan con acciones c|A plan with specific a|met|met|too_few|consistent
C1.1|C1.2|Entre las empresas com|Among committed enterp|met|not_met|not_known|broken

# sustainability
sense|row|value|before|unit|n|share_low|share_high|direction|note
associative|joint_actions|14.0|29.0|actions|8.0|||worse|
associative|clusters_acting|0.5714|0.9286|share|14.0|0.3259|0.7862|worse|

# assumptions_monitor
row|group|period|value|unit|limit|status|note
real_exchange_rate|all|2003|100.0|index|90.0|holds|bilateral_rate
real_exchange_rate|all|2004|102.6|index|90.0|holds|bilateral_rate

# assumptions
text_es|text_en|followed|status
El peso no está sobrev|The peso is not overva|real_exchange_rate|holds
Las empresas entregan |Enterprises give infor|response|holds

# context
group|measure|period|n_firms|base_100|source
treated|sales|2001.0|119.0|105.7|survey
treated|sales|2002.0|119.0|105.1|survey

# survey_price
outcome|scale|target|mde_share|n_treated|treated_needed|control_needed|extra_firms|evaluation_usd
ln_sales|log|0.1|0.09136|153|129.0|236.0|0.0|28000.0
ln_va_job|log|0.05|0.09286|144|476.0|870.0|939.0|28000.0

# workshop
id|attainment|evidence|triangulation|n|n_flags|question
G1|not_yet_due|demonstrated|mixed|3|0|on_track
G2|not_yet_due|indicative|agree_contradicts|4|0|on_track
"""  # noqa: E501 - one line a row
