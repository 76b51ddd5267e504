//! The console: pages that the server renders, usable by keyboard and, but for what is live, without JavaScript.

mod assets;
mod draft;
mod fields;
mod filter;
mod form;
mod help;
mod layout;
mod offboard;
mod overview;
mod plan;
mod platform;
mod progress;
mod security;
mod signing;
mod tenant;
mod tenants;

use axum::{
    Router, middleware,
    response::Redirect,
    routing::{get, post},
};

use crate::{App, config::BASE};

/// The routes.
pub fn routes(app: &App) -> Router<App> {
    let pages = Router::new()
        .route("/", get(|| async { Redirect::to("/client-admin/fleet") }))
        .route("/sign-in", get(signing::page))
        .route("/sign-in/start", get(signing::start))
        .route("/signed-in", get(signing::finish))
        .route("/sign-out", post(signing::sign_out))
        .route("/fleet", get(overview::page))
        .route("/help", get(help::page))
        .route("/tenants", get(tenants::page))
        .route("/tenants/new", get(draft::onboard).post(draft::again))
        .route("/tenants/{name}", get(tenant::page))
        .route("/tenants/{name}/change", get(draft::change).post(draft::again))
        .route("/tenants/{name}/dedicate", get(draft::dedicate).post(draft::again))
        .route("/tenants/{name}/suspend", get(draft::suspend))
        .route("/tenants/{name}/resume", get(draft::resume))
        .route("/tenants/{name}/progress", get(progress::page))
        .route("/tenants/{name}/offboard", get(offboard::tenant_page).post(offboard::tenant))
        .route("/tenants/{name}/invitations", post(tenant::invite))
        .route("/instances/{name}", get(tenant::instance_page))
        .route("/instances/{name}/change", get(draft::change_instance).post(draft::again))
        .route("/instances/{name}/offboard", get(offboard::instance_page).post(offboard::instance))
        .route("/platforms/{name}", get(platform::page))
        .route("/plan", post(plan::plan))
        .route("/apply", post(plan::apply))
        .route("/assets/console.css", get(assets::style))
        .route("/assets/console.js", get(assets::script))
        .fallback(layout::nothing_here)
        .layer(middleware::from_fn_with_state(app.clone(), security::headers));
    Router::new().nest(BASE, pages).route("/", get(|| async { Redirect::to("/client-admin/fleet") }))
}
