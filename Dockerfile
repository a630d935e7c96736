# syntax=docker/dockerfile:1

# Two images from one build: wxgate, which is the default, and with `--target fakewechat` the simulator of WeChat and
# Yunxin. Both hold one static program and nothing else: no shell, no package manager, nothing to keep patched but Go.

# The compiler runs on the builder's own platform and cross-compiles, which is many times faster than emulation.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src

# For builders that reach another module proxy better, e.g. https://goproxy.cn,direct.
ARG GOPROXY=https://proxy.golang.org,direct
ENV CGO_ENABLED=0 GOPROXY=$GOPROXY

# Modules first, so that a changed source file does not fetch them again.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download

COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION
# .dockerignore leaves no repository to read a commit from; what this is, VERSION has to say.
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./cmd/wxgate ./cmd/fakewechat
RUN mkdir /out/state

# The number is that of "nonroot" in other minimal images. A name would need an /etc/passwd, and Kubernetes' runAsNonRoot
# accepts nothing but a number.
FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER 65532:65532

FROM base AS fakewechat
COPY --from=build /out/fakewechat /fakewechat
EXPOSE 8090
ENTRYPOINT ["/fakewechat"]

FROM base AS wxgate
COPY --from=build /out/wxgate /wxgate
# Where the embedded store lives, also under its default name: bolt:wxgate.db is relative to the working directory. A
# volume, because the root file system may be read-only and a new container must find the users of the old one.
COPY --from=build --chown=65532:65532 /out/state /var/lib/wxgate
WORKDIR /var/lib/wxgate
VOLUME /var/lib/wxgate
# Browsers, and the admin listener, which is on loopback unless WXGATE_ADMIN_LISTEN says otherwise.
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/wxgate", "healthcheck"]
ENTRYPOINT ["/wxgate"]
