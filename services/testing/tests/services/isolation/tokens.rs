//! Attacks with a token: another tenant's records, forgeries, tenants that don't exist.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use easycode_contract::runtime::TENANT_SERVICE;
use easycode_operator::cli::token::{Command, read, run};
use easycode_testing::{
    Answer,
    tokens::{ISSUER, key, token},
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign, jwk::Jwk};
use reqwest::Method;
use serde_json::{Value, json};

use super::{two_tenants, with_examples};

#[tokio::test]
async fn a_record_of_another_tenant_is_not_found() -> anyhow::Result<()> {
    let (a, b) = two_tenants("records").await?;
    for (kind, field) in [("companies", "name"), ("contacts", "familyName"), ("deals", "title")] {
        let path = format!("/{kind}");
        let made = b.ask("crm", Method::POST, &path, Some(json!({ field: "Secret" }))).await?;
        let path = format!("/{kind}/{}", made.body["id"].as_str().context("no id")?);
        for (method, body) in
            [(Method::GET, None), (Method::PUT, Some(json!({ field: "Stolen" }))), (Method::DELETE, None)]
        {
            let answer = a.ask("crm", method.clone(), &path, body).await?;
            ensure!((answer.status, answer.code()) == (404, "not-found"), "{method} {path}: {answer:?}");
        }
        let listed = a.read(&format!("/{kind}")).await?;
        ensure!(listed.body["items"] == json!([]), "{listed:?}");
        ensure!(a.read("/search?q=secret").await?.body == json!([]));
        ensure!(b.read(&path).await?.body == made.body, "{kind}: it was changed");
    }
    Ok(())
}

#[tokio::test]
async fn a_record_of_another_tenant_can_not_be_referred_to() -> anyhow::Result<()> {
    let (a, b) = two_tenants("references").await?;
    let foreign = b.add_contact("Secret").await?;
    let company = b.ask("crm", Method::POST, "/companies", Some(json!({ "name": "Secret" }))).await?;
    for (path, body) in [
        ("/deals", json!({ "title": "x", "contactId": foreign })),
        ("/deals", json!({ "title": "x", "companyId": company.body["id"] })),
        ("/contacts", json!({ "familyName": "x", "companyId": company.body["id"] })),
    ] {
        let answer = a.ask("crm", Method::POST, path, Some(body)).await?;
        ensure!((answer.status, answer.code()) == (422, "invalid"), "{path}: {answer:?}");
    }
    let campaign = a.ask("crm", Method::POST, "/campaigns", Some(json!({ "name": "Spring" }))).await?;
    let member = format!("/campaigns/{}/members/{foreign}", campaign.body["id"].as_str().context("no id")?);
    let answer = a.ask("crm", Method::PUT, &member, None).await?;
    ensure!((answer.status, answer.code()) == (422, "invalid"), "{answer:?}");
    Ok(())
}

/// A token put together by hand: whatever header, whatever claims, whatever signature.
fn forge(header: &Value, claims: &Value, signature: impl FnOnce(&[u8]) -> anyhow::Result<String>) -> String {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = signature(message.as_bytes()).expect("the forger can sign");
    format!("{message}.{signature}")
}

/// The key's public half, under the name that the platform knows it by.
fn public() -> anyhow::Result<(Jwk, String)> {
    let jwk = Jwk::from_encoding_key(&read(&key())?, Algorithm::ES256)?;
    let kid = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256)?;
    Ok((jwk, kid))
}

/// A key that the forger has made.
fn own_key() -> anyhow::Result<EncodingKey> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("key");
    run(&Command::Keygen { key: path.clone() })?;
    read(&path)
}

/// Claims of a user of aurora, with some of them replaced.
fn claims(changes: &Value) -> anyhow::Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut claims = json!({
        "iss": ISSUER, "aud": "easycode", "sub": "e2e", "tenant": "aurora", "roles": ["crm-user"], "iat": now, "exp": now + 600,
    });
    for (claim, value) in changes.as_object().context("an object")? {
        claims[claim] = value.clone();
    }
    Ok(claims)
}

#[tokio::test]
async fn a_token_counts_only_as_its_issuer_signed_it() -> anyhow::Result<()> {
    let platform = with_examples().await?;
    let (right, own) = (read(&key())?, own_key()?);
    let (jwk, kid) = public()?;
    let by = |key: &EncodingKey, algorithm| {
        let key = key.clone();
        move |message: &[u8]| Ok(sign(message, &key, algorithm)?)
    };
    let es256 = |kid: Option<&str>| json!({ "alg": "ES256", "typ": "JWT", "kid": kid });
    let known = es256(Some(&kid));
    let good = claims(&json!({}))?;
    let now = good["iat"].as_u64().context("a time")?;
    // What a careless check would take as the shared secret of HS256.
    let coordinates = serde_json::to_value(&jwk)?;
    let coordinate = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(coordinates[name].as_str().unwrap_or_default());
    let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
    let hs256 = json!({ "alg": "HS256", "typ": "JWT", "kid": kid });
    let shared = |secret: &[u8]| by(&EncodingKey::from_secret(secret), Algorithm::HS256);
    let embedded = json!({ "alg": "ES256", "kid": kid, "jwk": Jwk::from_encoding_key(&own, Algorithm::ES256)? });
    let unsigned = |_: &[u8]| Ok(String::new());
    let (signed_by_right, signed_by_own) = (by(&right, Algorithm::ES256), by(&own, Algorithm::ES256));
    let signed = |changes: &Value| anyhow::Ok(forge(&known, &claims(changes)?, by(&right, Algorithm::ES256)));

    let genuine = forge(&known, &good, signed_by_right);
    let (message, signature) = genuine.rsplit_once('.').context("a token")?;
    let other = forge(&known, &claims(&json!({ "tenant": "borealis" }))?, unsigned);
    let forged = [
        ("another key under the known name", forge(&known, &good, &signed_by_own)),
        ("a key in the token itself", forge(&embedded, &good, &signed_by_own)),
        ("a key of an unknown name", forge(&es256(Some("x")), &good, &signed_by_own)),
        ("no name of a key", forge(&es256(None), &good, by(&right, Algorithm::ES256))),
        ("no signature", forge(&known, &good, unsigned)),
        ("alg none", forge(&json!({ "alg": "none", "kid": kid }), &good, unsigned)),
        ("alg nOnE", forge(&json!({ "alg": "nOnE", "kid": kid }), &good, unsigned)),
        ("HS256 with the public point", forge(&hs256, &good, shared(&point))),
        ("HS256 with the public JWK", forge(&hs256, &good, shared(serde_json::to_string(&jwk)?.as_bytes()))),
        ("HS256 with the name of the key", forge(&hs256, &good, shared(kid.as_bytes()))),
        ("HS256 with no secret", forge(&hs256, &good, shared(b""))),
        ("RS256 with an ECDSA signature", forge(&json!({ "alg": "RS256", "kid": kid }), &good, &signed_by_own)),
        ("other claims under a genuine signature", format!("{other}{signature}")),
        ("a genuine token without its end", format!("{message}.{}", &signature[..signature.len() - 4])),
        ("expired", signed(&json!({ "iat": now - 7200, "exp": now - 3600 }))?),
        ("without an end", signed(&json!({ "exp": null }))?),
        ("not valid yet", signed(&json!({ "nbf": now + 3600 }))?),
        ("another issuer", signed(&json!({ "iss": "https://login.example.org" }))?),
        ("no issuer", signed(&json!({ "iss": null }))?),
        ("another audience", signed(&json!({ "aud": "easycode-tenant-service" }))?),
        ("no audience", signed(&json!({ "aud": null }))?),
        ("no user", signed(&json!({ "sub": null }))?),
        ("no tenant", signed(&json!({ "tenant": null }))?),
        ("two tenants", signed(&json!({ "tenant": ["aurora", "borealis"] }))?),
        ("nonsense", "a.b.c".to_owned()),
        ("nothing", String::new()),
    ];
    for service in ["crm", TENANT_SERVICE] {
        let path = if service == "crm" { "/contacts" } else { "/context" };
        let answer = platform.ask(service, Method::GET, path, &genuine, None).await?;
        ensure!(answer.status == 200, "the genuine one, to {service}: {answer:?}");
        for (what, token) in &forged {
            let answer = platform.ask(service, Method::GET, path, token, None).await?;
            ensure!((answer.status, answer.code()) == (401, "unauthorized"), "{what}, to {service}: {answer:?}");
        }
    }
    for authorization in
        ["", "Bearer", "Basic YXVyb3JhOg==", &format!("bearer {genuine}x"), &format!("Token {genuine}")]
    {
        let request = platform.request("crm", Method::GET, "/contacts").await?;
        let answer = Answer::of(request.header("Authorization", authorization)).await?;
        ensure!(answer.status == 401, "{authorization:?}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_for_a_tenant_that_is_not_there_is_refused() -> anyhow::Result<()> {
    let platform = with_examples().await?;
    let long = "a".repeat(5000);
    for tenant in [
        "nobody",
        "",
        "*",
        "%",
        "aurora ",
        " aurora",
        "Aurora",
        "AURORA",
        "aurora\u{0}",
        "t_aurora",
        "../aurora",
        "aurora/../borealis",
        "aurora\"; SET ROLE \"t_borealis",
        "aurora'; DROP SCHEMA t_borealis CASCADE; --",
        "postgres",
        "easycode",
        "pg_catalog",
        "public",
        "аurora",
        &long,
    ] {
        for (service, path) in [("crm", "/contacts"), (TENANT_SERVICE, "/settings")] {
            let answer = platform.ask(service, Method::GET, path, &token(tenant, &["tenant-admin"])?, None).await?;
            let refused = [(403, "unknown-tenant"), (431, ""), (401, "unauthorized")];
            ensure!(refused.contains(&(answer.status, answer.code())), "{tenant:?}, to {service}: {answer:?}");
        }
    }
    for name in ["aurora", "borealis"] {
        let answer = platform.ask("crm", Method::GET, "/contacts", &token(name, &["crm-user"])?, None).await?;
        ensure!(answer.status == 200, "{name} afterwards: {answer:?}");
    }
    Ok(())
}
