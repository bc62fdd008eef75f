"""Writes checkpoint/pickle/testdata: files of torch.save, and their tensors as safetensors. usage: python golden/gen/pickles.py"""
import argparse
import pathlib
from collections import OrderedDict

import torch
from safetensors.torch import save_file

out = pathlib.Path(__file__).parents[2] / "checkpoint/pickle/testdata"
out.mkdir(exist_ok=True)
torch.manual_seed(1)
wide = torch.randn(6, 5)
tensors = {f"of.{kind}".replace("torch.", ""): (torch.randn(3, 4) * 50).to(kind)
           for kind in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)}
tensors |= {"mask": torch.tensor([True, False]), "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "whole": wide, "turned": wide.T,
            "part": wide[2:4, 1:3], "repeated": torch.tensor([7.0]).expand(1, 1), "parameter": torch.nn.Parameter(torch.randn(2, 2)),
            "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)}
save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, out / "tensors.safetensors")
state = OrderedDict(tensors)
state._metadata = OrderedDict({"": {"version": 1}})  # as Module.state_dict leaves it
torch.save(state, out / "state.bin")
torch.save(tensors, out / "protocol4.bin", pickle_protocol=4)
torch.save({"epoch": 3, "lr": [0.1, None, True], "state_dict": {"model": tensors}}, out / "nested.bin")
torch.save(tensors, out / "legacy.bin", _use_new_zipfile_serialization=False)
torch.save(state, out / "legacy4.bin", pickle_protocol=4, _use_new_zipfile_serialization=False)
torch.save({"args": argparse.Namespace(lr=1), "w": torch.zeros(2)}, out / "arguments.bin")
torch.save(torch.nn.Linear(2, 2), out / "module.bin")
