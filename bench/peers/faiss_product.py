# SPDX-License-Identifier: MIT
"""FAISS's product-key search, MultiIndexQuantizer. It finds the smallest distances, which are the
largest inner products where all sub-keys have one length."""
from types import SimpleNamespace

import rival

rival.need("faiss")

import faiss


def build(options, tensors):
    faiss.omp_set_num_threads(options["threads"])
    side, width, kept = options["side"], options["width"], options["kept"]
    bits = side.bit_length() - 1
    index = faiss.MultiIndexQuantizer(width, 2, bits)
    faiss.copy_array_to_vector(tensors["keys"].ravel(), index.pq.centroids)
    index.is_trained, index.ntotal = True, side * side
    queries, state = tensors["queries"], {}

    def run():
        state["ids"] = index.search(queries, kept)[1]

    def result(_):
        """Its label has the first half in the low bits; the project's has it in the high ones."""
        ids = state["ids"]
        return ((ids % side) * side + ids // side).astype("int32")

    return SimpleNamespace(run=run, result=result)


if __name__ == "__main__":
    rival.serve(build)
