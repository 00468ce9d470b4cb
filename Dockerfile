# One small image with the service and the migration program. It needs DATABASE_URL and TRADELINE_JWT_SECRET:
#
#   docker build -t tradeline .
#   docker run --rm -e DATABASE_URL=postgres://owner:…@db/tradeline tradeline tradeline migrate
#   docker run -p 8080:8080 -e DATABASE_URL=postgres://tradeline_service:…@db/tradeline -e TRADELINE_JWT_SECRET=… tradeline

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked -p tradeline -p migration

FROM debian:bookworm-slim
# The certificate authorities for Stripe and for the keys of issuers. Connections to a database do not use
# these: a database with a certificate authority of its own needs its file, as sslrootcert in the URL.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin tradeline
COPY --from=build /source/target/release/tradeline /source/target/release/migration /usr/local/bin/
USER 10001
ENV TRADELINE_LISTEN=0.0.0.0:8080 TRADELINE_LOG=json
EXPOSE 8080
CMD ["tradeline"]
