# An image to build in, with system packages installed.
#
#   lambdapack build REQ --system-package libpq-devel
#
# The base's own package manager installs them; the result is kept by what the base is and what was asked for.
ARG BASE
FROM ${BASE}
ARG PACKAGES
USER 0
# Python's own libraries come first in Lambda's images, and the package manager does not run with them.
RUN unset LD_LIBRARY_PATH; \
    if command -v dnf >/dev/null; then dnf install -y ${PACKAGES} && dnf clean all; \
    elif command -v microdnf >/dev/null; then microdnf install -y ${PACKAGES} && microdnf clean all; \
    elif command -v yum >/dev/null; then yum install -y ${PACKAGES} && yum clean all; \
    elif command -v apt-get >/dev/null; then apt-get update && export DEBIAN_FRONTEND=noninteractive \
      && apt-get install -y --no-install-recommends ${PACKAGES} && rm -rf /var/lib/apt/lists/*; \
    else echo "no package manager: dnf, microdnf, yum or apt-get" >&2; exit 42; fi
