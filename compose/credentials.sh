#!/bin/sh
# Hands a token and the CA's root to each volume below /credentials, and a fresh
# token every hour. An argument is a node's name, for its proxy, or
# VOLUME=NAMESPACE/ACCOUNT, for a workload.
set -eu
umask 027
certs=/certs
trap 'exit 0' TERM INT

# Makes a file's next content and only then puts it in place.
put() {
  cat > "$1.next"
  mv "$1.next" "$1"
}

# The config server makes both when it first starts.
until [ -s "$certs/token-key.pem" ] && [ -s "$certs/root-cert.pem" ]; do
  sleep 0.1
done

while :; do
  for each in "$@"; do
    folder=/credentials/${each%%=*}
    put "$folder/root-cert.pem" < "$certs/root-cert.pem"
    case $each in
      *=*) ztunnel token create --certs "$certs" --workload "${each#*=}" ;;
      *) ztunnel token create --certs "$certs" --node "$each" ;;
    esac | put "$folder/token"
  done
  echo "tokens for $*"
  sleep 3600 &
  wait $!
done
