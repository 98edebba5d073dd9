"""How the site of pymc_lan is built: `make docs`.

Pages are Markdown, the reference comes from the docstrings. What is built loads nothing from elsewhere and works from a
folder: formulas are MathML, which browsers draw themselves, instead of a script from a server.
"""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Any

project = "pymc_lan"
author = copyright = "The pymc_lan developers"
version = release = installed("pymc-lan")

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_templates"]
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
# As GitHub makes them, so that links to a heading are the same in both places.
myst_heading_anchors = 4

autosummary_generate = True
# Types stand in the docstrings, with shapes and units.
autodoc_typehints = "none"
numpydoc_show_class_members = False
# What stands between single backticks becomes a link where it is a public name, and code where it is not.
default_role = "py:obj"

html_theme = "pydata_sphinx_theme"
html_title = f"{project} {version}"
html_math_renderer = "mathml"
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": project},
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "primary_sidebar_end": [],
    "footer_end": [],
}
html_static_path = ["_static"]
html_css_files = ["formulas.css"]


def mathml(node: Any, *, block: bool) -> str:
    """Return a formula as MathML."""
    from docutils.utils.math.latex2mathml import tex2mathml

    return tex2mathml(node.astext(), as_block=block)


def inline_formula(translator: Any, node: Any) -> None:
    """Write a formula that stands in a line of text."""
    from docutils.nodes import SkipNode

    translator.body.append(mathml(node, block=False))
    raise SkipNode


def block_formula(translator: Any, node: Any) -> None:
    """Write a formula that stands by itself."""
    from docutils.nodes import SkipNode

    translator.body.append(f"<div>{mathml(node, block=True)}</div>")
    raise SkipNode


def public_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Find ``pl.train``, as docstrings write it, under ``pymc_lan.train``."""
    short, target = "pl.", str(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or not target.startswith(short):
        return None
    full = "pymc_lan." + target.removeprefix(short)
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", full, node, contnode)


def setup(app: Any) -> None:
    """Add what is ours to Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline_formula, None), block_renderers=(block_formula, None))
    app.connect("missing-reference", public_name)
