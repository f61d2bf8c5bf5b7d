"""Files that came to harm, on purpose or not, for property-based tests."""

from __future__ import annotations

import os
import struct

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("PENPAL_FUZZ_EXAMPLES", "1000"))
"""Of each slow test. Read here: the tests' own environment has no PENPAL_ variables."""
ODD_NUMBERS = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63 - 1, 2**63, 2**64 - 1)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def spoiled(draw: st.DrawFn, whole: bytes, *, start: int | None = None) -> bytes:
    """The file after one to four mishaps; most of them in its first `start` bytes, where its counts stand."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        inside = len(data) if start is None or draw(st.integers(0, 4)) == 0 else min(start, len(data))
        at = draw(st.integers(0, max(0, inside - 1)))
        match draw(st.sampled_from(("cut", "bytes", "number", "small number", "insert", "remove"))):
            case "cut":
                del data[at:]
            case "bytes":
                new = draw(st.binary(min_size=1, max_size=8))
                data[at : at + len(new)] = new
            case "number":
                data[at : at + 8] = struct.pack("<Q", draw(st.sampled_from(ODD_NUMBERS)))
            case "small number":
                data[at : at + 4] = struct.pack("<I", draw(st.sampled_from(ODD_NUMBERS)) % 2**32)
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=64))
            case "remove":
                del data[at : at + draw(st.integers(1, 64))]
    return bytes(data)
