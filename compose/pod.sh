#!/bin/sh
# The first container of a pod that has a proxy of its own: the pod's network
# namespace is its, and the rules are there before any other container of the
# pod is. The same as istio-init's: what the application opens goes to 15001,
# what comes for it to 15006, and what the proxy (user and group 1337) opens goes
# where it wants to. 15008 is the proxy's own.
set -eu

redirect() {
  "$1-restore" --noflush --wait << RULES
*nat
:ISTIO_INBOUND -
:ISTIO_OUTPUT -
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_INBOUND -p tcp -j REDIRECT --to-ports 15006
-A ISTIO_OUTPUT -o lo -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -p tcp -j REDIRECT --to-ports 15001
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A OUTPUT -p tcp -j ISTIO_OUTPUT
COMMIT
RULES
}

redirect iptables
if [ -n "$(ip -6 -oneline address show scope global)" ]; then redirect ip6tables; fi
touch /run/redirected
echo 'the traffic of this pod goes through its proxy'
exec sleep infinity
