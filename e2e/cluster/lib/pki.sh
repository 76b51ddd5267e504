# shellcheck shell=bash
# Certificates and kubeconfigs of the local cluster, made once per state folder.

certificate() {
  local name=$1 subject=$2 names=${3:-} pki=$state/pki
  openssl req -newkey rsa:2048 -nodes -keyout "$pki/$name.key" -out "$pki/$name.csr" -subj "$subject" 2>/dev/null
  openssl x509 -req -in "$pki/$name.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 3650 \
    -out "$pki/$name.crt" -extfile <(echo "basicConstraints=CA:FALSE"; [ -z "$names" ] || echo "subjectAltName=$names") \
    2>/dev/null
}

write_kubeconfig() {
  local name=$1 pki=$state/pki
  cat >"$pki/$name.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: easycode
    cluster: {server: "https://$node_address:6443", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}
users:
  - name: $name
    user:
      client-certificate-data: $(base64 -w0 "$pki/$name.crt")
      client-key-data: $(base64 -w0 "$pki/$name.key")
contexts:
  - {name: easycode, context: {cluster: easycode, user: $name}}
current-context: easycode
YAML
}

pki_up() {
  local pki=$state/pki
  [ ! -f "$pki/complete" ] || return 0
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$pki/ca.key" -out "$pki/ca.crt" -subj /CN=easycode-local \
    -days 3650 2>/dev/null
  certificate apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$node_address,IP:$api_service"
  certificate admin /O=system:masters/CN=admin
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate kubelet "/O=system:nodes/CN=system:node:$netns" "DNS:$netns,IP:$node_address"
  certificate proxy /CN=system:kube-proxy
  openssl genrsa -out "$pki/service-accounts.key" 2048 2>/dev/null
  openssl rsa -in "$pki/service-accounts.key" -pubout -out "$pki/service-accounts.pub" 2>/dev/null
  local user
  for user in admin controller-manager scheduler kubelet proxy; do write_kubeconfig "$user"; done
  touch "$pki/complete"
}
