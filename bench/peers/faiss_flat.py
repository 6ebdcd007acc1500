# SPDX-License-Identifier: MIT
"""FAISS's exhaustive search over all pairs of sub-keys, written out: IndexFlatIP."""
from types import SimpleNamespace

import rival

rival.need("faiss")

import faiss
import numpy


def build(options, tensors):
    faiss.omp_set_num_threads(options["threads"])
    side, width, kept = options["side"], options["width"], options["kept"]
    first, second = tensors["keys"].reshape(2, side, width // 2)
    keys = numpy.concatenate([first.repeat(side, axis=0), numpy.tile(second, (side, 1))], axis=1)
    index = faiss.IndexFlatIP(width)
    index.add(keys)
    queries, state = tensors["queries"], {}

    def run():
        state["ids"] = index.search(queries, kept)[1]

    return SimpleNamespace(run=run, result=lambda _: state["ids"].astype("int32"))


if __name__ == "__main__":
    rival.serve(build)
