/* SPDX-License-Identifier: MIT */
#include "experiments/report/study_paper.h"

const struct lab_paper_norm lab_paper_norms[LAB_PAPER_NORMS] = {
    {128 * 128, {23.47, 23.47}, {100, 100}, {0.45, 0.30}},
    {256 * 256, {22.61, 22.55}, {100, 100}, {0.63, 0.44}},
    {512 * 512, {21.54, 21.47}, {100, 100}, {0.97, 0.66}},
    {1024 * 1024, {20.73, 20.64}, {99.8, 100}, {1.52, 1.06}},
};

const struct lab_paper_method lab_paper_methods[LAB_PAPER_METHODS] = {
    {"dense", 23.84}, {"MoE", 21.41}, {"PKM", 21.92}, {"PEER", 20.63}};

const struct lab_paper_heads lab_paper_heads[LAB_PAPER_ACTIVE] = {
    {32, {2, 4, 8}, {21.50, 21.70, 22.30}},    {64, {2, 4, 8}, {21.11, 21.03, 21.22}},
    {128, {4, 8, 16}, {20.67, 20.64, 20.83}},  {256, {4, 8, 16}, {20.65, 20.43, 20.42}},
    {512, {8, 16, 32}, {20.32, 20.26, 20.36}},
};
