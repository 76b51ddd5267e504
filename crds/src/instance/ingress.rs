//! How an instance is reached from outside.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::names;

/// How an instance is reached from outside: by an Ingress or by a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.className) != has(self.gatewayRef)").message("ingress: name either the IngressClass in className or the Gateway in gatewayRef"),
    validation = Rule::new("!has(self.gatewayRef) || !has(self.tls)").message("ingress.tls: the certificate is that of the Gateway's listener; remove it or use className")
)]
pub struct Ingress {
    /// Host that the services are reached at, for example `erp.aurora.example`.
    #[schemars(schema_with = "names::host")]
    pub host: String,
    /// Name of the IngressClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::object")]
    pub class_name: Option<String>,
    /// Gateway (of the Gateway API) that an HTTPRoute is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ref: Option<GatewayRef>,
    /// Namespace of the ingress controller's or the gateway's pods; only they may open connections to the services from
    /// outside.
    #[schemars(schema_with = "names::namespace")]
    #[x_kube(validation = Rule::new("!self.matches('^easycode-(instance|platform)-')").message("controllerNamespace: is that of a platform or an instance, whose pods must not reach this one; name the namespace of the ingress controller"))]
    pub controller_namespace: String,
    /// The certificate of the host. Without it the Ingress speaks plain http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Namespace of the Gateway. Its listener must allow routes of the instance's namespace.
    #[schemars(schema_with = "names::namespace")]
    pub namespace: String,
    /// Name of the Gateway.
    #[schemars(schema_with = "names::object")]
    pub name: String,
    /// Name of one of its listeners; every listener that allows it without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::object")]
    pub section_name: Option<String>,
}

/// Where the certificate of a host comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.secretName), has(self.clusterIssuer), has(self.issuer)].filter(given, given).size() == 1").message("ingress.tls: name exactly one of secretName, clusterIssuer and issuer"))]
pub struct Tls {
    /// Name of the Secret with the certificate, in the instance's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::object")]
    pub secret_name: Option<String>,
    /// Name of the ClusterIssuer of cert-manager that makes the certificate and renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::object")]
    pub cluster_issuer: Option<String>,
    /// Name of the Issuer of cert-manager, in the instance's namespace, that makes the certificate and renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "names::object")]
    pub issuer: Option<String>,
}
