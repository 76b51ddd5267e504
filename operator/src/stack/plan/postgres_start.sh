# Starts Postgres, after making its data directory once. Runs as the image's user 999 with a read-only root.
set -eu
umask 077
data=/var/lib/postgresql/data/pgdata
config=/etc/easycode/postgres
tls=/etc/easycode/tls
# Postgres takes a key only from a file of its own user. In memory, so that no disk of the node ever has it.
served=/dev/shm/tls
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
is_served() {
  [ "$(cat "$tls/tls.crt" "$tls/tls.key")" = "$(cat "$served/tls.crt" "$served/tls.key" 2>/dev/null)" ]
}
serve() {
  mkdir -p "$served"
  for file in tls.crt tls.key; do
    cat "$tls/$file" >"$served/$file.new"
    mv "$served/$file.new" "$served/$file"
  done
}
# The operator's password is whatever its Secret says now: one that was lost and made anew must not lock it out. Over the
# socket, where the superuser is known by the pod's user alone. A renewed certificate is for the connections that follow.
follow_secrets() {
  applied=
  while sleep 2; do
    password=$(cat /etc/easycode/operator/password) || continue
    if [ "$password" != "$applied" ]; then
      printf "ALTER ROLE easycode_operator PASSWORD '%s';" "$password" |
        psql --host=/tmp --username=postgres --dbname=postgres --no-psqlrc --quiet 2>/dev/null && applied=$password
    fi
    if [ -r "$tls/tls.key" ] && ! is_served; then
      serve && kill -HUP "$(head -1 "$data/postmaster.pid")"
    fi
  done
}
hba=pg_hba.conf
set --
# A pod that was rendered before there was a certificate has no folder of it.
if [ -r "$tls/tls.key" ]; then
  serve
  hba=pg_hba_tls.conf
  set -- -c ssl=on -c ssl_min_protocol_version=TLSv1.2 \
    -c "ssl_cert_file=$served/tls.crt" -c "ssl_key_file=$served/tls.key"
fi
follow_secrets &
exec postgres -D "$data" -c "config_file=$config/postgresql.conf" -c "hba_file=$config/$hba" "$@"
