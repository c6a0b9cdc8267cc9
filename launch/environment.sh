# Sourced at the root of the tree by scripts that build and run: whose tools they use, and where temporary files go.
# Debian's tools come first: what conda, pyenv or a module put in front stays behind them.
export PATH=/usr/bin:/bin:$PATH
[ -z "${CONDA_PREFIX:-}" ] || unset CC CXX CPPFLAGS CXXFLAGS LDFLAGS CMAKE_PREFIX_PATH CMAKE_ARGS LD_LIBRARY_PATH PKG_CONFIG_PATH
unset CONDA_PREFIX VIRTUAL_ENV

# But for an Open MPI in /usr/local: the loader takes its libraries for Debian's programs, too, so it must be all of it.
is_open_mpi() { [[ "$("$1" --version 2>/dev/null)" == *"Open MPI"* ]]; }
if is_open_mpi /usr/local/bin/mpirun; then PATH=/usr/local/bin:$PATH; fi
if ! is_open_mpi mpirun; then
  echo "$(command -v mpirun || echo mpirun) is not Open MPI's; choose it by update-alternatives --config mpirun, and --config mpi" >&2
  exit 1
fi

# As root mpirun asks to be allowed; threads that wait must not keep others from their core.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive

# Where nothing can be written to /tmp, or run from there, the build folder serves.
can_run_from() {
  local probe code
  probe=$(mktemp -p "$1" 2>/dev/null) || return 1
  printf '#!/bin/sh\n' > "$probe" && chmod +x "$probe" && "$probe" 2>/dev/null
  code=$?
  rm -f "$probe"
  return $code
}
if ! can_run_from "${TMPDIR:-/tmp}"; then
  export TMPDIR=$PWD/build/tmp
  mkdir -p "$TMPDIR"
fi
[ -n "${CCACHE_DIR:-}" ] || [ -w "${HOME:-/nowhere}" ] || export CCACHE_DIR=$PWD/build/ccache
