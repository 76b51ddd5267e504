# shellcheck shell=bash
# Who the demo's staff are, and what the chart needs to know of their identity provider. Sourced by deploy.sh.

secret() { head -c 24 /dev/urandom | base64 | tr -d '+/=\n'; }
person() {
  printf '{"ID": "%s", "Username": "%s@easycode.example", "Password": "%s", "FirstName": "%s", "LastName": "Demo", "Email": "%s@easycode.example", "EmailVerified": true}' \
    "$1" "$1" "$(cat "$people/password")" "$1" "$1"
}

people=$repo/target/demo/people
if [ ! -s "$people/users.json" ]; then
  (
    umask 077
    mkdir -p "$people"
    secret >"$people/password"
    secret >"$people/client-secret"
    printf '{"support": %s, "operations": %s, "administrator": %s}\n' \
      "$(person support)" "$(person operations)" "$(person administrator)" >"$people/users.json"
  )
fi
kube create namespace "$namespace" --dry-run=client -o yaml | kube apply -f - >/dev/null
kube --namespace "$namespace" create secret generic client-admin-demo --dry-run=client -o yaml \
  --from-file="$people/users.json" --from-file="$people/client-secret" | kube apply --server-side --force-conflicts -f - >/dev/null

# The provider in the console's pod is at the same address for both: for the console since they share their network, for a
# browser by forwarded ports. It keeps what it knows in memory, hence one replica.
cat >"$repo/target/demo/console.yaml" <<YAML
clientAdmin:
  enabled: true
  replicas: 1
  url: http://localhost:8088
  openIDConnect: {issuer: "http://localhost:9998", clientId: console, clientSecretName: client-admin-demo}
  roles:
    claim: email
    support: [support@easycode.example]
    operations: [operations@easycode.example]
    administrator: [administrator@easycode.example]
  egressPorts: [$(kube get endpointslices --namespace default -l kubernetes.io/service-name=kubernetes -o jsonpath='{.items[0].ports[0].port}')]
  podAnnotations: {easycode.io/people: "$(sha256sum "$people/users.json" "$people/client-secret" | sha256sum | cut -c1-12)"}
  extraContainers:
    - name: identity-provider
      image: $(image_of identity-provider)
      imagePullPolicy: IfNotPresent
      env:
        - {name: ISSUER, value: "http://localhost:9998"}
        - {name: LISTEN, value: ":9998"}
        - {name: CLIENT_ID, value: console}
        - {name: CLIENT_SECRET_FILE, value: /etc/people/client-secret}
        - {name: USERS_FILE, value: /etc/people/users.json}
        - {name: REDIRECT_URIS, value: "http://localhost:8088/client-admin/signed-in"}
      ports: [{name: sign-in, containerPort: 9998, protocol: TCP}]
      resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: people, mountPath: /etc/people, readOnly: true}]
  extraVolumes:
    - {name: people, secret: {secretName: client-admin-demo, defaultMode: 0440}}
YAML
