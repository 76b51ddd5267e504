//! A company's first administrators, whom EasyCode's staff name in the tenant itself, and invite here. Everyone else is invited by
//! these.

use easycode_contract::{database::Identifier, runtime::USER_SERVICE};
use easycode_kit::{App, Problem, guard};
use serde_json::json;
use uuid::Uuid;

use crate::{
    accounts::{self, Status, normal},
    events::record,
    invitations::{self, Link},
    members::ADMINISTRATOR,
    realm::Realm,
};

/// Makes a link for one of the tenant's first administrators, in the name of a member of staff.
pub async fn invite(app: &App, tenant: &str, email: &str, staff: &str) -> Result<Link, Problem> {
    let unknown = || Problem::not_found("there is no such tenant here");
    Identifier::tenant(tenant).map_err(|_| unknown())?;
    let context = app.contexts.get(tenant).await?.ok_or_else(unknown)?;
    guard::admit(Some(&context), USER_SERVICE)?;
    let email = normal(email);
    let named = context.administrators.iter().find(|one| normal(&one.email) == email).ok_or_else(|| {
        Problem::forbidden(
            "no-first-administrator",
            "the tenant names no such administrator; add the address to spec.administrators",
        )
    })?;
    let name = named.name.clone().unwrap_or_else(|| email.clone());
    let realm = Realm { app: app.clone(), context: context.clone() };
    let mut transaction = accounts::begin_alone(&realm).await?;
    let known: Option<(Uuid, Status)> = sqlx::query_as("SELECT id, status FROM account WHERE email = $1")
        .bind(&email)
        .fetch_optional(&mut *transaction)
        .await?;
    let id = match known {
        None => {
            accounts::require_room(&mut transaction, &realm).await?;
            accounts::add(&mut transaction, &email, &name).await?
        }
        Some((id, Status::Invited)) => id,
        Some((_, Status::Active)) => {
            return Err(Problem::conflict(
                "this administrator is active already; who has forgotten the password gets a new link from another administrator \
                 of the company, or name another one in spec.administrators",
            ));
        }
        Some((_, Status::Disabled)) => {
            return Err(Problem::conflict(
                "this administrator was disabled by the company; name another one in spec.administrators",
            ));
        }
    };
    let (service, role) = ADMINISTRATOR;
    sqlx::query("INSERT INTO assignment (account_id, service, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(id)
        .bind(service)
        .bind(role)
        .execute(&mut *transaction)
        .await?;
    let actor = format!("staff:{staff}");
    let link = invitations::make(&mut transaction, &realm, id, &actor).await?;
    let detail = json!({ "email": email, "roles": [{ "service": service, "role": role }] });
    record(&mut transaction, &actor, "user.invited", id, detail).await?;
    transaction.commit().await?;
    Ok(link)
}
