# The agent's image. The last stage is not a Debian but a handful of its files: Python, libbpf, what these two load, and
# the package. It has no shell, no package manager, and nothing that the agent does not use.
#
# No program of the target's runs while this builds: packages are unpacked and wheels chosen for it. So arm64 is built
# on amd64, and the other way round, without emulation.

# What changes outside is pinned where a release is built, with the build arguments in .ci/pins: the base by its digest,
# Debian's archive by a date. Without them the newest are taken. The README shows both, and how a proxy with a certificate
# of its own is passed: as secrets, which are there while a command runs and in no layer.

# The package's own; a build with another fails.
ARG VERSION=0.1.0
ARG BASE=debian:trixie-slim

# -- tools: compiler and Python ---------------------------------------------------------------------------------------

FROM --platform=$BUILDPLATFORM $BASE AS tools
# A date of Debian's archive, such as 20261128T000000Z; empty: today's.
ARG SNAPSHOT=
# Of the secret ca, if it is there: apt, pip and curl read it beside what the system trusts.
ENV SSL_CERT_FILE=/run/secrets/ca
WORKDIR /build
COPY Makefile ./
COPY .ci/packages .ci/snapshot .ci/
# Without --error-on=any apt goes on with what lists it has, and what is missing then says nothing of the cause.
RUN --mount=type=secret,id=ca,mode=0444 \
    --mount=type=secret,id=apt,target=/etc/apt/apt.conf.d/90build,mode=0444 \
    .ci/snapshot $SNAPSHOT && apt-get update -q --error-on=any && \
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends make && make packages-build
COPY requirements.lock requirements-build.lock ./
RUN --mount=type=secret,id=ca,mode=0444 \
    --mount=type=secret,id=pip,target=/etc/pip.conf,mode=0444 \
    python3 -m venv /venv && /venv/bin/pip install -q --require-hashes -r requirements-build.lock

# -- wheel: the BPF object, and the package with it -------------------------------------------------------------------

FROM tools AS wheel
ARG VERSION
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY bpf bpf
COPY src src
RUN make object && /venv/bin/python -m hatchling build -t wheel -d /wheel
RUN test -f /wheel/oomeventer-$VERSION-*.whl || { echo "VERSION is $VERSION, and built was" /wheel/*; exit 1; }

# -- debian: its packages' files, for the target ----------------------------------------------------------------------

FROM tools AS debian
ARG TARGETARCH
ARG SNAPSHOT=
WORKDIR /packages
COPY .ci/debs.lock /build/.ci/
# What is needed, and not all that these depend on: below, those of Python's modules go whose libraries are not here.
RUN --mount=type=secret,id=ca,mode=0444 \
    --mount=type=secret,id=apt,target=/etc/apt/apt.conf.d/90build,mode=0444 \
    dpkg --add-architecture $TARGETARCH && apt-get update -q --error-on=any && \
    apt-get download -q -o APT::Sandbox::User= $(printf "%s:$TARGETARCH " \
        base-files libc6 libbpf1 libelf1t64 zlib1g libzstd1 \
        python3.13-minimal libpython3.13-minimal libpython3.13-stdlib \
        libssl3t64 libexpat1 libffi8 libgcc-s1 libsqlite3-0)
# Those of the lock, where the archive's date is; else it is shown which are not.
RUN sha256sum *.deb >/debs && \
    { grep "_$TARGETARCH\.deb$" /build/.ci/debs.lock | diff - /debs || \
      { echo "This image's packages (>) are not those of .ci/debs.lock (<), which make lock-image renews." \
             "Only a build with SNAPSHOT fails for it."; [ -z "$SNAPSHOT" ]; }; }
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
    rm -rf usr/lib/*/gconv usr/lib/*/libmemusage.so usr/lib/*/libpcprofile.so usr/lib/*/libthread_db.so* \
        usr/lib/*/libmvec.so* && \
    rm -rf etc/dpkg etc/profile.d etc/skel etc/update-motd.d && \
    cd usr/lib/python3.13 && rm -rf test pydoc_data turtle.py curses _pyrepl venv && cd lib-dynload && \
    rm -f _test* _xx* xx* _curses* _dbm* _gdbm* _uuid* _bz2* _lzma* readline*
# Byte code in the sources' place, 15 MB less: a traceback has files and lines, not the lines' text. Without docstrings
# and asserts (PYTHONOPTIMIZE below): 2 MiB of memory. Without columns, which say nothing where the line's text is not.
ENV PYTHONNODEBUGRANGES=1
RUN python3 -m compileall -q -j 0 -b -o 2 -s /image /image/usr/lib/python3.13 && \
    find /image/usr/lib/python3.13 -name '*.py' -delete

# For make lock-image: the names and hashes alone.
FROM scratch AS debs
COPY --from=debian /debs /

# -- image: that, and the wheels --------------------------------------------------------------------------------------

FROM debian AS image
ARG TARGETARCH
COPY --from=wheel /wheel /wheel
# Wheels only, so that nothing is compiled; for the target, and for Debian's glibc (2.41) or any older. With hashes pip
# takes nothing that the lock does not name: a lock that lacks one of the package's requirements ends the build.
RUN --mount=type=secret,id=ca,mode=0444 \
    --mount=type=secret,id=pip,target=/etc/pip.conf,mode=0444 \
    sha256sum /wheel/*.whl | sed 's|\(.*\)  \(.*\)|\2 --hash=sha256:\1|' >/wheel/own.txt && \
    case $TARGETARCH in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; *) exit 1 ;; esac && \
    /venv/bin/pip install -q --no-compile --only-binary=:all: --implementation=cp --python-version=3.13 \
        $(seq -f "--platform=manylinux_2_%g_$machine" 41 -1 17) --platform=manylinux2014_$machine \
        --target=packages --require-hashes -r /build/requirements.lock -r /wheel/own.txt
# Most of the wheels' size is debugging symbols, and the models of the Kubernetes client, without which
# src/oomeventer/cluster/_kubernetes.py imports it. frozenlist is as well in Python: its library alone needs libstdc++.
RUN mkdir -p usr/local/bin usr/local/lib/python3.13 && \
    sed '1s|.*|#!/usr/bin/python3|' packages/bin/oomeventer >usr/local/bin/oomeventer && \
    chmod 755 usr/local/bin/oomeventer && rm -rf packages/bin packages/*.md && \
    rm -rf packages/kubernetes_asyncio/client/api packages/kubernetes_asyncio/client/models && \
    find packages -name '*_test.py' -delete && rm packages/frozenlist/*.so && \
    find packages -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.px[di]' -o -name '*.[ch]' \) -delete && \
    find packages -name '*.so' -exec llvm-strip --strip-unneeded {} + && \
    mv packages usr/local/lib/python3.13/dist-packages && \
    python3 -m compileall -q -j 0 -b -o 2 -s /image /image/usr/local/lib/python3.13 && \
    find /image/usr/local/lib/python3.13 -name '*.py' -delete

# -- the agent --------------------------------------------------------------------------------------------------------

FROM scratch
ARG VERSION
ARG REVISION=unknown
COPY --from=image /image /
ENV PYTHONUNBUFFERED=1 PYTHONOPTIMIZE=2
LABEL org.opencontainers.image.title="oomeventer" \
      org.opencontainers.image.description="Explains OOM kills: from the kernel's record to a Kubernetes Event" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="MIT"
ENTRYPOINT ["/usr/local/bin/oomeventer"]
CMD ["run"]
