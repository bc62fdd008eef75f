"""Prints what a file of `forward` or `attend` holds; needs nothing but Python.

    python golden/gen/tensors.py FILE                 shapes of logits and features, or of all tensors without such, and their largest values
    python golden/gen/tensors.py FILE NAME [FIRST]    the values of a tensor, from FIRST on
"""

import array
import json
import sys


def read(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    tensors = {}
    for name, t in header.items():
        if name != "__metadata__":
            values = array.array({"F32": "f", "I32": "i"}[t["dtype"]])
            values.frombytes(data[slice(*t["data_offsets"])])
            tensors[name] = (t["shape"], values)
    return tensors


def main():
    tensors = read(sys.argv[1])
    if len(sys.argv) == 2 and "logits" not in tensors:
        for name, (shape, values) in tensors.items():
            print(name, shape, f"{max(map(abs, values)):.3f}")
        return
    if len(sys.argv) == 2:
        (logits, a), (features, b) = tensors["logits"], tensors["image_hidden_states"]
        print([1] + logits, features)
        print(f"{max(map(abs, a)):.3f} {max(map(abs, b)):.3f}")
        return
    values = tensors[sys.argv[2]][1][int(sys.argv[3]) if len(sys.argv) > 3 else 0:]
    print(f"{values[0]:.3f}" if len(values) == 1 else list(values))


if __name__ == "__main__":
    main()
