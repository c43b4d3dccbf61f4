# One static binary and the CA roots in an empty image.
#
#     docker build --tag inkpass .                     builds the binary in the `build` stage
#     docker build --build-arg BINARY_FROM=local …     takes what `.ci/image-files target/image` left
ARG BINARY_FROM=build

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN .ci/image-files /files

FROM scratch AS local
COPY target/image /files

FROM ${BINARY_FROM} AS files

FROM scratch
COPY --from=files /files /
USER 65532:65532
EXPOSE 50051 9464
ENTRYPOINT ["/inkpass"]
