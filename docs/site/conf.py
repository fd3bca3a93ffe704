"""How Sphinx makes the site of these pages: `make docs`."""

import importlib.metadata
import inspect
import pathlib
import sys

from sphinx.util.inspect import TypeAliasForwardRef

import mailbearer

sys.path.insert(0, str(pathlib.Path(__file__).parent))

project = "mailbearer"
author = "The mailbearer authors"
copyright = author
version = release = importlib.metadata.version("mailbearer")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "pages", "states"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["site", "tests", "pictures", "requirements.txt"]
# A page that is in no table of contents is an error, as is a link that leads nowhere.
nitpicky = True
# Of the standard library and of others: the network that this is built in does not reach their inventories.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(ssl|imaplib|poplib|smtplib|imapclient|aioimaplib|aiosmtplib|asyncio|collections|types|typing|datetime|socket"
        r"|time|builtins|google|concurrent|http|email)\b.*",
    ),
    # Type variables, and aliases that a signature names.
    ("py:.*", r"(.*\.)?[A-Z][a-zA-Z]*T(_co)?"),
    ("py:.*", r"(mailbearer\.proxy\.)?Proxy|WatchedSocket|MailBox|TracerProvider|MeterProvider"),
    ("py:.*", r"AioImap|AioSmtp|os\.PathLike"),
    ("py:.*", r"OnEvent|Flavour|Cut|mailbearer\.options\..*|mailbearer\.watched_socket\..*"),
    # Attributes stand in the text of their class, several of them in one line.
    ("py:class", r"[a-z_]+"),
    ("py:attr", r".*"),
    ("py:.*", r"(Any|Self|Literal|Unpack|IMAPClient|function|generator|optional|default|TracebackType|_Data)"),
    ("py:.*", r"(str|int|float|bool|bytes|bytearray|memoryview|list|dict|tuple|object|type|None|True|False)"),
    ("py:exc", r"(TypeError|ValueError|RuntimeError|TimeoutError|NameError|OSError)"),
]

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
# By their names, and not by all that they stand for; in a union, Sphinx would write what it is made of.
TypeAliasForwardRef.__repr__ = lambda alias: alias.name  # type: ignore[method-assign]
autodoc_type_aliases = {
    name: f"mailbearer.{name}"
    for name in mailbearer.__all__
    if name[:1].isupper() and not inspect.isclass(getattr(mailbearer, name))
} | {"AsyncTokenSource": "mailbearer.aio.AsyncTokenSource"}
autoclass_content = "class"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Two texts that are alike to people are one to Sphinx: with types it would say each twice.
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"mailbearer {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["../../target/api"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b57a4", "color-brand-content": "#0b57a4"},
    "dark_css_variables": {"color-brand-primary": "#7cb8f5", "color-brand-content": "#7cb8f5"},
    "source_repository": "https://github.com/mailbearer/mailbearer/",
    "source_branch": "main",
    "source_directory": "docs/",
}
pygments_style = "friendly"
pygments_dark_style = "native"
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
