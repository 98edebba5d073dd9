"""Write the generated code of every diffusion of the embedded registry anew, after formulas have changed."""

import lzma
from pathlib import Path

from pymc_lan.models.catalogue import DIFFUSIONS
from pymc_lan.networks import kernel
from pymc_lan.networks.kernel.build import shipped_name
from pymc_lan.networks.kernel.formulas import generate
from pymc_lan.registry.load import embedded_root
from pymc_lan.registry.table import read_registry

FOLDER = Path(kernel.__file__).parent / "generated"

for name in DIFFUSIONS.keys() & read_registry(embedded_root()).keys():
    (FOLDER / shipped_name(name)).write_bytes(lzma.compress(generate(DIFFUSIONS[name]).encode()))
