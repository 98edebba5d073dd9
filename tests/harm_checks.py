"""What tests of files that mean harm share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hub_checks import SHIPPED
from safetensors.numpy import load

from pymc_lan.errors import MAX_TEXT, RegistryError
from pymc_lan.networks.config import CONFIG
from pymc_lan.registry.table import WEIGHTS

IDENTIFIER = "Python identifier"


def shipped(name: str = "ddm") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a fresh config and the weights of a version of this release."""
    folder = next((SHIPPED / name).iterdir())
    return json.loads((folder / CONFIG).read_bytes()), load((folder / WEIGHTS).read_bytes())


def refusal(call: Callable[[], Any]) -> str:
    """What a call is refused with: whole sentences of printable text, whatever the file held."""
    with pytest.raises(RegistryError) as caught:
        call()
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 4 * MAX_TEXT
    assert "Remedy: " in text
    return text


def code_of_name(command: str) -> str:
    """A name that, printed into LLVM text, would define the hyperbolic tangent as a command of the shell."""
    letters = "".join(f"\\{byte:02X}" for byte in f"{command}\0".encode())
    return f"""x
@cmd = internal constant [{len(command) + 1} x i8] c"{letters}"
declare i32 @system(ptr)
define float @tanhf(float %x) {{
  %r = call i32 @system(ptr @cmd)
  ret float %x
}}
;"""
