#!/bin/sh
# The proxy in the seat of a sidecar. What comes to the neighbour in plaintext
# is led to it; 15008 is its own port and stays as it is.
set -eu
rule='PREROUTING -p tcp ! --dport 15008 -j REDIRECT --to-ports 15006'
# shellcheck disable=SC2086
iptables -t nat -C $rule 2> /dev/null || iptables -t nat -A $rule
exec ztunnel proxy
