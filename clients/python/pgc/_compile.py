"""The compiler, as a command."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any, List, Mapping, Sequence, Union

from ._errors import Error
from ._model import Model


def compile(
    checkpoint: Union[str, "os.PathLike[str]"],
    output: Union[str, "os.PathLike[str]"],
    *,
    pgc: str = "pgc",
    **flags: Union[str, int, bool, Sequence[str], Mapping[str, str]],
) -> Model:
    """Compiles a checkpoint with `pgc compile`, which is looked up in the PATH, and opens the executable.

    Flags are those of the command with _ for -: weights="int4", search=True, keep=["PATTERN=bf16"], adapter={"NAME": "DIR"}.
    """
    program = shutil.which(pgc)
    if program is None:
        raise Error(f"there is no {pgc} in the PATH, expected the compiler: build it with make build, and add its bin folder to the PATH")
    out = os.fspath(output)
    command = [program, "compile", os.fspath(checkpoint), "-o", out]
    for name, value in flags.items():
        command += _flag("--" + name.replace("_", "-"), value)
    done = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise Error(lines[-1] if lines else f"pgc ended with status {done.returncode}")
    return Model(out)


def _flag(name: str, value: Any) -> List[str]:
    if value is True:
        return [name]
    if value is False:
        return [f"--no-{name[2:]}"]
    if isinstance(value, Mapping):
        value = [f"{k}={v}" for k, v in value.items()]
    if isinstance(value, (list, tuple)):
        return [part for v in value for part in (name, str(v))]
    return [name, str(value)]
