#!/bin/sh
# Makes the secrets that docker-compose.yml names, in secrets/ or in the directory that is given; keeps those that are there.
set -eu
umask 077
directory=${1:-$(dirname "$0")/../secrets}
mkdir -p "$directory"
cd "$directory"
# Others cannot come in; the files are readable because containers see them as they are, under users of their own.
chmod 700 .

make() {
  [ -s "$1" ] || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$1"
  chmod 444 "$1"
}

for name in state_password omero_password cdc_password superuser_password; do make "$name"; done
rm -f cdc.properties
printf 'password=%s\n' "$(cat cdc_password)" >cdc.properties
chmod 444 cdc.properties
echo "secrets are in $(pwd)"
