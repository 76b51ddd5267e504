# Starts Postgres, after making its data directory once. Runs as the image's user 999 with a read-only root.
set -eu
umask 077
data=/var/lib/postgresql/data/pgdata
if [ ! -s "$data/PG_VERSION" ]; then
  # Made aside and moved into place, so that a crash midway starts over instead of leaving half a database.
  rm -rf "$data.new"
  initdb --pgdata="$data.new" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
    --auth-local=peer --auth-host=scram-sha-256
  # The operator's login may make roles and databases; it is no superuser. By standard input, never as an argument.
  {
    printf "CREATE ROLE easycode_operator LOGIN CREATEROLE CREATEDB PASSWORD '%s';\n\n" \
      "$(cat /etc/easycode/operator/password)"
    printf 'CREATE DATABASE easycode OWNER easycode_operator;\n\n'
    printf 'REVOKE ALL ON DATABASE easycode FROM PUBLIC;\n\n'
    printf 'REVOKE ALL ON DATABASE postgres FROM PUBLIC;\n\n'
    # A session held in the template would make every CREATE DATABASE fail.
    printf 'REVOKE ALL ON DATABASE template1 FROM PUBLIC;\n\n'
  } | postgres --single -j -D "$data.new" postgres >/dev/null
  mv "$data.new" "$data"
fi
# The operator's password is whatever its Secret says now: one that was lost and made anew must not lock it out. Over the
# socket, where the superuser is known by the pod's user alone.
keep_password() {
  applied=
  while sleep 2; do
    password=$(cat /etc/easycode/operator/password) || continue
    [ "$password" != "$applied" ] || continue
    printf "ALTER ROLE easycode_operator PASSWORD '%s';" "$password" |
      psql --host=/tmp --username=postgres --dbname=postgres --no-psqlrc --quiet 2>/dev/null && applied=$password
  done
}
keep_password &
exec postgres -D "$data" \
  -c config_file=/etc/easycode/postgres/postgresql.conf -c hba_file=/etc/easycode/postgres/pg_hba.conf
