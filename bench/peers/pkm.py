# SPDX-License-Identifier: MIT
"""A product-key memory as its authors write it (Lample et al. 2019): values by EmbeddingBag with
the gates as weights; trained by autograd with sparse gradients and SparseAdam."""
import rival

rival.need("torch")

import torch
import torch.nn.functional as F
from query import Query
from step import Job


def build(options, tensors):
    torch.set_num_threads(options["threads"])
    query = Query(options, tensors)
    values = torch.from_numpy(tensors["values"])

    def forward(x):
        ids, gates = query.retrieve(x)
        return F.embedding_bag(ids.flatten(1), values, per_sample_weights=gates.flatten(1),
                               mode="sum", sparse=True)

    return Job(options, tensors, forward, query.dense, {"values": values})


if __name__ == "__main__":
    rival.serve(build)
