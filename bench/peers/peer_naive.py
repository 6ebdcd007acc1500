# SPDX-License-Identifier: MIT
"""PEER as the paper writes it (He 2024, Algorithm 1): the rows of all retrieved experts gathered,
then einsum; trained by autograd with sparse gradients and SparseAdam."""
import rival

rival.need("torch")

import torch
import torch.nn.functional as F
from query import Query
from step import Job


def build(options, tensors):
    torch.set_num_threads(options["threads"])
    query = Query(options, tensors)
    u, v = (torch.from_numpy(tensors[name]) for name in ("u", "v"))

    def forward(x):
        ids, gates = query.retrieve(x)
        hidden = torch.einsum("td,thkd->thk", x, F.embedding(ids, u, sparse=True))
        hidden = F.gelu(hidden, approximate="tanh") * gates
        return torch.einsum("thk,thkd->td", hidden, F.embedding(ids, v, sparse=True))

    return Job(options, tensors, forward, query.dense, {"u": u, "v": v})


if __name__ == "__main__":
    rival.serve(build)
