"""How the documentation site is built: ``make docs``, then open ``build/site/index.html``.

Sphinx reads the Markdown pages through MyST and the docstrings through autodoc. The site works from a folder without a
network: fonts are the reader's, scripts and styles lie beside the pages, and no other server is asked for anything.
"""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from crucible.version import VERSION

project = "Crucible"
author = "the authors of Crucible"
version = release = VERSION
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
root_doc = "index"
exclude_patterns = ["drawings"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

copybutton_prompt_text = r"\$ |> "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "Crucible"
html_static_path = ["drawings/site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False
html_domain_indices = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#a1400b", "color-brand-content": "#a1400b"},
    "dark_css_variables": {"color-brand-primary": "#f0a070", "color-brand-content": "#f0a070"},
}

TITLED = re.compile(r'^(?P<fence>```+)(?P<language>\w+) title="(?P<title>[^"]+)"$', re.MULTILINE)


def show_titles(_app: Any, _page: str, source: list[str]) -> None:
    """A block with a title becomes one with a caption: every reader of Markdown knows the first, Sphinx the second."""
    source[0] = TITLED.sub(r"\g<fence>{code-block} \g<language>\n:caption: \g<title>\n", source[0])


def setup(app: Any) -> None:
    """Join the above to the build."""
    app.connect("source-read", show_titles)
