# SPDX-License-Identifier: MIT
"""The language model of lm/ in torch: RMSNorm before each branch, causal attention with rotary
positions, dense FFW with GELU, tied embedding; forward, backward, AdamW."""
import math

import rival

rival.need("torch")

import torch
import torch.nn.functional as F

RATE, BETAS, EPSILON, DECAY = 1e-4, (0.9, 0.95), 1e-8, 0.1


def norm(x, gain):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * gain


def rotations(length, width):
    """Angle of each position and pair of neighbours, as complex numbers [S, 1, width / 2]."""
    rate = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.outer(torch.arange(length, dtype=torch.float64), rate)
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)[:, None]


def rotate(x, rotation):
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2)


class Gpt:
    def __init__(self, options, tensors):
        self.blocks, self.heads = options["blocks"], options["heads"]
        self.inputs, self.targets = (
            torch.from_numpy(tensors.pop(name)).long() for name in ("inputs", "targets"))
        self.w = {name: torch.from_numpy(array).requires_grad_() for name, array in tensors.items()}
        length, width = self.inputs.shape[1], self.w["embed"].shape[1]
        self.rotation = rotations(length, width // self.heads)
        self.mask = torch.full((length, length), -math.inf).triu(1)
        gains = [w for w in self.w.values() if w.dim() == 1]
        others = [w for w in self.w.values() if w.dim() > 1]
        self.optimizer = torch.optim.AdamW([{"params": others, "weight_decay": DECAY},
                                            {"params": gains, "weight_decay": 0.0}],
                                           lr=RATE, betas=BETAS, eps=EPSILON)

    def attention(self, x, prefix):
        B, S, D = x.shape
        qkv = F.linear(x, self.w[prefix + "qkv"]).view(B, S, 3, self.heads, D // self.heads)
        q, k = (rotate(qkv[:, :, i], self.rotation).transpose(1, 2) for i in range(2))
        scores = q @ k.transpose(-1, -2) / math.sqrt(D // self.heads) + self.mask
        mixed = scores.softmax(-1) @ qkv[:, :, 2].transpose(1, 2)
        return F.linear(mixed.transpose(1, 2).reshape(B, S, D), self.w[prefix + "out"])

    def ffw(self, x, prefix):
        hidden = F.gelu(F.linear(x, self.w[prefix + "in"]), approximate="tanh")
        return F.linear(hidden, self.w[prefix + "out"])

    def loss(self):
        x = F.embedding(self.inputs, self.w["embed"])
        for i in range(self.blocks):
            at, ffw = f"blocks.{i}.attention.", f"blocks.{i}.ffw."
            x = x + self.attention(norm(x, self.w[at + "norm.gain"]), at)
            x = x + self.ffw(norm(x, self.w[ffw + "norm.gain"]), ffw)
        logits = F.linear(norm(x, self.w["norm.gain"]), self.w["embed"])
        return F.cross_entropy(logits.flatten(0, 1), self.targets.flatten())

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.value = self.loss()
        self.value.backward()
        self.optimizer.step()

    def result(self, _):
        return self.value.detach().reshape(1).numpy()


def build(options, tensors):
    torch.set_num_threads(options["threads"])
    return Gpt(options, tensors)


if __name__ == "__main__":
    rival.serve(build)
