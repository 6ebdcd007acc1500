# SPDX-License-Identifier: MIT
"""torch.topk of each row of an array of scores."""
from types import SimpleNamespace

import rival

rival.need("torch")

import torch


def build(options, tensors):
    torch.set_num_threads(options["threads"])
    scores, state = torch.from_numpy(tensors["scores"]), {}

    def run():
        state["values"], state["ids"] = scores.topk(options["kept"])

    return SimpleNamespace(run=run, result=lambda name: {
        "values": lambda: state["values"].numpy(), "ids": lambda: state["ids"].int().numpy()}[name]())


if __name__ == "__main__":
    rival.serve(build)
