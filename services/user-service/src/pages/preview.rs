//! What settings would look like: a receipt, as Point of Sale prints it, and the theme.

use maud::{Markup, html};
use reqwest::Method;
use serde_json::Value;

use super::{services::Services, settings::UI, theme::Theme};

/// The service that prints receipts.
const POS: &str = "pos";

/// A preview.
#[derive(Default)]
pub struct Preview {
    /// The part of the page.
    pub body: Markup,
    /// Address of the styles that it takes.
    pub styles: Option<String>,
}

/// Whether there is one of the service's settings.
#[must_use]
pub fn exists(service: &str) -> bool {
    [UI, POS].contains(&service)
}

/// A preview of the settings, if there is one of the service's.
pub async fn of(services: &Services, service: &str, value: &Value) -> Preview {
    match service {
        UI => theme(&Theme::of(Some(value))),
        POS => Preview { body: receipt(services, value).await, styles: None },
        _ => Preview::default(),
    }
}

async fn receipt(services: &Services, value: &Value) -> Markup {
    let printed = match services.ask(Method::POST, POS, "/receipts/preview", Some(value), None).await {
        Ok(Ok(printed)) => Ok(printed),
        Ok(Err(refusal)) => Err(refusal.detail),
        Err(problem) => Err(problem.detail),
    };
    html! {
        h2 { "Preview" }
        @match printed {
            Ok(printed) => {
                p { "The receipt of a sale that never was." }
                pre tabindex="0" role="region" aria-label="Receipt" { (printed) }
            }
            Err(detail) => p { "There is no preview: " (detail) },
        }
    }
}

fn theme(theme: &Theme) -> Preview {
    let body = html! {
        h2 { "Preview" }
        div class="preview" {
            p class="band" { (theme.logo_text.as_deref().unwrap_or("Your company")) }
            p { "A page in these colours, with " span class="hint" { "a hint" } " and " span class="error" { "an error" } "." }
            p { button class="main" type="button" disabled { "A button" } }
        }
    };
    Preview { body, styles: Some(theme.address(true)) }
}
