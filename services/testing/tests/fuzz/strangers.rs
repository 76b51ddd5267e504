//! Who shows no token, or has no role, is refused whatever is asked for.

use anyhow::ensure;
use easycode_contract::runtime::COMMON_SERVICES;
use easycode_testing::{Answer, tokens};
use reqwest::Method;
use serde_json::json;

use super::{
    company::Company,
    description::{Description, Operation},
};

/// Asks for each operation once without a token, and once as a user without a role.
pub async fn are_refused(company: &Company, other: &Company, services: &[Description]) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    let without_role = tokens::token(&company.tenant.name, &[])?;
    for service in services {
        for operation in &service.operations {
            let nobody = ask(service, operation, other, None, company).await?;
            if operation.guarded && nobody.status != 401 || nobody.status >= 500 {
                wrong.push(format!("{} {operation:?} without a token: {nobody:?}", service.name));
            }
            let user = ask(service, operation, other, Some(&without_role), company).await?;
            if !refused(service, operation, &user) {
                wrong.push(format!("{} {operation:?} without a role: {user:?}", service.name));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Whoever works in a service needs a role there. What all services have in common lets every user read and change what is their own;
/// nothing that was asked for there is theirs, or was said in full.
fn refused(service: &Description, operation: &Operation, answer: &Answer) -> bool {
    if !operation.guarded {
        return answer.status < 500;
    }
    let common = COMMON_SERVICES.contains(&service.name.as_str());
    let may_read = common && operation.method == Method::GET && answer.status < 500;
    answer.status == 403 || may_read || common && [404, 422].contains(&answer.status)
}

async fn ask(
    service: &Description,
    operation: &Operation,
    other: &Company,
    token: Option<&str>,
    company: &Company,
) -> anyhow::Result<Answer> {
    let mut path = operation.path.clone();
    while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
        path.replace_range(from..=to, &other.known[path.len() % other.known.len()]);
    }
    let mut request = company.tenant.platform.request(&service.name, operation.method.clone(), &path).await?;
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if operation.body {
        request = request.json(&json!({}));
    }
    Answer::of(request).await
}
