# SPDX-License-Identifier: MIT
"""A layer as a job of bench/rival.h: forward alone, or the whole training step by autograd."""
import torch

RATE, BETAS, EPSILON = 1e-4, (0.9, 0.95), 1e-8


class Job:
    """forward(x [T, D]) gives y. In training the dense leaves take Adam, the tables SparseAdam; both
    are dicts of leaf tensors by name."""

    def __init__(self, options, tensors, forward, dense, tables):
        self.calls, self.train = options["calls"], bool(options["train"])
        self.x, self.dy = (torch.from_numpy(tensors[name]) for name in ("x", "dy"))
        self.sample = torch.from_numpy(tensors["sample"]).long() if self.train else None
        self.forward, self.dense, self.tables, self.y = forward, dense, tables, None
        if self.train:
            for leaf in (self.x, *dense.values(), *tables.values()):
                leaf.requires_grad_()
            settings = {"lr": RATE, "betas": BETAS, "eps": EPSILON}
            self.optimizers = [torch.optim.Adam(dense.values(), **settings),
                               torch.optim.SparseAdam(tables.values(), **settings)]

    def run(self):
        if self.train:
            self.step()
            return
        with torch.no_grad():
            self.y = torch.cat([self.forward(part) for part in self.x.chunk(self.calls)])

    def step(self):
        self.x.grad = None
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.y = self.forward(self.x)
        self.y.backward(self.dy)
        for optimizer in self.optimizers:
            optimizer.step()

    def result(self, name):
        """"y", "dx", or a leaf's first moment; of a table that of the rows of the sample."""
        if name == "y":
            found = self.y.detach()
        elif name == "dx":
            found = self.x.grad
        elif name in self.dense:
            found = self.optimizers[0].state[self.dense[name]]["exp_avg"]
        else:
            found = self.optimizers[1].state[self.tables[name]]["exp_avg"][self.sample]
        return found.numpy()
