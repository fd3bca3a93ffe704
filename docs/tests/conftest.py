"""What the tests of the pages and of the recipes share: a server in place of the provider's, and the recipes themselves."""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "site"))
