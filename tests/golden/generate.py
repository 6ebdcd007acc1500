#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Golden vectors: PEER, PKM and dense layers computed by plain loops over complex numbers.

Written from the papers' equations and the documented parameter layouts alone, with nothing but the
standard library. Gradients are complex steps: for an analytic f, Im f(x + ih) / h is f'(x) without
cancellation, so that h = 1e-30 gives it to double precision. Selection compares real parts, which a
step does not move: routing is held fixed.

    python3 generate.py FOLDER      writes FOLDER/NAME.h for every case

Papers: He 2024 (PEER), Lample et al. 2019 (PKM), Berges et al. 2024 (gated PKM), Shazeer 2020 (GLU).
"""
import cmath
import math
import os
import random
import struct
import sys

STEP = 1e-30
EPSILON = 1e-5  # below the variance in query norms
MOMENTUM = 0.1  # of a batch in the running statistics
MARGIN = 1e-3   # scores about the cut differ by more, so that f32 selects the same experts


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


# Activations and gates of complex numbers with an infinitesimal imaginary part.

def sigmoid(z):
    return 1 / (1 + cmath.exp(-z))


def silu(z):
    return z * sigmoid(z)


def gelu(z):
    a, b = z.real, z.imag
    erf = complex(math.erf(a / math.sqrt(2)), b * math.sqrt(2 / math.pi) * math.exp(-a * a / 2))
    return z * (1 + erf) / 2


def gelu_tanh(z):
    return z / 2 * (1 + cmath.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z ** 3)))


def softmax(scores):
    largest = max(s.real for s in scores)
    powers = [cmath.exp(s - largest) for s in scores]
    return [p / sum(powers) for p in powers]


def sigmoids(scores):
    return [sigmoid(s) for s in scores]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def standardise(values):
    """Zero mean and unit variance, up to EPSILON; also the mean and the biased variance."""
    mean = sum(values) / len(values)
    var = sum((v - mean) ** 2 for v in values) / len(values)
    deviation = cmath.sqrt(var + EPSILON)
    return [(v - mean) / deviation for v in values], mean, var, deviation.real


class Retrieval:
    """PEER eqs. 1, 2, 5 and Algorithm 1: H query networks, product keys, k kept per head."""

    def __init__(self, D, n, H, k, K, gate, norm, keys_per_head):
        self.D, self.n, self.H, self.k, self.K = D, n, H, k, K
        self.gate, self.norm, self.keys_per_head = gate, norm, keys_per_head
        self.shapes = {"query": (H * K, D)}
        if norm != "none":
            self.shapes["query_norm.gain"] = (H * K,)
            if norm != "rms":
                self.shapes["query_norm.bias"] = (H * K,)
        if norm == "batch":
            self.shapes["query_norm.mean"] = (H * K,)
            self.shapes["query_norm.var"] = (H * K,)
        self.shapes["keys"] = (H if keys_per_head else 1, 2, n, K // 2)

    def normalise(self, q, w, mask, train):
        """q[t][H*K], per head over its K features or, for batch, per feature over the tokens."""
        K = self.K
        self.deviation = [[1] * len(row) for row in q]
        if self.norm == "none":
            return q
        out = [list(row) for row in q]
        if self.norm == "batch":
            seen = [t for t in range(len(q)) if mask[t]]
            for c in range(self.H * K):
                if train:
                    z, mean, var, deviation = standardise([q[t][c] for t in seen])
                    unbiased = var * len(seen) / (len(seen) - 1)
                    for name, new in (("mean", mean), ("var", unbiased)):
                        old = w["query_norm." + name]
                        self.after["query_norm." + name].append(
                            ((1 - MOMENTUM) * old[c] + MOMENTUM * new).real)
                else:
                    mean, var = w["query_norm.mean"][c], w["query_norm.var"][c]
                    deviation = cmath.sqrt(var + EPSILON).real
                    z = [(q[t][c] - mean) / deviation for t in seen]
                for t in seen:
                    self.deviation[t][c] = deviation
                for t, value in zip(seen, z):
                    out[t][c] = w["query_norm.gain"][c] * value + w["query_norm.bias"][c]
            return out
        for t, row in enumerate(out):
            for first in range(0, self.H * K, K):
                part = row[first:first + K]
                if self.norm == "layer":
                    part, _, _, deviation = standardise(part)
                else:
                    rms = cmath.sqrt(sum(v * v for v in part) / K + EPSILON)
                    part = [v / rms for v in part]
                    deviation = rms.real
                self.deviation[t][first:first + K] = [deviation] * K
                for i, value in enumerate(part):
                    c = first + i
                    bias = w["query_norm.bias"][c] if self.norm == "layer" else 0
                    row[c] = w["query_norm.gain"][c] * value + bias
        return out

    def magnification(self, x, w, mask):
        """Largest sum of |terms| of a query over the deviation that divides it."""
        D = self.D
        return max(
            sum(abs(a * b) for a, b in zip(w["query"][c * D:(c + 1) * D], x[t])) /
            self.deviation[t][c]
            for t in range(len(x)) if mask[t] for c in range(self.H * self.K))

    def retrieve(self, x, w, mask, train):
        """For each token and head the ids, best first, and their gates; None for padding."""
        D, n, H, k, K = self.D, self.n, self.H, self.k, self.K
        self.after = {"query_norm.mean": [], "query_norm.var": []}
        q = [[dot(w["query"][c * D:(c + 1) * D], row) for c in range(H * K)] for row in x]
        q = self.normalise(q, w, mask, train)
        half = K // 2
        found = []
        for t in range(len(x)):
            if not mask[t]:
                found.append(None)
                continue
            heads = []
            for h in range(H):
                table = h if self.keys_per_head else 0
                query = q[t][h * K:(h + 1) * K]
                scores = []
                for i in range(n):
                    for j in range(n):
                        left = ((table * 2 + 0) * n + i) * half
                        right = ((table * 2 + 1) * n + j) * half
                        key = w["keys"][left:left + half] + w["keys"][right:right + half]
                        scores.append(dot(query, key))
                order = sorted(range(n * n), key=lambda i: (-scores[i].real, i))
                # Also the order among the kept ones is checked, so it has the margin too.
                for a, b in zip(order[:k], order[1:k + 1]):
                    if scores[a].real - scores[b].real < MARGIN:
                        raise ValueError("scores too close")
                kept = order[:k]
                gates = {"softmax": softmax, "sigmoid": sigmoids}[self.gate](
                    [scores[i] for i in kept])
                heads.append((kept, gates))
            found.append(heads)
        return found


class Peer(Retrieval):
    """He 2024, eq. 6: e_i(x) = act(u_i . x) v_i; GLU: act(g_i . x) (u_i . x) v_i. Rows [g | u | v]."""

    def __init__(self, act, glu, **config):
        super().__init__(**config)
        self.act, self.glu = act, glu
        self.table = "experts"
        self.shapes["experts"] = (self.n ** 2, (3 if glu else 2) * self.D)

    def forward(self, x, w, mask, train):
        D = self.D
        width = self.shapes["experts"][1]
        y = []
        self.found = self.retrieve(x, w, mask, train)
        for row, heads in zip(x, self.found):
            out = [0j] * D
            for kept, gates in heads or []:
                for i, gate in zip(kept, gates):
                    expert = w["experts"][i * width:(i + 1) * width]
                    if self.glu:
                        hidden = self.act(dot(expert[:D], row)) * dot(expert[D:2 * D], row)
                    else:
                        hidden = self.act(dot(expert[:D], row))
                    for d, v in enumerate(expert[-D:]):
                        out[d] += gate * hidden * v
            y.append(out)
        return y


class Pkm(Retrieval):
    """Lample et al. 2019: the gated sum of values; Berges et al. 2024: (m * silu(x W1^T)) W2^T."""

    def __init__(self, gated, **config):
        super().__init__(**config)
        self.gated = gated
        self.table = "values"
        self.shapes["values"] = (self.n ** 2, self.D)
        if gated:
            self.shapes["gate"] = (self.D, self.D)
            self.shapes["output"] = (self.D, self.D)

    def forward(self, x, w, mask, train):
        D = self.D
        y = []
        self.found = self.retrieve(x, w, mask, train)
        for row, heads in zip(x, self.found):
            out = [0j] * D
            for kept, gates in heads or []:
                for i, gate in zip(kept, gates):
                    for d in range(D):
                        out[d] += gate * w["values"][i * D + d]
            if self.gated:
                out = [m * silu(dot(w["gate"][d * D:(d + 1) * D], row)) for d, m in enumerate(out)]
                out = [dot(w["output"][d * D:(d + 1) * D], out) for d in range(D)]
            y.append(out)
        return y


class Dense:
    """act(x W1^T) W2^T, or with a gate (act(x Wg^T) * x W1^T) W2^T (Shazeer 2020)."""

    table = None

    def __init__(self, D, F, act, gated):
        self.D, self.F, self.act, self.gated = D, F, act, gated
        self.shapes = {"in": (F, D)}
        if gated:
            self.shapes["gate"] = (F, D)
        self.shapes["out"] = (D, F)

    def forward(self, x, w, mask, train):
        D, F = self.D, self.F
        y = []
        for row, seen in zip(x, mask):
            hidden = []
            for f in range(F):
                value = dot(w["in"][f * D:(f + 1) * D], row)
                if self.gated:
                    hidden.append(self.act(dot(w["gate"][f * D:(f + 1) * D], row)) * value)
                else:
                    hidden.append(self.act(value))
            y.append([dot(w["out"][d * F:(d + 1) * F], hidden) if seen else 0j for d in range(D)])
        return y


def draw(rng, name, size):
    """Values of a useful magnitude, exact in f32."""
    if name == "query_norm.var":
        return [f32(rng.uniform(0.5, 2)) for _ in range(size)]
    centre = 1 if name == "query_norm.gain" else 0
    return [f32(rng.gauss(centre, 0.6)) for _ in range(size)]


def loss(layer, x, w, mask, dy):
    y = layer.forward(x, w, mask, True)
    return sum(dot(dy[t], y[t]) for t in range(len(x)) if mask[t])


def gradient(layer, values, evaluate):
    """Complex steps along each of `values`, which evaluate() reads."""
    result = []
    for i, value in enumerate(values):
        values[i] = complex(value, STEP)
        result.append(evaluate().imag / STEP)
        values[i] = value
    return result


def compute(layer, T, mask, seed):
    rng = random.Random(seed)
    sizes = {name: math.prod(shape) for name, shape in layer.shapes.items()}
    w = {name: draw(rng, name, size) for name, size in sizes.items()}
    x = [[f32(rng.gauss(0, 1)) for _ in range(layer.D)] for _ in range(T)]
    dy = [[f32(rng.gauss(0, 1)) for _ in range(layer.D)] for _ in range(T)]

    def evaluate():
        return loss(layer, x, w, mask, dy)

    case = {"T": T, "D": layer.D, "mask": mask, "x": sum(x, []), "dy": sum(dy, [])}
    case["y"] = [v.real for row in layer.forward(x, w, mask, True) for v in row]
    after = {}
    case["magnified"] = 1
    case["ids"], case["gates"] = [], []
    if isinstance(layer, Retrieval):
        after = {name: list(values) for name, values in layer.after.items() if values}
        case["magnified"] = max(1, layer.magnification(x, w, mask))
        nothing = [([-1] * layer.k, [0] * layer.k)] * layer.H
        for heads in layer.found:
            for kept, gates in heads or nothing:
                case["ids"] += kept
                case["gates"] += [complex(g).real for g in gates]
    learnt = dict(w, **after)
    case["y_eval"] = [v.real for row in layer.forward(x, learnt, mask, False) for v in row]
    case["dx"] = [g for row in x for g in gradient(layer, row, evaluate)]
    case["arrays"] = []
    for name, values in w.items():
        if name in after:
            case["arrays"].append((name, values, None, after[name]))
        else:
            case["arrays"].append((name, values, gradient(layer, values, evaluate), None))
    return case


def cases():
    peer = dict(D=5, n=4, H=3, k=3, K=6)
    pkm = dict(D=6, n=5, H=2, k=4, K=4)
    full = [1] * 7
    padded = [1, 1, 0, 1, 1, 0, 1, 1]
    yield "peer_paper", Peer(gelu, False, gate="softmax", norm="batch", keys_per_head=False,
                             **peer), full
    yield "peer_glu", Peer(silu, True, gate="sigmoid", norm="layer", keys_per_head=True,
                           **peer), full
    yield "pkm_plain", Pkm(False, gate="softmax", norm="batch", keys_per_head=True, **pkm), padded
    yield "pkm_gated", Pkm(True, gate="softmax", norm="rms", keys_per_head=False, **pkm), full
    yield "dense_gelu", Dense(D=5, F=9, act=gelu_tanh, gated=False), full
    yield "dense_swiglu", Dense(D=5, F=7, act=silu, gated=True), padded


def c_array(out, kind, name, values, text):
    out.append("static const %s %s[] = {" % (kind, name))
    line = "   "
    for value in values:
        item = " " + text(value) + ","
        if len(line) + len(item) > 100:
            out.append(line)
            line = "   "
        line += item
    out += [line, "};"]


def c_header(name, seed, case):
    guard = "PEER_TESTS_GOLDEN_" + name.upper() + "_H"
    out = ["/* SPDX-License-Identifier: MIT */",
           "/* Written by generate.py, seed %d. */" % seed,
           "/* clang-format off */",
           "#ifndef " + guard, "#define " + guard, "", '#include "tests/golden/golden.h"', ""]
    single = lambda value: "%.9gf" % value if "." in "%.9g" % value or "e" in "%.9g" % value \
        else "%.1ff" % value
    double = lambda value: "%.12e" % value
    whole = lambda value: "%d" % value

    def put(kind, part, values, text):
        if values:
            c_array(out, kind, "%s_%s" % (name, part), values, text)
            return "%s_%s" % (name, part)
        return "NULL"

    fields = [("mask", put("uint8_t", "mask", case["mask"] if 0 in case["mask"] else [], whole)),
              ("x", put("float", "x", case["x"], single)),
              ("dy", put("float", "dy", case["dy"], single))]
    fields += [(part, put("double", part, case[part], double)) for part in ("y", "y_eval", "dx")]
    fields += [("ids", put("int32_t", "ids", case["ids"], whole)),
               ("gates", put("double", "gates", case["gates"], double))]
    rows = []
    for array, values, grad, after in case["arrays"]:
        part = array.replace(".", "_")
        rows.append('    {"%s", %d, %s, %s, %s},' % (
            array, len(values), put("float", "w_" + part, values, single),
            put("double", "dw_" + part, grad, double),
            put("double", "after_" + part, after, double)))
    out += ["static const struct golden_array %s_arrays[] = {" % name] + rows + ["};"]
    out += ["static const struct golden %s = {" % name, '    .name = "%s",' % name,
            "    .magnified = %.1f," % case["magnified"],
            "    .T = %d," % case["T"], "    .D = %d," % case["D"]]
    out += ["    .%s = %s," % field for field in fields]
    out += ["    .arrays = %s_arrays," % name, "    .count = %d," % len(rows), "};"]
    return "\n".join(out + ["", "#endif", ""])


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: generate.py FOLDER")
    for name, layer, mask in cases():
        for seed in range(1, 1000):
            try:
                case = compute(layer, len(mask), mask, seed)
                break
            except ValueError:
                continue
        else:
            sys.exit(name + ": no seed keeps all scores apart")
        with open(os.path.join(sys.argv[1], name + ".h"), "w") as file:
            file.write(c_header(name, seed, case))


main()
