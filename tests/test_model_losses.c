/* SPDX-License-Identifier: MIT */
/* Auxiliary losses of FFW layers in the language model: apart from its loss, part of its gradient.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "moe/moe.h"
#include "tests/support/lm_case.h"

enum { B = 2, S = 17, T = B * S };

struct pass {
    struct peer_ctx *ctx;
    struct lm_model *model;
    struct lm_case lm_case;
    float losses[T], *router; /* gradient */
    double auxiliary;
    int64_t values;
};

/* One pass of the n-th variant's model, with that coefficient of its balance loss. */
static void run(struct pass *p, const char *variant, float coefficient, float scale)
{
    int32_t *inputs = lm_case_ids(T, 61, 1), *targets = lm_case_ids(T, 61, 2);
    int number = 0;
    int64_t scored;
    while (lm_case_get(&p->lm_case, number) && strcmp(p->lm_case.name, variant) != 0)
        number++;
    ((struct peer_moe_config *)(void *)p->lm_case.ffw_config)->balance_loss = coefficient;
    p->ctx = lm_case_ctx(2);
    p->model = lm_case_model(&p->lm_case, p->ctx, T, true);
    lm_model_forward(p->model, &scored, p->losses, inputs, targets, B, S, PEER_MODE_TRAIN);
    p->auxiliary = lm_model_auxiliary(p->model);
    lm_model_backward(p->model, scale);
    const struct peer_param *router =
        peer_params_find(lm_model_params(p->model), "blocks.1.ffw.router");
    cr_assert_not_null(router);
    p->router = lm_case_gradient(router);
    p->values = peer_param_size(router);
    free(inputs);
    free(targets);
}

static void end(struct pass *p)
{
    free(p->router);
    lm_model_destroy(&p->model);
    peer_ctx_destroy(&p->ctx);
}

/* Gradients are linear in the coefficient, and scaled as the mean loss's; the loss knows nothing.
 */
Test(model_losses, are_apart_from_the_loss_and_part_of_the_gradient)
{
    static const char *const variants[] = {"switch", "gshard", "mixtral", "deepseek", "dropless"};
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        struct pass none, one, two, half;
        run(&none, variants[i], 0, 1);
        run(&one, variants[i], 1, 1);
        run(&two, variants[i], 2, 1);
        run(&half, variants[i], 1, 0.5f);
        cr_expect_arr_eq(none.losses, two.losses, sizeof none.losses, "%s", variants[i]);
        cr_expect_eq(none.auxiliary, 0);
        /* Experts with larger scores are chosen more often: above balance, 1, and below E. */
        cr_expect(one.auxiliary > 1 && one.auxiliary < 17, "%s: %g", variants[i], one.auxiliary);
        cr_expect_float_eq(two.auxiliary, 2 * one.auxiliary, 1e-6);
        double apart = 0, scaled = 0, moved = 0, largest = 0;
        for (int64_t j = 0; j < one.values; j++) {
            moved = fmax(moved, fabs(one.router[j] - none.router[j]));
            apart = fmax(apart, fabs(two.router[j] - 2.0 * one.router[j] + none.router[j]));
            scaled = fmax(scaled, fabs(one.router[j] - 2.0 * half.router[j]));
            largest = fmax(largest, fabs(two.router[j]));
        }
        cr_expect_gt(moved, 1e-4, "%s", variants[i]);
        cr_expect_lt(apart, 1e-5 * largest, "%s: %g of %g", variants[i], apart, largest);
        cr_expect_lt(scaled, 1e-5 * largest, "%s: %g of %g", variants[i], scaled, largest);
        struct peer_ffw_loss losses[PEER_FFW_LOSSES];
        cr_expect_eq(lm_model_losses(one.model, 1, losses), 1);
        cr_expect_str_eq(losses[0].name, "balance");
        cr_expect_eq(losses[0].coefficient, 1);
        cr_expect_eq(lm_model_losses(one.model, 0, losses), 0);
        end(&none);
        end(&one);
        end(&two);
        end(&half);
    }
}
