//! What is true of every operation, said in a service's OpenAPI once: the token, how errors look, and which there can be.
//! Handlers document what is their own.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Content, OpenApi, PathItem, Ref, RefOr, Response, Server,
        path::{Operation, ParameterIn},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::Problem;

/// Name of the security scheme.
const TOKEN: &str = "token";
/// How errors are sent.
pub(crate) const PROBLEM: &str = "application/problem+json";

/// Of all values, those in the path included: what is referred to may not be there.
const UNACCEPTABLE: (&str, &str) = ("422", "A value is not acceptable; `detail` names the field.");
/// Errors of whoever needs a token.
const GUARDED: &[(&str, &str)] = &[
    ("401", "There is no token, or none that counts."),
    ("403", "The tenant may not use the service now, or the user may not do that; `code` says which."),
];
/// Errors of all operations.
const ANY: &[(&str, &str)] = &[
    ("429", "There are too many requests; slow down."),
    ("503", "Something that it takes does not answer; try again after `Retry-After` seconds."),
];
/// Errors of operations with variable parts in the path.
const FOUND: &[(&str, &str)] = &[("404", "There is no such record of this tenant.")];
/// Errors of operations that change something.
const CHANGING: &[(&str, &str)] = &[("409", "It contradicts what is there."), UNACCEPTABLE];
/// Errors of operations that change the version of a record that the caller has seen.
const VERSIONED: &[(&str, &str)] = &[("412", "The record was changed meanwhile; read it and try again.")];
/// Errors of operations with a body.
const WITH_BODY: &[(&str, &str)] = &[
    ("400", "The body can't be read."),
    ("413", "The body is too large."),
    ("415", "The body is not of the media type that is asked for."),
];
/// Errors of operations with any input.
const WITH_INPUT: &[(&str, &str)] = &[UNACCEPTABLE];

/// Completes the document of a service whose operations are below `base`.
pub fn complete(document: &mut OpenApi, title: &str, base: &str) {
    title.clone_into(&mut document.info.title);
    document.servers = Some(vec![Server::new(base)]);
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(TOKEN, bearer);
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    document.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
    for (path, item) in &mut document.paths.paths {
        let variable = path.contains('{');
        for (changes, operation) in operations(item) {
            identify(path, operation);
            for (status, description) in errors(operation, variable, changes) {
                let answer = operation.responses.responses.entry((*status).to_owned());
                answer.or_insert_with(|| Response::new(*description).into());
            }
            for (status, answer) in &mut operation.responses.responses {
                if let RefOr::T(answer) = answer {
                    describe(status, answer);
                }
            }
        }
    }
}

/// The operations of a path, and whether they change anything.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let PathItem { get, head, options, put, post, patch, delete, .. } = item;
    let safe = [get, head, options].into_iter().flatten().map(|operation| (false, operation));
    safe.chain([put, post, patch, delete].into_iter().flatten().map(|operation| (true, operation)))
}

/// Handlers of different records have the same name, and the ids of operations differ: `invoices.payments.create`.
fn identify(path: &str, operation: &mut Operation) {
    if let Some(id) = &mut operation.operation_id {
        let names = path.split('/').filter(|segment| !segment.is_empty() && !segment.starts_with('{'));
        *id = names.chain([id.as_str()]).collect::<Vec<_>>().join(".");
    }
}

/// Errors that are possible of an operation like this, whatever it does.
fn errors<'a>(
    operation: &Operation,
    variable: bool,
    changes: bool,
) -> impl Iterator<Item = &'a (&'static str, &'static str)> + use<'a> {
    // A route that can do without a token says so by requirements of its own, one of which is none.
    let none = SecurityRequirement::default();
    let guarded = operation.security.as_ref().is_none_or(|requirements| !requirements.contains(&none));
    let body = operation.request_body.is_some();
    let parameters: Vec<_> = operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| if let RefOr::T(parameter) = parameter { Some(parameter) } else { None })
        .collect();
    let input = body || parameters.iter().any(|parameter| parameter.parameter_in != ParameterIn::Path);
    let versioned = parameters.iter().any(|parameter| parameter.name.eq_ignore_ascii_case("if-match"));
    let possible: [(bool, &'a [_]); 7] = [
        (true, ANY),
        (guarded, GUARDED),
        (variable, FOUND),
        (changes, CHANGING),
        (versioned, VERSIONED),
        (body, WITH_BODY),
        (input, WITH_INPUT),
    ];
    possible.into_iter().filter(|(is, _)| *is).flat_map(|(_, errors)| errors)
}

/// An answer has a description, and an error is a problem document.
fn describe(status: &str, answer: &mut Response) {
    let all = [ANY, GUARDED, FOUND, CHANGING, VERSIONED, WITH_BODY, WITH_INPUT];
    if answer.description.is_empty() {
        let known = all.into_iter().flatten().find(|(known, _)| *known == status);
        known.map_or("As asked for.", |(_, description)| description).clone_into(&mut answer.description);
    }
    if status.starts_with(['4', '5']) {
        // One with more in it than every problem has says so itself.
        let own = answer.content.values().next().and_then(|content| match content {
            RefOr::T(content) => content.schema.clone(),
            RefOr::Ref(_) => None,
        });
        let problem = own.unwrap_or_else(|| Ref::from_schema_name(Problem::name()).into());
        answer.content.clear();
        answer.content.insert(PROBLEM.to_owned(), Content::new(Some(problem)).into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa_axum::{router::OpenApiRouter, routes};

    use super::*;
    use crate::{App, Json, Path, Query, RequestKey, page::PageQuery, record::IfMatch};

    #[utoipa::path(get, path = "/things", tag = "things", params(PageQuery), responses((status = 200)))]
    async fn list(Query(_page): Query<PageQuery>) {}

    #[utoipa::path(put, path = "/things/{id}", tag = "things", params(IfMatch, RequestKey), request_body = Object, responses((status = 200, description = "Put.")))]
    async fn put(Path(_id): Path<String>, Json(_body): Json<Value>) {}

    #[utoipa::path(post, path = "/sign-in", tag = "sessions", security(()), responses((status = 204), (status = 401, body = Problem)))]
    async fn sign_in() {}

    fn document() -> Value {
        let routes: OpenApiRouter<App> =
            OpenApiRouter::new().routes(routes!(list)).routes(routes!(put)).routes(routes!(sign_in));
        let mut document = routes.into_openapi();
        complete(&mut document, "things", "/things/v1");
        json!(document)
    }

    fn statuses(operation: &Value) -> Vec<&str> {
        operation["responses"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn errors_are_documented_where_they_are_possible() {
        let document = document();
        let paths = &document["paths"];
        assert_eq!(statuses(&paths["/things"]["get"]), ["200", "401", "403", "422", "429", "503"]);
        let put = &paths["/things/{id}"]["put"];
        let all = ["200", "400", "401", "403", "404", "409", "412", "413", "415", "422", "429", "503"];
        assert_eq!(statuses(put), all);
        assert_eq!(statuses(&paths["/sign-in"]["post"]), ["204", "401", "409", "422", "429", "503"]);
    }

    #[test]
    fn every_answer_has_a_description_and_every_error_is_a_problem() {
        let document = document();
        let operation = &document["paths"]["/things/{id}"]["put"];
        for (status, answer) in operation["responses"].as_object().unwrap() {
            assert_ne!(answer["description"], "", "{status}");
            let problem = json!({ PROBLEM: { "schema": { "$ref": "#/components/schemas/Problem" } } });
            let error = status.as_str() >= "400";
            assert_eq!(answer["content"], if error { problem } else { Value::Null }, "{status}");
        }
        assert_eq!(operation["responses"]["200"]["description"], "Put.");
        let schemas = &document["components"]["schemas"];
        assert!(schemas["Problem"].is_object() && schemas["Violation"].is_object(), "{schemas}");
        assert_eq!(operation["operationId"], "things.put");
        assert_eq!(document["paths"]["/sign-in"]["post"]["operationId"], "sign-in.sign_in");
    }
}
