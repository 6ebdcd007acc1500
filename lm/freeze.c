/* SPDX-License-Identifier: MIT */
#include "lm/config.h"

const char *const lm_freeze_names[] = {"none", "router", "experts", "mixture", "rest", NULL};

unsigned lm_freeze_roles(enum lm_freeze freeze)
{
    static const unsigned roles[] = {
        [LM_FREEZE_ROUTER] = PEER_FROZEN(PEER_ROLE_ROUTER),
        [LM_FREEZE_EXPERTS] = PEER_FROZEN(PEER_ROLE_EXPERTS),
        [LM_FREEZE_MIXTURE] = PEER_FROZEN(PEER_ROLE_ROUTER) | PEER_FROZEN(PEER_ROLE_EXPERTS),
        [LM_FREEZE_REST] = PEER_FROZEN(PEER_ROLE_REST),
    };
    return roles[freeze];
}

int64_t lm_config_frozen(const struct lm_config *config)
{
    struct peer_cost cost;
    unsigned roles = lm_freeze_roles(config->freeze);
    lm_config_cost(&cost, config, config->context);
    int64_t rest = cost.params_total - cost.params_router - cost.params_experts;
    return (roles & PEER_FROZEN(PEER_ROLE_REST) ? rest : 0) +
           (roles & PEER_FROZEN(PEER_ROLE_ROUTER) ? cost.params_router : 0) +
           (roles & PEER_FROZEN(PEER_ROLE_EXPERTS) ? cost.params_experts : 0);
}

enum peer_status lm_freeze_check(struct peer_ctx *ctx, const struct lm_config *config)
{
    struct peer_cost cost;
    if ((int)config->freeze < 0 || config->freeze >= LM_FREEZE_COUNT)
        return peer_fail(ctx, PEER_ERR_ARGUMENT, "lm_config: freeze = %d, expected 0 to %d",
                         (int)config->freeze, LM_FREEZE_COUNT - 1);
    if (config->freeze == LM_FREEZE_NONE)
        return PEER_OK;
    lm_config_cost(&cost, config, config->context);
    if (cost.params_router > 0 && cost.params_experts > 0)
        return PEER_OK;
    return peer_fail(ctx, PEER_ERR_ARGUMENT,
                     "lm_config: freeze = %s, but ffw = %s is no mixture of experts: %s",
                     lm_freeze_names[config->freeze], config->ffw ? config->ffw->name : "dense",
                     config->freeze == LM_FREEZE_REST ? "nothing would be trained"
                                                      : "there is nothing to freeze");
}
