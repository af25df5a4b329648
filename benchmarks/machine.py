"""Names the machine: a figure without it says little."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def describe_machine() -> str:
    """Processor, cores, memory and system in one line."""
    return f"{_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.platform()}, Python {platform.python_version()}"


def processor_from(cpuinfo: str) -> str:
    """The processor's name in the text of Linux's /proc/cpuinfo; empty when it has none."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    name = processor_from(cpuinfo.read_text()) if cpuinfo.exists() else ""
    return name or platform.processor() or platform.machine()


def _memory() -> str:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return "memory unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
