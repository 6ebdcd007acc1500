# SPDX-License-Identifier: MIT
"""A mixture of experts as the straightforward loop over experts: the k largest logits, softmax over
them, and for each expert its tokens picked, two products, the results added back."""
from types import SimpleNamespace

import rival

rival.need("torch")

import torch


def build(options, tensors):
    torch.set_num_threads(options["threads"])
    kept, train = options["kept"], bool(options["train"])
    torch.set_grad_enabled(train)
    x, dy, router = (torch.from_numpy(tensors[name]) for name in ("x", "dy", "router"))
    E, D = router.shape
    w1 = list(torch.from_numpy(tensors["experts.in"]).view(E, -1, D))
    w2 = list(torch.from_numpy(tensors["experts.out"]).view(E, D, -1))
    leaves = [x, router, *w1, *w2]
    for leaf in leaves:
        leaf.requires_grad_(train)
    state = {}

    def forward():
        logits, chosen = (x @ router.t()).topk(kept, dim=1)
        gates = logits.softmax(dim=1)
        y = torch.zeros_like(x)
        for e in range(E):
            token, slot = (chosen == e).nonzero(as_tuple=True)
            rows = x.index_select(0, token)
            hidden = torch.nn.functional.gelu(rows @ w1[e].t(), approximate="tanh")
            y.index_add_(0, token, (hidden @ w2[e].t()) * gates[token, slot, None])
        return y

    def run():
        y = forward()
        if train:
            for leaf in leaves:
                leaf.grad = None
            y.backward(dy)
        state["y"] = y

    def result(name):
        found = {"y": lambda: state["y"], "dx": lambda: x.grad, "router": lambda: router.grad,
                 "experts.in": lambda: torch.stack([w.grad for w in w1]),
                 "experts.out": lambda: torch.stack([w.grad for w in w2])}[name]()
        return found.detach().numpy()

    return SimpleNamespace(run=run, result=result)


if __name__ == "__main__":
    rival.serve(build)
