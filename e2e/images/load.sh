#!/usr/bin/env bash
# Brings the built images into the cluster: imported into the local one, loaded into kind, pushed to EASYCODE_REGISTRY for
# any other.
set -euo pipefail
. "$(dirname "$0")/../cluster/lib/common.sh"
. "$cluster_dir/lib/process.sh"
. "$cluster_dir/lib/images.sh"
. "$repo/e2e/images/lib.sh"

for program in "${programs[@]}"; do
  archive=$images/archives/$program.tar
  name=$(image_of "$program")
  case $(cluster_kind) in
    local) import_image "$archive" "$name" ;;
    kind) "$(tool kind)" load image-archive --name "$kind_cluster" "$archive" ;;
    existing)
      [ -n "${EASYCODE_REGISTRY:-}" ] || die "set EASYCODE_REGISTRY to a registry that your cluster pulls from"
      if has_engine; then
        docker push --quiet "$name"
      else
        buildah_here pull --quiet "docker-archive:$archive" >/dev/null
        buildah_here push --quiet "$name"
      fi
      ;;
  esac
done
