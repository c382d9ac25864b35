"""How Sphinx makes the site: `.ci/docs` builds it into build/docs."""

import parsum

project = "parsum"
author = "The parsum developers"
project_copyright = author
version = release = parsum.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
myst_heading_anchors = 3

# Types stand in the sections on parameters; in signatures they would hide the names.
autodoc_typehints = "none"
autosummary_generate = False
numpydoc_show_class_members = False  # the pages name those that users call

html_theme = "furo"
html_title = f"parsum {release}"
html_copy_source = False
