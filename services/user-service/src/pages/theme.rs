//! How pages look, by the company's settings. Every colour is a colour, whoever wrote it, so that nothing else gets into the style.

use axum::{
    extract::Query,
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The styles of all pages.
const STYLE: &str = include_str!("style.css");

/// A company's theme, as it is set and as it is in the address of its styles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Theme {
    /// Behind headings and buttons.
    accent: Accent,
    /// Light or dark.
    appearance: Appearance,
    /// What stands at the top.
    #[serde(skip_serializing)]
    pub logo_text: Option<String>,
}

/// A colour as `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Accent([u8; 3]);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Appearance {
    Light,
    Dark,
    #[default]
    System,
}

impl Default for Accent {
    fn default() -> Self {
        Self([0x0a, 0x5c, 0x8f])
    }
}

impl TryFrom<String> for Accent {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii());
        let number = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let number = number.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or("it is no colour")?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

impl From<Accent> for String {
    fn from(Accent([red, green, blue]): Accent) -> Self {
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Accent {
    /// Relative luminance by WCAG 2.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Black or white, whichever stands out more: by at least 4.5:1 for every colour.
    fn text_upon(self) -> &'static str {
        let luminance = self.luminance();
        if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 { "#ffffff" } else { "#000000" }
    }
}

impl Theme {
    /// The theme in the settings of the user interface; what is not acceptable there counts as not set.
    #[must_use]
    pub fn of(ui: Option<&Value>) -> Self {
        ui.and_then(|ui| Self::deserialize(&ui["theme"]).ok()).unwrap_or_default()
    }

    /// Address of the styles of all pages with this theme, or of those of a preview in a page with another.
    #[must_use]
    pub fn address(&self, preview: bool) -> String {
        let accent = String::from(self.accent);
        let appearance = match self.appearance {
            Appearance::Light => "light",
            Appearance::Dark => "dark",
            Appearance::System => "system",
        };
        format!("/user/theme.css?accent=%23{}&appearance={appearance}&preview={preview}", &accent[1..])
    }

    fn css(&self, selector: &str) -> String {
        let scheme = match self.appearance {
            Appearance::Light => "light",
            Appearance::Dark => "dark",
            Appearance::System => "light dark",
        };
        let (accent, upon) = (String::from(self.accent), self.accent.text_upon());
        format!("{selector} {{ color-scheme: {scheme}; --accent: {accent}; --on-accent: {upon}; }}\n")
    }
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(flatten)]
    theme: Theme,
    preview: String,
}

/// The styles of all pages.
pub(super) async fn style() -> Response {
    css(STYLE.to_owned())
}

/// The part of the styles that differs by company.
pub(super) async fn theme(Query(Wanted { theme, preview }): Query<Wanted>) -> Response {
    css(theme.css(if preview == "true" { ".preview" } else { ":root" }))
}

fn css(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_upon_any_accent_stands_out_enough() {
        for step in 0..=0xfff_u32 {
            let channel = |shift: u32| u8::try_from((step >> shift & 0xf) * 17).unwrap();
            let accent = Accent([channel(8), channel(4), channel(0)]);
            let (one, other) = (accent.luminance() + 0.05, if accent.text_upon() == "#ffffff" { 1.05 } else { 0.05 });
            let contrast = if one > other { one / other } else { other / one };
            assert!(contrast >= 4.5, "{} has {contrast}", String::from(accent));
        }
    }

    #[test]
    fn nothing_but_colours_gets_into_the_style() {
        let accent = |text: &str| Theme::of(Some(&json!({ "theme": { "accent": text } })));
        assert!(accent("#B00020").css(":root").contains("--accent: #b00020; --on-accent: #ffffff;"));
        for bad in ["red", "#fff", "#12345g", "#+12345", "#000000;}body{display:none", "#ä2345"] {
            assert_eq!(accent(bad), Theme::default(), "{bad}");
        }
        assert_eq!(Theme::of(Some(&json!("dark"))), Theme::default());
        let dark = Theme::of(Some(&json!({ "theme": { "appearance": "dark" } })));
        assert!(dark.css(".preview").starts_with(".preview { color-scheme: dark;"));
    }
}
