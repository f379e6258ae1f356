"""What a public-use file protects, counted in its CSV files: shares nothing with what made them."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

from ..study.programme_specs import Privacy

_NAMES_OF_ROWS = ("firm_id", "service_id")


def measured(folder: Path, privacy: Privacy) -> dict[str, int]:
    """k and l of the declared columns, k over everything that is released of a firm, groups and firms.

    Two firms are alike over everything when every row of theirs in every table agrees but for the identifiers of firm and row.
    """
    rows: dict[str, dict[str, list[dict[str, str]]]] = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found: dict[str, list[dict[str, str]]] = defaultdict(list)
            for row in csv.DictReader(file):
                if "firm_id" in row:
                    found[row["firm_id"]].append(row)
        rows[path.stem] = found
    firms = list(rows["enterprises"])

    def everything(firm: str):
        return tuple(
            tuple(sorted(tuple(v for c, v in row.items() if c not in _NAMES_OF_ROWS) for row in rows[table].get(firm, ())))
            for table in rows
        )

    def fact(firm: str, name: str):
        own = rows["enterprises"][firm][0]
        if name in own:
            return own[name]
        column = "response" if name == "presence" else name
        return tuple(sorted((row["ref_year"], row[column]) for row in rows["survey"].get(firm, ())))

    classes: dict[tuple, list[str]] = defaultdict(list)
    for firm in firms:
        classes[tuple(fact(firm, name) for name in privacy.quasi_identifiers)].append(firm)
    values = [len({fact(f, s) for f in alike} - {"", ()}) for s in privacy.sensitive for alike in classes.values()]
    return {
        "k": min(map(len, classes.values()), default=0),
        "k_everything": min(Counter(map(everything, firms)).values(), default=0),
        "l": min(values, default=privacy.l),
        "n_groups": len({everything(firm) for firm in firms}),
        "n_firms": len(firms),
    }
