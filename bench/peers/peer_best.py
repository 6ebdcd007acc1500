# SPDX-License-Identifier: MIT
"""PEER as well as torch can do it: only the pairs that can win (select_best.py), rows used without
being copied (rows.py), tokens in chunks that stay in cache. Backward is written by hand: entries are
sorted by expert, each touched row's gradient is summed, and lazy Adam applied to it."""
import rival

rival.need("torch")

import torch
import torch.nn.functional as F
from query import Query
from rows import LazyAdam, grouped, rows_dot, rows_sum
from select_best import fastest, winning_pairs
from step import BETAS, EPSILON, RATE

TOKENS = 256


class Peer:
    def __init__(self, options, tensors):
        self.query, self.calls = Query(options, tensors), options["calls"]
        self.kept, self.train = options["kept"], bool(options["train"])
        self.x, self.dy, self.u, self.v = (
            torch.from_numpy(tensors[name]) for name in ("x", "dy", "u", "v"))
        self.topk = fastest(min(TOKENS, len(self.x) // self.calls) * self.query.heads,
                            self.query.side, self.kept)
        self.first, self.second = winning_pairs(self.kept)
        if self.train:
            self.sample = torch.from_numpy(tensors["sample"]).long()
            dense = self.query.dense
            for leaf in (self.x, *dense.values()):
                leaf.requires_grad_()
            self.adam = torch.optim.Adam(dense.values(), lr=RATE, betas=BETAS, eps=EPSILON)
            self.lazy = {"u": LazyAdam(self.u, RATE, BETAS, EPSILON),
                         "v": LazyAdam(self.v, RATE, BETAS, EPSILON)}

    def retrieve(self, q):
        """From queries [T, H, 2, K/2]: sub-keys i, j and gates, [T, H, k] each."""
        T, H = q.shape[:2]
        best, index = [], []
        for p in range(2):
            scores = q[:, :, p].reshape(T * H, -1) @ self.query.dense["keys"][0, p].t()
            values, place = self.topk(scores, self.kept)
            best.append(values)
            index.append(place)
        sums = best[0][:, self.first] + best[1][:, self.second]
        top, place = sums.topk(self.kept)
        i = index[0].gather(1, self.first[place])
        j = index[1].gather(1, self.second[place])
        return i.view(T, H, -1), j.view(T, H, -1), top.softmax(-1).view(T, H, -1)

    def experts(self, x, i, j, gates):
        """y [T, D], ids [T, H k] and dot products [T, H k]."""
        ids = (i * self.query.side + j).flatten(1)
        dots = rows_dot(x, self.u, ids)
        act = F.gelu(dots, approximate="tanh")
        return rows_sum(self.v, ids, act * gates.flatten(1)), ids, dots

    def forward(self, x):
        parts = [self.experts(part, *self.retrieve(self.query.project(part)))[0]
                 for part in x.split(TOKENS)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def run(self):
        if self.train:
            self.step()
            return
        with torch.no_grad():
            parts = [self.forward(part) for part in self.x.chunk(self.calls)]
            self.y = parts[0] if self.calls == 1 else torch.cat(parts)

    def step(self):
        self.adam.zero_grad(set_to_none=True)
        self.x.grad = None
        q = self.query.project(self.x)
        with torch.no_grad():
            kept = [(*chunk, *self.experts(x, *chunk))
                    for x, chunk in ((x, self.retrieve(part))
                                     for x, part in zip(self.x.split(TOKENS), q.split(TOKENS)))]
            i, j, gates, y, ids, dots = (torch.cat(parts) for parts in zip(*kept))
            self.y = y
            dx, dscores, dots_grad = self.backward_experts(gates, ids, dots)
            dq = self.backward_keys(q, (i, j), dscores)
            self.update(ids, dots, gates, dots_grad)
        q.backward(dq)
        self.x.grad += dx
        self.adam.step()

    def backward_experts(self, gates, ids, dots):
        """Gradients of x [T, D], of the kept scores [T, H, k], of the dot products [T, H k]."""
        dx, dscores, ddots = [], [], []
        for t in range(0, len(ids), TOKENS):
            part = slice(t, t + TOKENS)
            z = rows_dot(self.dy[part], self.v, ids[part])
            g, a = gates[part], dots[part]
            dgate = (F.gelu(a, approximate="tanh") * z).view_as(g)
            da = torch.ops.aten.gelu_backward(z * g.flatten(1), a, approximate="tanh")
            dx.append(rows_sum(self.u, ids[part], da))
            dscores.append(g * (dgate - (g * dgate).sum(-1, keepdim=True)))
            ddots.append(da)
        return torch.cat(dx), torch.cat(dscores), torch.cat(ddots)

    def backward_keys(self, q, halves, dscores):
        """Writes the gradient of the keys; returns that of the queries, in the shape of q."""
        T, H, k = dscores.shape
        keys = self.query.dense["keys"]
        keys.grad, dq = torch.zeros_like(keys), torch.empty_like(q)
        weights = dscores.view(T * H, k)
        for p, index in enumerate(halves):
            index = index.reshape(T * H, k)
            dq[:, :, p] = rows_sum(keys[0, p], index, weights).view(T, H, -1)
            order, rows, first = grouped(index.flatten())
            keys.grad[0, p, rows] = F.embedding_bag(
                order // k, q[:, :, p].reshape(T * H, -1), first[:-1], mode="sum",
                per_sample_weights=weights.flatten()[order])
        return dq

    def update(self, ids, dots, gates, ddots):
        group = grouped(ids.flatten())
        order = group[0]
        token = order // ids.shape[1]
        hidden = F.gelu(dots, approximate="tanh") * gates.flatten(1)
        self.lazy["u"].step(group, self.x, token, ddots.flatten()[order])
        self.lazy["v"].step(group, self.dy, token, hidden.flatten()[order])

    def result(self, name):
        """As step.Job's."""
        if name == "y":
            return self.y.numpy()
        if name == "dx":
            return self.x.grad.numpy()
        if name in self.lazy:
            return self.lazy[name].m[self.sample].numpy()
        return self.adam.state[self.query.dense[name]]["exp_avg"].numpy()


def build(options, tensors):
    torch.set_num_threads(options["threads"])
    return Peer(options, tensors)


if __name__ == "__main__":
    rival.serve(build)
