//! How a service describes itself: its OpenAPI, and the roles of its users.

use anyhow::{Context, ensure};
use easycode_testing::{Answer, Platform};
use reqwest::Method;
use serde_json::Value;

/// What a service says of itself.
pub struct Description {
    /// Its name.
    pub name: String,
    /// Base URL of its operations.
    pub base: String,
    /// All its operations.
    pub operations: Vec<Operation>,
    /// Names of its users' roles.
    pub roles: Vec<String>,
}

/// An operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What it is asked by.
    pub method: Method,
    /// Its path below the base, with variable parts in braces.
    pub path: String,
    /// Whether it takes a token.
    pub guarded: bool,
    /// Whether it takes a body.
    pub body: bool,
    /// Whether it can be asked without a query.
    pub plain: bool,
}

impl Description {
    /// Reads it from the service itself.
    pub async fn read(platform: &Platform, name: String) -> anyhow::Result<Self> {
        let public = async |path: &str| {
            let answer = Answer::of(platform.request(&name, Method::GET, path).await?).await?;
            ensure!(answer.status == 200, "{name}{path}: {answer:?}");
            Ok(answer.body)
        };
        let (document, roles) = (public("/openapi.json").await?, public("/roles").await?);
        let roles = roles.as_array().into_iter().flatten().filter_map(|role| Some(role["name"].as_str()?.to_owned()));
        let operations = operations(&document).with_context(|| format!("{name}: its OpenAPI has no paths"))?;
        let base = platform.service(&name).await?;
        Ok(Self { roles: roles.collect(), base, operations, name })
    }

    /// What can be read without knowing anything.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        self.reads().filter(|path| !path.contains('{'))
    }

    /// What can be read by an id.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.reads().filter(|path| path.matches('{').count() == 1 && path.contains("{id}"))
    }

    fn reads(&self) -> impl Iterator<Item = &str> {
        let reads = self.operations.iter().filter(|one| one.method == Method::GET && one.guarded && one.plain);
        reads.map(|one| one.path.as_str())
    }
}

fn operations(document: &Value) -> Option<Vec<Operation>> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object()? {
        for (method, operation) in methods.as_object()? {
            // Beside methods there may be a summary and the like.
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            if operation["responses"].is_null() {
                continue;
            }
            // One of several requirements may be none.
            let none = |security: &Value| security.as_object().is_some_and(serde_json::Map::is_empty);
            let needed = |one: &Value| one["in"] == "query" && one["required"] == true;
            all.push(Operation {
                method,
                path: path.clone(),
                guarded: operation["security"].as_array().is_none_or(|security| !security.iter().any(none)),
                body: !operation["requestBody"].is_null(),
                plain: !operation["parameters"].as_array().into_iter().flatten().any(needed),
            });
        }
    }
    Some(all)
}
