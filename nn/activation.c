/* SPDX-License-Identifier: MIT */
#include "nn/activation.h"

#include <stddef.h>

const char *const peer_act_names[] = {"gelu", "gelu_tanh", "relu", "silu", "identity", NULL};
const char *const peer_gate_names[] = {"softmax", "sigmoid", "relu", NULL};
