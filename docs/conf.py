"""The documentation site: `python -m sphinx -W -b html docs site`. All it shows lies in the repository; no page needs a network."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "src")]

import pipeval  # noqa: E402  the source beside this folder, not an installed copy

project = "pipeval"
author = "pipeval"
version = release = pipeval.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "made_pages", "plain_docstrings", "accessible"]
exclude_patterns = ["_ext"]
language = "en"
nitpicky = False

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

default_role = "code"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "model_config"}
python_use_unqualified_type_names = True
add_module_names = False

highlight_language = "none"

html_theme = "furo"
html_title = "pipeval"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # would fetch pages, which a browser refuses for files on disk
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b3c5d",
        "color-brand-content": "#0b5a8a",
        "font-stack": "'Source Sans 3', 'Segoe UI', system-ui, -apple-system, 'Liberation Sans', Arial, sans-serif",
        "font-stack--monospace": "'Cascadia Mono', Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace",
    },
    "dark_css_variables": {"color-brand-primary": "#8ec6f0", "color-brand-content": "#8ec6f0"},
}
