"""Two invented bundles for the report's tests: a full programme and one with few tables. No number here means anything."""

from __future__ import annotations

import math

import pandas as pd

from pipeval.errors import Note
from pipeval.report.bundle import Bundle

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
