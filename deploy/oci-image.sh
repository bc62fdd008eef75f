#!/bin/sh
# Makes an OCI image of a compiled executable, which is all there is in it, without a daemon: an image layout as a tar file.
# The same executable gives the same bytes. Usage: oci-image.sh EXECUTABLE OUT.tar [NAME:TAG]
#     docker load -i OUT.tar · podman load -i OUT.tar · ctr images import OUT.tar · skopeo copy oci-archive:OUT.tar docker://HOST/NAME:TAG
set -eu
[ $# -ge 2 ] || { echo "usage: oci-image.sh EXECUTABLE OUT.tar [NAME:TAG]" >&2; exit 2; }
exe=$1 out=$2 name=${3:-captioner:latest}
case $(od -An -tx1 -j18 -N2 "$exe" | tr -d ' ') in # the machine in the header of the ELF file
3e00) arch=amd64 ;;
b700) arch=arm64 ;;
*) echo "$exe: no executable for x86-64 or arm64, expected one that pgc compile made" >&2; exit 1 ;;
esac
dir=$(mktemp -d "$(dirname "$out")/.oci-XXXXXX")
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/root" "$dir/image/blobs/sha256"
ln "$exe" "$dir/root/captioner" 2>/dev/null || cp "$exe" "$dir/root/captioner"

# pack DIR OUT: a tar file that depends on names and contents alone.
pack() { tar --create --file="$2" --directory="$1" --sort=name --format=gnu --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX .; }

# blob FILE MEDIA-TYPE: moves a file to the image's blobs, and prints its descriptor.
blob() {
    sum=$(sha256sum "$1" | cut -d' ' -f1)
    size=$(wc -c <"$1")
    mv "$1" "$dir/image/blobs/sha256/$sum"
    printf '"mediaType":"%s","digest":"sha256:%s","size":%d' "$2" "$sum" "$size"
}

# Weights do not compress: the layer is a plain tar file, so that its digest is that of its contents, too.
pack "$dir/root" "$dir/layer"
layer=$(blob "$dir/layer" application/vnd.oci.image.layer.v1.tar)
digest=$(echo "$layer" | sed 's/.*"digest":"\([^"]*\)".*/\1/')
printf '{"architecture":"%s","os":"linux","config":{"User":"65534:65534","Entrypoint":["/captioner"],"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["%s"]}}' \
    "$arch" "$digest" >"$dir/config"
config=$(blob "$dir/config" application/vnd.oci.image.config.v1+json)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{%s},"layers":[{%s}]}' "$config" "$layer" >"$dir/manifest"
manifest=$(blob "$dir/manifest" application/vnd.oci.image.manifest.v1+json)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{%s,"platform":{"architecture":"%s","os":"linux"},"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"%s"}}]}' \
    "$manifest" "$arch" "$name" "${name##*:}" >"$dir/image/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$dir/image/oci-layout"
pack "$dir/image" "$dir/out"
mv "$dir/out" "$out"
