//! Pooled connections serve all tenants in turn: nothing of one turn is left in the next.

use std::{sync::Arc, time::Duration};

use anyhow::{anyhow, ensure};
use easycode_contract::{context::TenantContext, runtime::TENANT_SERVICE};
use easycode_kit::{TenantTransaction, database::Connections, limits::Limits};
use easycode_testing::{Answer, TestTenant};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use super::two_tenants;

/// Who the connection acts as, where, and within which limits.
async fn identity(connection: &mut PgConnection) -> anyhow::Result<(String, String, String)> {
    Ok(sqlx::query_as(
        "SELECT current_user::text, current_setting('search_path'), current_setting('statement_timeout')",
    )
    .fetch_one(connection)
    .await?)
}

async fn context(tenant: &TestTenant) -> anyhow::Result<TenantContext> {
    let answer = tenant.ask(TENANT_SERVICE, Method::GET, "/context", None).await?;
    Ok(serde_json::from_value(answer.body)?)
}

#[tokio::test]
async fn a_tenants_role_ends_with_its_transaction_however_that_ends() -> anyhow::Result<()> {
    let (a, b) = two_tenants("turn").await?;
    let pool = Connections::new(&a.platform.login_of("crm")?, 1);
    let (limits, of_a, of_b) = (Arc::new(Limits::default()), context(&a).await?, context(&b).await?);
    let outside = identity(&mut *pool.any().acquire().await?).await?;
    ensure!(outside.0 == "svc_crm", "{outside:?}");
    // The last one breaks off a statement, as a client does that goes away.
    for ending in ["COMMIT", "ROLLBACK", "error", "cancelled"] {
        for (tenant, context) in [(&a, &of_a), (&b, &of_b)] {
            let mut transaction =
                TenantTransaction::begin(&pool, context, &limits).await.map_err(|problem| anyhow!("{problem:?}"))?;
            let (role, path, timeout) = identity(&mut transaction).await?;
            let own = role == tenant.role() && path.trim_matches('"') == role && timeout == "30s";
            ensure!(own, "as {}: {role} {path} {timeout}", tenant.role());
            match ending {
                "error" => {
                    let failed = sqlx::query("SELECT 1 / 0").execute(&mut *transaction).await;
                    ensure!(failed.is_err());
                }
                "cancelled" => {
                    let slow = sqlx::query("SELECT pg_sleep(0.5)").execute(&mut *transaction);
                    let cut = tokio::time::timeout(Duration::from_millis(50), slow).await;
                    ensure!(cut.is_err());
                }
                _ => {}
            }
            if ending == "COMMIT" {
                transaction.commit().await.map_err(|problem| anyhow!("{problem:?}"))?;
            } else {
                drop(transaction);
            }
            let after = identity(&mut *pool.any().acquire().await?).await?;
            ensure!(after == outside, "after {ending}: {after:?} and not {outside:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_cut_off_at_any_point_leaves_no_trace_for_the_next() -> anyhow::Result<()> {
    let (a, b) = two_tenants("cut").await?;
    let pool = Connections::new(&a.platform.login_of("crm")?, 1);
    let (limits, of_a, of_b) = (Arc::new(Limits::default()), context(&a).await?, context(&b).await?);
    let outside = identity(&mut *pool.any().acquire().await?).await?;
    for step in 0..80 {
        let work = async {
            let mut transaction = TenantTransaction::begin(&pool, &of_a, &limits).await?;
            sqlx::query("INSERT INTO company (id, name) VALUES (gen_random_uuid(), 'cut off')")
                .execute(&mut *transaction)
                .await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            transaction.commit().await
        };
        // From before it begins until after its last statement.
        ensure!(tokio::time::timeout(Duration::from_micros(step * 40), work).await.is_err());
        let mut next =
            TenantTransaction::begin(&pool, &of_b, &limits).await.map_err(|problem| anyhow!("{problem:?}"))?;
        let (role, path, _) = identity(&mut next).await?;
        ensure!(role == b.role() && path.trim_matches('"') == role, "cut off in step {step}: {role} {path}");
        drop(next);
        let after = identity(&mut *pool.any().acquire().await?).await?;
        ensure!(after == outside, "cut off in step {step}: {after:?} and not {outside:?}");
    }
    let left = a.platform.sql("crm", &format!("SELECT count(*) FROM {}.company", a.role())).await?;
    ensure!(left == "0", "{left} rows of what was cut off were stored");
    Ok(())
}

#[tokio::test]
async fn what_a_tenant_sets_for_its_session_is_not_there_for_the_next() -> anyhow::Result<()> {
    let (a, b) = two_tenants("session").await?;
    let pool = Connections::new(&a.platform.login_of("crm")?, 1);
    let (limits, of_a, of_b) = (Arc::new(Limits::default()), context(&a).await?, context(&b).await?);
    let problem = |problem| anyhow!("{problem:?}");
    let mut transaction = TenantTransaction::begin(&pool, &of_a, &limits).await.map_err(problem)?;
    let hostile = format!("SET SESSION ROLE {0}; SET SESSION search_path = {0}; SET statement_timeout = 0", a.role());
    sqlx::raw_sql(AssertSqlSafe(hostile)).execute(&mut *transaction).await?;
    transaction.commit().await.map_err(problem)?;
    let mut transaction = TenantTransaction::begin(&pool, &of_b, &limits).await.map_err(problem)?;
    let (role, path, timeout) = identity(&mut transaction).await?;
    ensure!(role == b.role() && path.trim_matches('"') == role && timeout == "30s", "{role} {path} {timeout}");
    drop(transaction);
    Ok(())
}

#[tokio::test]
async fn requests_of_two_tenants_side_by_side_see_only_their_own() -> anyhow::Result<()> {
    let (a, b) = two_tenants("crowd").await?;
    for tenant in [&a, &b] {
        let spec = json!({ "limits": { "requestsPerSecond": 10000, "connections": 100 } });
        tenant.change(spec).await?;
        tenant.add_contact(&tenant.name).await?;
    }
    // More at once than the service has connections; in between some that end in an error within the transaction.
    let duplicate = json!({ "familyName": "x", "email": "same@x.example" });
    for tenant in [&a, &b] {
        ensure!(tenant.ask("crm", Method::POST, "/contacts", Some(duplicate.clone())).await?.status == 201);
    }
    let mut requests = Vec::new();
    for tenant in [&a, &b] {
        let read = tenant.request("crm", Method::GET, "/contacts").await?;
        let fail = tenant.request("crm", Method::POST, "/contacts").await?.json(&duplicate);
        requests.push((tenant, read, fail));
    }
    let turns = (0..400).map(|number| {
        let (tenant, read, fail) = &requests[number % 2];
        let failing = number % 10 < 2;
        let request = if failing { fail } else { read }.try_clone();
        async move {
            let answer = Answer::of(request.ok_or_else(|| anyhow!("a body that can't be sent again"))?).await?;
            if failing {
                ensure!((answer.status, answer.code()) == (409, "conflict"), "{answer:?}");
            } else {
                let names = answer.body["items"].as_array().map(|items| {
                    items.iter().map(|item| item["familyName"].as_str().unwrap_or_default()).collect::<Vec<_>>()
                });
                ensure!(names == Some(vec![tenant.name.as_str(), "x"]), "{} sees {answer:?}", tenant.name);
            }
            Ok(())
        }
    });
    stream::iter(turns).buffer_unordered(40).try_collect::<()>().await?;
    Ok(())
}
