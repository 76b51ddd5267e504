//! Search over companies, contacts and deals: all words of the query, the last one also as the beginning of a word.

use axum::extract::State;
use easycode_kit::{App, Caller, Json, Problem, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

const MOST_WORDS: usize = 10;

/// What is searched for.
#[derive(Deserialize, IntoParams)]
struct SearchQuery {
    /// Words; anything but letters and digits separates them.
    q: String,
}

/// A record that was found.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Hit {
    /// `company`, `contact` or `deal`.
    pub kind: String,
    /// The record.
    pub id: Uuid,
    /// Its name.
    pub title: String,
}

/// The routes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(search))
}

/// Up to 50 records that have all the words.
#[utoipa::path(get, path = "/search", tag = "search", params(SearchQuery), responses((status = 200, body = Vec<Hit>), (status = 422)))]
async fn search(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Vec<Hit>>, Problem> {
    let Some(words) = tsquery(&query.q) else {
        return Err(Problem::invalid("q: name at least one word to search for"));
    };
    let mut transaction = caller.begin(&app).await?;
    let hits = sqlx::query_as(
        "SELECT 'company' AS kind, id, name AS title FROM company WHERE words @@ to_tsquery('simple', $1)
         UNION ALL SELECT 'contact', id, trim(given_name || ' ' || family_name) FROM contact WHERE words @@ to_tsquery('simple', $1)
         UNION ALL SELECT 'deal', id, title FROM deal WHERE words @@ to_tsquery('simple', $1)
         LIMIT 50",
    )
    .bind(words)
    .fetch_all(&mut *transaction)
    .await?;
    Ok(Json(hits))
}

/// The words as a query of Postgres' text search. Only letters and digits get into it, so nothing in it is an operator.
fn tsquery(text: &str) -> Option<String> {
    let words: Vec<_> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MOST_WORDS)
        .map(str::to_lowercase)
        .collect();
    (!words.is_empty()).then(|| words.join(" & ") + ":*")
}

#[cfg(test)]
mod tests {
    use super::tsquery;

    #[test]
    fn operators_and_quotes_are_no_words() {
        assert_eq!(tsquery("Ada Lovelace").as_deref(), Some("ada & lovelace:*"));
        assert_eq!(tsquery("' OR 1=1; --").as_deref(), Some("or & 1 & 1:*"));
        assert_eq!(tsquery(":* & | ! ( \\ <->"), None);
        assert_eq!(tsquery("Größe"), Some("größe:*".to_owned()));
    }
}
