# `start.sh USERS FOLDER… -- redis-server …`: starts Redis with the users of users.acl, one for each role, and writes them
# into the file USERS. A folder is named after its role. The role's password in it is made once; only Redis and the
# containers of that role have the folder, and Redis itself keeps the password's SHA-256.
set -euo pipefail
umask 077
users=$1
shift

hashes=()
while [ "$1" != -- ]; do
  role=${1##*[/-]}
  password=$1/redis-password
  if [ ! -s "$password" ]; then
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$password.new"
    mv "$password.new" "$password"
  fi
  hashes+=(-e "s/^user $role on/& #$(sha256sum <"$password" | cut -d ' ' -f 1)/")
  shift
done
shift
sed -e ':join' -e 'N' -e '$!b join' -e 's/\n  / /g' "$(dirname "$0")/users.acl" |
  sed -n "${hashes[@]}" -e '/^user /p' >"$users"
exec "$@" --aclfile "$users"
