#!/bin/sh
# Put NVIDIA's ptxas into tools/, where the tests of codegen/ptx look for it. Nothing else needs it. testdata/ptxas.txt
# there is what this version says.
set -eu
cd "$(dirname "$0")/.."
[ -x tools/ptxas ] && exit 0
mkdir -p tools/wheel
trap 'rm -rf tools/wheel' EXIT
python3 -m pip download --quiet --no-deps --dest tools/wheel nvidia-cuda-nvcc==13.5.37
python3 - <<'END'
import glob, os, zipfile
wheel = zipfile.ZipFile(glob.glob("tools/wheel/*.whl")[0])
name = next(n for n in wheel.namelist() if n.endswith("/bin/ptxas"))
with open("tools/ptxas.new", "wb") as out:
    out.write(wheel.read(name))
os.chmod("tools/ptxas.new", 0o755)
os.rename("tools/ptxas.new", "tools/ptxas")
END
tools/ptxas --version | tail -n 2
