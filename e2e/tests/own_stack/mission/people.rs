//! The company's people: its administrator, a clerk, and a director who approves what the clerk wants.

use anyhow::{Context, ensure};
use easycode_contract::runtime::{TENANT_SERVICE, USER_SERVICE};
use easycode_e2e::{
    people::{ADMINISTRATOR, Person, follow},
    platform::{Answer, Platform},
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::staff::Staff;

/// First line of the company's receipts.
pub const HEADING: &str = "Meridian Outfitters, Quay 7";

/// Those who are signed in.
#[derive(Clone)]
pub struct People {
    /// Administrator.
    pub ada: Person,
    /// Clerk.
    pub rita: Person,
    /// Director.
    pub abel: Person,
}

/// Has someone do something, whatever the answer is.
pub async fn ask(person: &Person, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Answer> {
    let (service, path) = path.split_once('/').context("a path begins with the service")?;
    let request = person.platform.request(service, method, &format!("/{path}")).await?;
    let mut request = request.bearer_auth(&person.token).header("idempotency-key", Uuid::now_v7().to_string());
    if let Some(body) = body {
        request = request.json(&body);
    }
    Answer::of(request).await
}

/// Has someone do something that they may.
pub async fn does(person: &Person, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
    let body = (!body.is_null()).then_some(body);
    let answer = ask(person, method, path, body).await?;
    ensure!((200..300).contains(&answer.status), "{} may not do {path}: {answer:?}", person.email);
    Ok(answer.body)
}

impl People {
    /// The administrator follows the staff's link, and invites the others.
    pub async fn come_in(staff: &Staff, platform: &Platform) -> anyhow::Result<Self> {
        let ada = follow(platform, staff.company(), ADMINISTRATOR, &staff.invite().await?).await?;
        let clerk = [
            ("procurement", "procurement-requester"),
            ("procurement", "procurement-buyer"),
            ("inventory", "inventory-manager"),
            ("pos", "pos-cashier"),
            ("pos", "pos-manager"),
            ("finance", "finance-clerk"),
        ];
        let rita = ada.add("rita", &clerk).await?;
        let abel = ada.add("abel", &[("procurement", "procurement-director")]).await?;
        // Not for a clerk to say who else comes in.
        let refused = rita.invite("mallory", &[("pos", "pos-cashier")]).await?;
        ensure!(refused.status == 403, "{refused:?}");
        Ok(Self { ada, rita, abel })
    }

    /// The administrator says who approves what, and how receipts look.
    pub async fn set_up(&self) -> anyhow::Result<()> {
        let workflow = json!({ "approvals": [{ "above": "10.00", "role": "procurement-director" }] });
        does(&self.ada, Method::PUT, "tenant-service/settings/procurement", workflow).await?;
        let receipt = json!({ "receipt": { "header": [HEADING], "footer": ["See you soon"], "width": 42 } });
        does(&self.ada, Method::PUT, "tenant-service/settings/pos", receipt).await?;
        let wrong = json!({ "receipt": { "width": 4 } });
        let refused = ask(&self.ada, Method::PUT, "tenant-service/settings/pos", Some(wrong)).await?;
        ensure!(refused.status == 422, "{refused:?}");
        let clerks = ask(&self.rita, Method::PUT, "tenant-service/settings/pos", Some(json!({}))).await?;
        ensure!(clerks.status == 403, "{clerks:?}");
        Ok(())
    }

    /// All of them with new tokens, in the home where the company is now.
    pub async fn refreshed(mut self, home: &Platform) -> anyhow::Result<Self> {
        for person in [&mut self.ada, &mut self.rita, &mut self.abel] {
            person.platform = (**home).clone();
            person.refresh().await?;
        }
        Ok(self)
    }

    /// Where the company lived before, its people get nothing any more.
    pub async fn are_sent_away_from(&self, home: &Platform) -> anyhow::Result<()> {
        for (person, service, path) in [(&self.rita, "pos", "/registers"), (&self.ada, USER_SERVICE, "/users")] {
            let answer = home.ask(service, Method::GET, path, &person.token, None).await?;
            ensure!((400..500).contains(&answer.status), "{service} of the former home: {answer:?}");
        }
        Ok(())
    }

    /// Whom the company knows, what it has set up, and what is written of them in the trail, but for who signs in when.
    pub async fn seen(&self) -> anyhow::Result<Value> {
        let users = does(&self.ada, Method::GET, "user-service/users", Value::Null).await?;
        let users = users["items"].as_array().into_iter().flatten();
        let users: Vec<_> = users.map(|one| json!([one["id"], one["email"], one["status"], one["roles"]])).collect();
        ensure!(users.len() == 3, "{users:?}");
        let settings = does(&self.ada, Method::GET, &format!("{TENANT_SERVICE}/settings"), Value::Null).await?;
        let trail = self.ada.trail().await?;
        let acts = trail.into_iter().filter(|one| one["act"].as_str().is_some_and(|act| act.starts_with("user.")));
        Ok(json!({ "users": users, "settings": settings, "trail": acts.collect::<Vec<_>>() }))
    }
}
