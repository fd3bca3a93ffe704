"""What the tests of the pages share: the modules that the site is made with."""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "site"))
