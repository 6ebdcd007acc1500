#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Killed runs end as they should: kills.sh SOURCE BUILD
set -u
exec "$1/tests/kills/kills.sh" "$2/experiments/peerlab" 20
