# shellcheck shell=bash
# Images that the local cluster itself needs, built from packages and sources here, kept in the cache as archives.

pause_image=localhost/easycode/pause:1
# It has the shell that the storage provisioner's helper pods need, too.
helper_image=$postgres_image

bud() { buildah --storage-driver vfs --root "$cache/buildah" --runroot "$state/buildah" "$@"; }

# archive_of NAME FILE…: where the archive of an image made from those files is kept.
archive_of() { printf '%s/images/%s-%s-%s.tar' "$cache" "$1" "$(hash_of "${@:2}")" "$(uname -m)"; }

# Moves a finished archive into place: an interrupted build leaves none.
commit_image() {
  local container=$1 name=$2 archive=$3
  rm -f "$archive.part"
  bud commit --quiet --rm "$container" "docker-archive:$archive.part:$name" >/dev/null
  mv "$archive.part" "$archive"
}

build_pause() {
  local archive container
  archive=$(archive_of pause "$cluster_dir/pause.c")
  if [ ! -f "$archive" ]; then
    mkdir -p "$(dirname "$archive")"
    gcc -Os -static -o "$state/pause" "$cluster_dir/pause.c"
    container=$(bud from scratch)
    bud copy --quiet "$container" "$state/pause" /pause >/dev/null
    bud config --user 65535:65535 --entrypoint '["/pause"]' "$container"
    commit_image "$container" "$pause_image" "$archive"
  fi
  printf '%s' "$archive"
}

build_postgres() {
  local archive container files=$state/postgres-files
  archive=$(archive_of postgres "$cluster_dir/lib/images.sh")
  if [ ! -f "$archive" ]; then
    mkdir -p "$(dirname "$archive")"
    rm -rf "$files"
    # bookworm on whatever distribution: it is the one with Postgres 15.
    # The user gets the id that the official image has. Translations and the compiler are of no use in a test.
    mmdebstrap --quiet --mode=root --variant=minbase --include=postgresql-15 \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/lib/postgresql/15/lib/bitcode/*' \
      --essential-hook='echo "postgres:x:999:" >>"$1/etc/group"' \
      --essential-hook='echo "postgres:x:999:999::/var/lib/postgresql:/bin/sh" >>"$1/etc/passwd"' \
      bookworm "$files" >&2
    rm -rf "$files"/var/lib/apt/lists/* "$files"/var/cache/apt/* "$files"/var/lib/postgresql/15
    container=$(bud from scratch)
    bud copy --quiet "$container" "$files" / >/dev/null
    bud config --user 999:999 --env PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin "$container"
    commit_image "$container" "$postgres_image" "$archive"
    rm -rf "$files"
  fi
  printf '%s' "$archive"
}

# Imports an archive into the node unless it has the image already; a name stands for its content.
import_image() {
  local archive=$1 name=$2
  local ctr=(ctr --address "$state/run/containerd.sock" --namespace k8s.io)
  [ -z "$("${ctr[@]}" images list -q "name==$name")" ] || return 0
  log "loading $name"
  in_node "${ctr[@]}" images import --digests=false "$archive" >/dev/null
}
