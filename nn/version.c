/* SPDX-License-Identifier: MIT */
#include "nn/version.h"

const char *peer_version(void)
{
    return PEER_VERSION;
}
