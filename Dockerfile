# The agent's image. The last stage is not a Debian but a handful of its files: Python, libbpf, what these two load, and
# the package. It has no shell, no package manager, and nothing that the agent does not use.
#
# No program of the target's runs while this builds: packages are unpacked and wheels chosen for it. So arm64 is built
# on amd64, and the other way round, without emulation.

# The package's own; a build with another fails.
ARG VERSION=0.1.0

# -- tools: compiler and Python ---------------------------------------------------------------------------------------

FROM --platform=$BUILDPLATFORM debian:trixie-slim AS tools
WORKDIR /build
COPY Makefile requirements.lock ./
COPY .ci/packages .ci/
RUN apt-get update -q && apt-get install -q -y --no-install-recommends make && make packages-build
RUN python3 -m venv /venv && /venv/bin/pip install -q -c requirements.lock hatchling

# -- wheel: the BPF object, and the package with it -------------------------------------------------------------------

FROM tools AS wheel
ARG VERSION
COPY pyproject.toml README.md LICENSE ./
COPY bpf bpf
COPY src src
RUN make object && /venv/bin/python -m hatchling build -t wheel -d /wheel
RUN test -f /wheel/oomeventer-$VERSION-*.whl || { echo "VERSION is $VERSION, and built was" /wheel/*; exit 1; }

# -- debian: its packages' files, for the target ----------------------------------------------------------------------

FROM tools AS debian
ARG TARGETARCH
WORKDIR /packages
# What is needed, and not all that these depend on: below, those of Python's modules go whose libraries are not here.
RUN dpkg --add-architecture $TARGETARCH && apt-get update -q && \
    apt-get download -q -o APT::Sandbox::User= $(printf "%s:$TARGETARCH " \
        base-files libc6 libbpf1 libelf1t64 zlib1g libzstd1 \
        python3.13-minimal libpython3.13-minimal libpython3.13-stdlib \
        libssl3t64 libexpat1 libffi8 libbz2-1.0 liblzma5 libgcc-s1 libsqlite3-0 libstdc++6)
WORKDIR /image
# In status.d scanners look for the packages, and their versions, of an image without dpkg.
RUN mkdir -p var/lib/dpkg/status.d && for file in /packages/*.deb; do \
        dpkg-deb -x $file . && dpkg-deb -f $file >var/lib/dpkg/status.d/$(dpkg-deb -f $file Package) || exit 1; \
    done && \
    ln -s python3.13 usr/bin/python3 && \
    echo 'root:x:0:0::/:/nonexistent' >etc/passwd && echo 'root:x:0:' >etc/group && \
    echo 'hosts: files dns' >etc/nsswitch.conf && \
    find usr/share -type f ! -path '*/common-licenses/*' ! -name copyright -delete && \
    find usr/share -depth -type d -empty -delete && \
    rm -rf usr/lib/*/gconv usr/lib/*/libmemusage.so usr/lib/*/libpcprofile.so usr/lib/*/libthread_db.so* && \
    rm -rf etc/dpkg etc/profile.d etc/skel etc/update-motd.d && \
    cd usr/lib/python3.13 && rm -rf test pydoc_data turtle.py curses && cd lib-dynload && \
    rm -f _test* _xx* xx* _curses* _dbm* _gdbm* _uuid* readline*
# The byte code goes by what the source was, not by its time: the root file system is read-only, and nothing is checked.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /image /image/usr/lib/python3.13

# -- image: that, and the wheels --------------------------------------------------------------------------------------

FROM debian AS image
ARG TARGETARCH
COPY --from=wheel /wheel /wheel
# Wheels only, so that nothing is compiled; for the target, and for Debian's glibc (2.41) or any older.
RUN case $TARGETARCH in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; *) exit 1 ;; esac && \
    /venv/bin/pip install -q --no-compile --only-binary=:all: --implementation=cp --python-version=3.13 \
        $(seq -f "--platform=manylinux_2_%g_$machine" 41 -1 17) --platform=manylinux2014_$machine \
        --target=packages -c /build/requirements.lock /wheel/*.whl
# Most of the wheels' size is debugging symbols, and the models of the Kubernetes client, without which
# src/oomeventer/cluster/_kubernetes.py imports it.
RUN mkdir -p usr/local/bin usr/local/lib/python3.13 && \
    sed '1s|.*|#!/usr/bin/python3|' packages/bin/oomeventer >usr/local/bin/oomeventer && \
    chmod 755 usr/local/bin/oomeventer && rm -rf packages/bin packages/*.md && \
    rm -rf packages/kubernetes_asyncio/client/api packages/kubernetes_asyncio/client/models && \
    find packages -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.px[di]' -o -name '*.[ch]' \) -delete && \
    find packages -name '*.so' -exec llvm-strip --strip-unneeded {} + && \
    mv packages usr/local/lib/python3.13/dist-packages && \
    python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /image /image/usr/local/lib/python3.13

# -- the agent --------------------------------------------------------------------------------------------------------

FROM scratch
ARG VERSION
ARG REVISION=unknown
COPY --from=image /image /
ENV PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title="oomeventer" \
      org.opencontainers.image.description="Explains OOM kills: from the kernel's record to a Kubernetes Event" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="MIT"
ENTRYPOINT ["/usr/local/bin/oomeventer"]
CMD ["run"]
