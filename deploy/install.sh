#!/bin/sh
# Installs omero-mq from this unpacked bundle, without a network: install.sh [DIR]; DIR is /opt/omero-mq if not given.
# Makes DIR/VERSION with its own Python environment and DIR/current, a link to it. Needs no rights but those to write DIR.
set -eu

refuse() {
  printf '%s\nFix: %s\n' "$1" "$2" >&2
  exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-/opt/omero-mq}" || refuse "cannot make ${1:-/opt/omero-mq}" "run it as root, or name another directory: install.sh DIR"
target=$(cd "${1:-/opt/omero-mq}" && pwd)
cd "$here"

again="copy the archive again, check it with sha256sum -c, unpack it into an empty directory"
[ -f SHA256SUMS ] || refuse "SHA256SUMS is missing, so nothing here can be trusted" "$again"
sha256sum --check --quiet --strict SHA256SUMS >&2 || refuse "a file is not what it was when the bundle was made" "$again"
known=$(cut -c67- SHA256SUMS | sort)
found=$(find . -type f ! -path ./SHA256SUMS | cut -c3- | sort)
[ "$known" = "$found" ] || refuse "there are files that no checksum vouches for" "$again"

value() { sed -n "s/^$1=//p" BUNDLE; }
version=$(value version)
wanted=$(value python)
machine="$(uname -s)-$(uname -m)"
[ "$machine" = "$(value platform)" ] || refuse "this bundle is for $(value platform), and this machine is $machine" "make one on such a machine"

python=
for candidate in "python$wanted" python3; do
  if command -v "$candidate" >/dev/null && [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "$wanted" ]; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || refuse "there is no Python $wanted here" "apt-get install python$wanted-venv, or make a bundle with the Python of this machine"
"$python" -c 'import ensurepip, venv' 2>/dev/null || refuse "$python cannot make environments" "apt-get install python$wanted-venv"

place="$target/$version"
[ ! -e "$place" ] || refuse "$place is there already" "if nothing runs from it: rm -r $place, then run this again"
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
"$python" -m venv "$place"
"$place/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links wheels --constraint constraints.txt "omero-mq==$version"
cp -R jvm "$place/jvm"
"$place/bin/omero-mq" --version
trap - EXIT HUP INT TERM
ln -sfn "$version" "$target/current"

cat <<END
installed in $place; $target/current points at it

Next:  $target/current/bin/omero-mq --help
       $target/current/bin/omero-mq install --systemd --print
       OMERO_MQ_STACK_JVM_DIRECTORY=$target/current/jvm $target/current/bin/omero-mq up
END
