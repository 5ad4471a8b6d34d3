# The slow part of a sandbox's image: the base system and the Python packages, compiled, in /opt/sandbank.
# Nothing of Sandbank itself is in it, so it is built again only when the packages or the base change.
#
# The build context is made by `sandbank templates build` (sandbank_server/templates/context.py):
#   wheels/             every wheel to install, and pip's own
#   locks/NAME.txt      locked requirements with hashes; all of them are installed
# There is no network in the build: a package that is not in wheels/ is an error.
ARG BASE
FROM ${BASE} AS install
# Marks what is left over of this stage, so that it can be removed: the wheels would double the image.
ARG BUILD
LABEL sandbank.build=${BUILD}
COPY wheels /build/wheels
COPY locks /build/locks
# pip runs from its own wheel and is not part of the image: without a network it is of no use to user code.
#
# The root file system is read-only, so what is not compiled now is compiled at every import. Hash-checked files
# marked as never to be checked stay valid whatever happens to modification times on the way into a layer. The
# packages' own test suites are left as they are: nobody imports them.
#
# matplotlib lists its fonts at its first import, which takes about 75 ms, and keeps the list in MPLCONFIGDIR, a folder
# that it insists on being able to write to. The list made here is for being copied into such a folder.
#
# All in one step: each step's layer is written out whole, and this one has thousands of files.
RUN set -eu; \
    python3 -m venv --without-pip /opt/sandbank; \
    python=/opt/sandbank/bin/python; \
    pip() { PYTHONPATH=$(ls /build/wheels/pip-*.whl) "$python" -m pip "$@"; }; \
    set --; for lock in /build/locks/*.txt; do set -- "$@" --requirement "$lock"; done; \
    pip install --quiet --no-index --find-links /build/wheels --require-hashes --no-deps --no-compile \
        --no-cache-dir --disable-pip-version-check --root-user-action ignore "$@"; \
    pip check --disable-pip-version-check; \
    "$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/(tests|testing/data|_examples)/' /opt/sandbank/lib; \
    if "$python" -c 'import importlib.util as u; raise SystemExit(not u.find_spec("matplotlib"))'; then \
        MPLCONFIGDIR=/opt/sandbank/matplotlib "$python" -B -c 'import matplotlib.font_manager'; \
    fi

FROM ${BASE}
# A sandbox gains no privilege by executing a file (no-new-privileges); without these there is nothing to try.
# An official Python image comes without compiled standard library: its own Python compiles what is missing.
RUN set -eu; \
    find / -xdev -type f -perm /6000 -exec chmod a-s {} +; \
    python3 -m compileall -q -j 0 -x '/(test|tests|idlelib|turtledemo|lib2to3|site-packages|dist-packages)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"; \
    mkdir -p /workspace /run/sandbank
COPY --from=install /opt/sandbank /opt/sandbank
