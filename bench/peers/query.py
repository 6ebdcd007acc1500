# SPDX-License-Identifier: MIT
"""What the naive PEER and PKM rivals share: queries with batch norm, and product-key retrieval with
all k*k pairs (PEER, Algorithm 1; Lample et al. 2019, Sec. 3.1)."""
import torch
import torch.nn.functional as F


class Query:
    """Weights are taken from arrays by name; keys are shared by all heads or per head."""

    def __init__(self, options, tensors):
        self.heads, self.kept = options["heads"], options["kept"]
        self.train = bool(options["train"])
        self.dense = {name: torch.from_numpy(tensors[name])
                      for name in ("query", "query_norm.gain", "query_norm.bias")}
        self.mean, self.var = (
            torch.from_numpy(tensors[name]) for name in ("query_norm.mean", "query_norm.var"))
        half = len(self.dense["query"]) // self.heads // 2
        self.side = options["side"]
        self.dense["keys"] = torch.from_numpy(tensors["keys"]).view(-1, 2, self.side, half)

    def project(self, x):
        """Queries [T, H, 2, K/2]."""
        q = F.batch_norm(F.linear(x, self.dense["query"]), self.mean, self.var,
                         self.dense["query_norm.gain"], self.dense["query_norm.bias"],
                         training=self.train, momentum=0.1, eps=1e-5)
        return q.view(len(x), self.heads, 2, -1)

    def scores(self, q):
        """Sub-scores [T, H, 2, n]."""
        keys = self.dense["keys"]
        if len(keys) == 1:
            return torch.einsum("thpd,pnd->thpn", q, keys[0])
        return torch.einsum("thpd,hpnd->thpn", q, keys)

    def retrieve(self, x):
        """Ids and softmax gates [T, H, k]."""
        best, index = self.scores(self.project(x)).topk(self.kept, dim=-1)
        sums = best[:, :, 0, :, None] + best[:, :, 1, None, :]
        ids = index[:, :, 0, :, None] * self.side + index[:, :, 1, None, :]
        top, place = sums.flatten(-2).topk(self.kept, dim=-1)
        return ids.flatten(-2).gather(-1, place), top.softmax(dim=-1)
