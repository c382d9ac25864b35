# Sourced by the checks of csrc: where things are built, what must be installed, and how long a
# command may take.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=build/checks
scale=${PARSUM_TEST_SCALE:-0}

# needs COMMAND PACKAGE...: installs the packages unless the command is there. Where that cannot be,
# the script that needs it ends and says so.
needs() {
    local command=$1
    shift
    command -v "$command" > /dev/null && return
    echo "+ apt-get install $*"
    if [ "$(id -u)" -ne 0 ] || ! timeout 120 apt-get update -qq ||
        ! timeout 300 apt-get install -y -qq --no-install-recommends "$@" > /dev/null; then
        echo "NOT RUN: $0 needs $command: apt-get install $*" >&2
        exit 0
    fi
}

# limited SECONDS COMMAND...: prints and runs it; a limit that is reached is a failure.
limited() {
    local seconds=$1
    shift
    echo "+ $*"
    local begin=$SECONDS
    timeout --kill-after=10 "$((seconds * (scale > 0 ? 20 * scale : 2)))" "$@" || {
        local status=$?
        [ $status -ne 124 ] || echo "no end after the limit of $seconds s: $*" >&2
        return $status
    }
    echo "  ($((SECONDS - begin)) s)"
}

# compile NAME VARIABLE=...: the C test program at $build/NAME/check_csrc.
compile() {
    local name=$1
    shift
    limited 240 make -s -j "$(nproc)" -C tests/c BUILD="$PWD/$build/$name" "$@" check_csrc
}
