#!/usr/bin/env bash
# Loads the built images into the cluster: the local one, or kind.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$cluster_dir/lib/process.sh"
. "$cluster_dir/lib/images.sh"

for archive in "$repo"/target/images/archives/*.tar; do
  name=localhost/easycode/$(basename "$archive" .tar):dev
  if [ -d "$state" ]; then
    mark=$state/imported/$(basename "$archive")
    [ "$mark" -nt "$archive" ] && continue
    log "loading $name"
    in_node ctr --address "$state/run/containerd.sock" --namespace k8s.io images import --digests=false "$archive" >/dev/null
    touch "$mark"
  elif command -v kind >/dev/null || [ -x "$(tool kind)" ]; then
    log "loading $name"
    "$(tool kind)" load image-archive --name easycode "$archive"
  else
    die "no cluster of this project; push $name to a registry that your cluster pulls from"
  fi
done
