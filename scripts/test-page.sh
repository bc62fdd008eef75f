#!/bin/sh
# Use the page of bin/demo, served, in a headless browser. Screenshots go to out/page, where axe-core is kept, too.
set -eu
cd "$(dirname "$0")/.."
missing=""
for program in chromium npm curl python3; do
	command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -n "$missing" ]; then
	echo "make test-page: programs are missing, install them (on Debian: apt-get install --no-install-recommends$missing)" >&2
	exit 1
fi
out=out/page
mkdir -p "$out"
axe=axe-core-4.14.1
sum=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c
if ! echo "$sum  $out/$axe.js" | sha256sum -c --status 2>/dev/null; then
	(cd "$out" && npm pack --silent axe-core@4.14.1 >/dev/null && tar -xzOf "$axe.tgz" package/axe.min.js >"$axe.js" && rm "$axe.tgz")
	echo "$sum  $out/$axe.js" | sha256sum -c --quiet
fi
compile() { # NAME COMPILE'S ARGUMENTS…: an executable of a kind that the demo is not
	name=$1
	shift
	[ "$out/$name" -nt bin/pgc ] || bin/pgc compile "$@" --cpu native -o "$out/$name"
}
compile codes golden/pg1-odd
compile masks golden/pg1-odd --masks golden/masks/vae-oid.npz
compile pages golden/colpali-odd
compile frozen models/paligemma/demo/paligemma-demo --task 'detect airplane ; horse' --prompt 'caption en'
rm -f "$out"/*.png
here=$PWD
cd runtime/serve/page/pagetest
${GO:-go} vet ./...
${GO:-go} test -count=1 . -file "$here/bin/demo" -pictures "$here/models/paligemma/demo/pictures" -axe "$here/$out/$axe.js" -kinds "$here/$out" -out "$here/$out" "$@"
