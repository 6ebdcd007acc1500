# SPDX-License-Identifier: MIT
"""Rows of a table used without being copied: the fused operators behind torch's EmbeddingBag, and
lazy Adam on the touched rows alone."""
import torch
import torch.nn.functional as F

CHUNK = 4096  # touched rows whose gradient is in cache when Adam wants it


def rows_dot(x, table, ids):
    """[T, m]: x[t] . table[ids[t, m]]."""
    T, m = ids.shape
    bag = torch.arange(T).repeat_interleave(m)
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        x, table, ids.flatten(), torch.arange(0, T * m, m), bag, 0).view(T, m)


def rows_sum(table, ids, weights):
    """[T, D]: sum over m of weights[t, m] table[ids[t, m]]."""
    return F.embedding_bag(ids, table, per_sample_weights=weights, mode="sum")


def grouped(ids):
    """The order that sorts ids [m], the rows in it, and where each row's entries begin, with m last."""
    ids, order = ids.int().sort()
    rows, counts = ids.unique_consecutive(return_counts=True)
    first = torch.zeros(len(rows) + 1, dtype=torch.long)
    first[1:] = counts.cumsum(0)
    return order, rows.long(), first


class LazyAdam:
    """Moments of a table; steps move the rows that have a gradient."""

    def __init__(self, table, rate, betas, epsilon):
        self.table, self.rate, self.betas, self.epsilon = table, rate, betas, epsilon
        self.m, self.v, self.steps = torch.zeros_like(table), torch.zeros_like(table), 0

    def step(self, group, source, token, weights):
        """Row r's gradient is the sum over its entries e, in the order of the group, of
        weights[e] source[token[e]]."""
        _, rows, first = group
        self.steps += 1
        for begin in range(0, len(rows), CHUNK):
            end = min(begin + CHUNK, len(rows))
            low, high = int(first[begin]), int(first[end])
            gradient = F.embedding_bag(token[low:high], source, first[begin:end] - low, mode="sum",
                                       per_sample_weights=weights[low:high])
            self.move(rows[begin:end], gradient)

    def move(self, rows, gradient):
        first, second = self.betas
        m = self.m.index_select(0, rows).mul_(first).add_(gradient, alpha=1 - first)
        v = self.v.index_select(0, rows).mul_(second).addcmul_(gradient, gradient, value=1 - second)
        self.m.index_copy_(0, rows, m)
        self.v.index_copy_(0, rows, v)
        scale = (1 - second ** self.steps) ** 0.5
        rate = self.rate * scale / (1 - first ** self.steps)
        p = self.table.index_select(0, rows)
        p.addcdiv_(m, v.sqrt_().add_(self.epsilon * scale), value=-rate)
        self.table.index_copy_(0, rows, p)
