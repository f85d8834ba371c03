# Build image for python3.12 and later: Amazon Linux 2023, glibc 2.34.
#
#   lambdapack images build --python 3.12 [--arch arm64] [--base IMAGE]
#
# The base brings Python, its headers and a compiler; nothing is installed here, so that it builds
# without a network and on any base that has those three.
ARG BASE=public.ecr.aws/sam/build-python3.12:latest-x86_64
FROM ${BASE}
ARG PYTHON=3.12
ARG ARCH=x86_64
USER 0
ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin
# Fails here, and names what is missing, instead of in the middle of a build of packages.
RUN "python${PYTHON}" -I -c 'import os, sys, sysconfig; \
      header = os.path.join(sysconfig.get_paths()["include"], "Python.h"); \
      os.path.exists(header) or sys.exit("no Python headers: " + header)' \
 && { command -v cc || command -v gcc || { echo "no C compiler" >&2; exit 1; }; }
LABEL org.lambdapack.runtime="python${PYTHON}" org.lambdapack.arch="${ARCH}"
ENTRYPOINT []
CMD ["/bin/sh"]
