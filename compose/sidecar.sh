#!/bin/bash
# Envoy as the sidecar of a pod, and what istio-agent does for it: a certificate
# that is kept fresh, and a configuration out of what the config server knows.
#
#   sidecar.sh NAMESPACE/POD NAMESPACE/ACCOUNT
set -euo pipefail
umask 077
workload=$1
account=$2
credentials=/var/run/ztunnel
identity=spiffe://${TRUST_DOMAIN:-cluster.local}/ns/${account%/*}/sa/${account#*/}
trap 'kill $(jobs -p) 2> /dev/null; exit 0' TERM INT

ztunnel certs issue "$identity" --dir /run/certs --watch \
  --ca-address "$CA_ADDRESS" --ca-root "$credentials/root-cert.pem" --token "$credentials/token" &
certificates=$!
until [ -s /run/certs/cert-chain.pem ]; do
  kill -0 "$certificates"
  sleep 0.1
done

ztunnel sidecar bootstrap "$workload" --certs /run/certs --sds /run/sds.json \
  --xds-address "$XDS_ADDRESS" --xds-root "$credentials/root-cert.pem" --token "$credentials/token" \
  > /run/envoy.json

envoy -c /run/envoy.json --concurrency 1 --disable-hot-restart --log-level warning \
  --file-flush-interval-msec 200 &

# Neither goes on without the other.
wait -n
