"""How the documentation is built: `make docs`, with warnings as errors."""

import sys
from pathlib import Path

import django
from django.conf import settings

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parents[1])]

import inotifier  # noqa: E402 - from the tree around it

settings.configure(INSTALLED_APPS=["inotifier"])
django.setup()

project = "django-inotifier"
author = "the django-inotifier authors"
copyright = author
version = release = inotifier.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["_build"]
nitpicky = False
default_role = "literal"  # as in docstrings
highlight_language = "none"
smartquotes = False  # they would spoil options
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings tell what is meant
autodoc_class_signature = "mixed"
napoleon_custom_sections = [("Options", "params_style")]

html_theme = "furo"
html_title = f"django-inotifier {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
