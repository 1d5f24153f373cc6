"""The emulators of host/tests/emulator, for the templates of deploy/."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = ROOT / "host/tests/emulator"
TARGET = Path(sys.prefix).parent
GRISTMILL = Path(os.environ.get("GRISTMILL", ROOT / "target/debug/gristmill"))
PLUGIN = ROOT / "plugins/noaa-precipitation"
