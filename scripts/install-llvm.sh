#!/bin/sh
# Make sure some llc from LLVM 14-22 is on this machine; install the distribution's package if not.
set -eu

found() {
    for c in llc llc-22 llc-21 llc-20 llc-19 llc-18 llc-17 llc-16 llc-15 llc-14 \
        /usr/lib/llvm-*/bin/llc /usr/lib/llvm*/bin/llc /opt/homebrew/opt/llvm*/bin/llc; do
        path=$(command -v "$c" 2>/dev/null) || continue
        major=$("$path" --version 2>/dev/null | sed -n 's/.*LLVM version \([0-9]*\).*/\1/p' | head -n 1)
        [ -n "$major" ] && [ "$major" -ge 14 ] && [ "$major" -le 22 ] && return 0
    done
    return 1
}

found && exit 0

root=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 && root=sudo
fi
echo "no llc from LLVM 14-22 found; installing the llvm package" >&2
if command -v apt-get >/dev/null 2>&1; then
    $root apt-get update -q >&2 || true
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y -q --no-install-recommends llvm >&2
elif command -v dnf >/dev/null 2>&1; then
    $root dnf install -y llvm >&2
elif command -v apk >/dev/null 2>&1; then
    $root apk add llvm >&2
elif command -v pacman >/dev/null 2>&1; then
    $root pacman -Sy --noconfirm llvm >&2
elif command -v zypper >/dev/null 2>&1; then
    $root zypper --non-interactive install llvm >&2
elif command -v brew >/dev/null 2>&1; then
    brew install llvm >&2
fi
found || {
    echo "could not install llc: install LLVM 14-22 by hand (package \"llvm\" in most distributions) and try again" >&2
    exit 1
}
