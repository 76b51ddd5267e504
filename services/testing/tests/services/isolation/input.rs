//! Attacks through the API's fields: SQL in each of them is text like any other.

use anyhow::{Context, ensure};
use easycode_testing::{Answer, Platform, TestTenant};
use reqwest::Method;
use serde_json::{Value, json};

use super::two_tenants;

/// Texts that would do something if they were ever taken for SQL, for a format or for a template.
fn hostile(own: &str, other: &str) -> Vec<String> {
    vec![
        "'; DROP TABLE contact; --".to_owned(),
        format!("'; DELETE FROM {other}.contact; --"),
        format!("\"; SET ROLE {other}; --"),
        format!("'); RESET ROLE; SET ROLE {other}; DELETE FROM contact; --"),
        format!("' || (SELECT string_agg(family_name, ',') FROM {other}.contact) || '"),
        "' OR '1'='1".to_owned(),
        "\\'; SELECT pg_sleep(30); --".to_owned(),
        "$$; DROP TABLE company; $$".to_owned(),
        "$1 :name %s %n ${jndi} {{7*7}} {0}".to_owned(),
        format!("'; CREATE TABLE public.evil (); GRANT {own} TO {other}; --"),
        "'; COPY contact TO PROGRAM 'true'; --".to_owned(),
        "E'\\x27' U&'\\0027' \u{2019}\u{ff07} \u{202e}txet /* */ --".to_owned(),
    ]
}

/// All rows of a tenant, and what is in the catalog of CRM's database beside them, in one text each.
async fn state(tenant: &TestTenant, others: [&str; 2]) -> anyhow::Result<[String; 2]> {
    let role = tenant.role();
    let rows = format!(
        "SELECT string_agg(x, E'\\n' ORDER BY x) FROM (
           SELECT c::text x FROM {role}.contact c UNION ALL SELECT c::text FROM {role}.company c
           UNION ALL SELECT d::text FROM {role}.deal d UNION ALL SELECT s::text FROM {role}.stage s
           UNION ALL SELECT c::text FROM {role}.campaign c UNION ALL SELECT m::text FROM {role}.campaign_member m) _"
    );
    let [a, b] = others;
    let schemas = format!("'{a}', '{b}', 'public', 'easycode'");
    let catalog = format!(
        "SELECT string_agg(x, E'\\n' ORDER BY x) FROM (
           SELECT concat_ws(' ', relnamespace::regnamespace, relname, relkind, relowner::regrole, relacl) x
             FROM pg_class
             WHERE relnamespace::regnamespace::text IN ({schemas})
           UNION ALL SELECT concat_ws(' ', pronamespace::regnamespace, proname, proowner::regrole, proacl) FROM pg_proc
             WHERE pronamespace::regnamespace::text IN ({schemas})
           UNION ALL SELECT concat_ws(' to ', roleid::regrole, member::regrole) FROM pg_auth_members
             WHERE '{a}'::regrole IN (roleid, member) OR '{b}'::regrole IN (roleid, member)
           UNION ALL SELECT concat_ws(' ', rolname, rolsuper, rolcanlogin) FROM pg_roles
             WHERE rolname IN ('{a}', '{b}') OR rolsuper) _"
    );
    let platform: &Platform = &tenant.platform;
    Ok([platform.sql("crm", &rows).await?, platform.sql("crm", &catalog).await?])
}

#[tokio::test]
async fn sql_in_any_field_is_stored_as_it_is_and_changes_nothing_else() -> anyhow::Result<()> {
    let (a, b) = two_tenants("sql").await?;
    let victim = b.add_contact("Untouched").await?;
    ensure!(b.ask("crm", Method::POST, "/campaigns", Some(json!({ "name": "Untouched" }))).await?.status == 201);
    let (own, other) = (a.role(), b.role());
    let before = state(&b, [&own, &other]).await?;
    for (number, text) in hostile(&own, &other).iter().enumerate() {
        let short: String = text.chars().take(40).collect();
        let custom = json!({ text: text, "list": [text, { text: text }] });
        let records = [
            ("companies", json!({ "name": text, "domain": text, "custom": custom })),
            ("contacts", json!({ "givenName": text, "familyName": text, "phone": short, "custom": custom })),
            ("deals", json!({ "title": text, "custom": custom })),
        ];
        for (kind, body) in records {
            let made = stored(&a, Method::POST, &format!("/{kind}"), &body).await?;
            let path = format!("/{kind}/{}", made["id"].as_str().context("no id")?);
            stored(&a, Method::PUT, &path, &body).await?;
            stored(&a, Method::GET, &path, &body).await?;
        }
        let campaign = json!({ "name": format!("{number} {text}") });
        stored(&a, Method::POST, "/campaigns", &campaign).await?;
        // In fields of a given form it is refused, as nonsense would be.
        for (path, body) in [
            ("/contacts", json!({ "familyName": "x", "email": text })),
            ("/contacts", json!({ "familyName": "x", "companyId": text })),
            ("/deals", json!({ "title": "x", "stage": text })),
            ("/deals", json!({ "title": "x", "amount": text, "currency": "EUR" })),
            ("/deals", json!({ "title": "x", "amount": "1", "currency": text })),
        ] {
            let answer = a.ask("crm", Method::POST, path, Some(body)).await?;
            ensure!([409, 422].contains(&answer.status), "{path} {text}: {answer:?}");
        }
        for (path, parameter) in [("/search", "q"), ("/contacts", "cursor"), ("/contacts", "limit")] {
            let request = a.request("crm", Method::GET, path).await?.query(&[(parameter, text)]);
            let answer = Answer::of(request).await?;
            ensure!(answer.status == 422 || path == "/search" && answer.status == 200, "{path} {text}: {answer:?}");
            ensure!(!answer.body.to_string().contains(&victim), "{path} {text} shows another's: {answer:?}");
        }
    }
    let after = state(&b, [&own, &other]).await?;
    ensure!(before == after, "something else was changed:\n{before:#?}\n{after:#?}");
    Ok(())
}

/// Asks, and checks that the record that comes back has what was said of it, to the letter.
async fn stored(tenant: &TestTenant, method: Method, path: &str, said: &Value) -> anyhow::Result<Value> {
    let body = (method != Method::GET).then(|| said.clone());
    let answer = tenant.ask("crm", method, path, body).await?;
    ensure!(answer.status < 300, "{path} {said}: {answer:?}");
    for (field, value) in said.as_object().context("an object")? {
        ensure!(answer.body[field] == *value, "{path}: {field} came back as {}", answer.body[field]);
    }
    Ok(answer.body)
}
