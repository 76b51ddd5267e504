//! A form for settings, made of their JSON Schema: objects, lists of objects, lists of texts, texts, numbers, and what is true or not.
//! A field's name and id is the JSON Pointer to what it sets, so that what is refused is told beside it.

use easycode_kit::problem::Violation;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{
    controls::{Field, tick, wrong},
    forms::Fields,
};

/// Deepest that a schema may go.
const DEEPEST: usize = 8;
/// Empty rows of a list, to be filled in.
const ROOM: usize = 2;

/// A part of a schema: what is said where it is used, and what it is.
#[derive(Clone, Copy)]
struct Part<'a> {
    said: &'a Value,
    what: &'a Value,
}

enum Kind<'a> {
    /// With its properties, if it has any.
    Object(Option<&'a Map<String, Value>>),
    Rows(&'a Value),
    Lines,
    Choice(Vec<&'a str>),
    Text,
    Number,
    Boolean,
}

/// A form.
pub struct SchemaForm<'a> {
    root: &'a Value,
}

impl<'a> SchemaForm<'a> {
    /// For a schema, if all of it can be put into a form.
    #[must_use]
    pub fn of(root: &'a Value) -> Option<Self> {
        let form = Self { root };
        form.is_complete(root, 0).then_some(form)
    }

    /// Whether there is anything to set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.kind(self.part(self.root)), Some(Kind::Object(properties)) if properties.is_none_or(Map::is_empty))
    }

    /// The fields, filled in with a value.
    #[must_use]
    pub fn fields(&self, value: &Value, errors: &[Violation]) -> Markup {
        html! {
            @if let Some(Kind::Object(properties)) = self.kind(self.part(self.root)) {
                @for (name, schema) in properties.into_iter().flatten() { (self.field(schema, &below("", name), value.get(name), errors)) }
            }
        }
    }

    /// The value that the fields were filled in with.
    #[must_use]
    pub fn read(&self, fields: &Fields) -> Value {
        self.value(self.root, "", fields).unwrap_or_else(|| Value::Object(Map::new()))
    }

    /// Each where it can be shown: at its field, or at what is around it.
    #[must_use]
    pub fn place(&self, errors: Vec<Violation>) -> Vec<Violation> {
        errors.into_iter().map(|error| Violation { pointer: self.shown_at(&error.pointer), ..error }).collect()
    }

    fn shown_at(&self, pointer: &str) -> String {
        let (mut schema, mut found) = (self.root, String::new());
        for segment in pointer.split('/').skip(1) {
            let next = match self.kind(self.part(schema)) {
                Some(Kind::Object(properties)) => properties.and_then(|properties| properties.get(&unescaped(segment))),
                Some(Kind::Rows(item)) if segment.parse::<usize>().is_ok() => Some(item),
                _ => None,
            };
            let Some(next) = next else { break };
            schema = next;
            found = format!("{found}/{segment}");
        }
        found
    }

    fn part<'b>(&'b self, schema: &'b Value) -> Part<'b> {
        let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        let what = reference.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema);
        Part { said: schema, what }
    }

    fn kind<'b>(&self, part: Part<'b>) -> Option<Kind<'b>> {
        match part.what["type"].as_str()? {
            "object" => Some(Kind::Object(part.what["properties"].as_object())),
            "array" => match self.part(&part.what["items"]).what["type"].as_str()? {
                "object" => Some(Kind::Rows(&part.what["items"])),
                "string" => Some(Kind::Lines),
                _ => None,
            },
            "string" => match part.what["enum"].as_array() {
                Some(values) => values.iter().map(Value::as_str).collect::<Option<_>>().map(Kind::Choice),
                None => Some(Kind::Text),
            },
            "integer" | "number" => Some(Kind::Number),
            "boolean" => Some(Kind::Boolean),
            _ => None,
        }
    }

    fn is_complete(&self, schema: &Value, depth: usize) -> bool {
        if depth > DEEPEST {
            return false;
        }
        match self.kind(self.part(schema)) {
            Some(Kind::Object(properties)) => {
                let closed = self.part(schema).what["additionalProperties"] == false;
                closed
                    && properties
                        .into_iter()
                        .flat_map(Map::values)
                        .all(|property| self.is_complete(property, depth + 1))
            }
            Some(Kind::Rows(item)) => self.is_complete(item, depth + 1),
            kind => kind.is_some() && depth > 0,
        }
    }

    fn field(&self, schema: &Value, pointer: &str, value: Option<&Value>, errors: &[Violation]) -> Markup {
        let part = self.part(schema);
        let (title, hint) = (part.title(pointer), part.hint());
        let field = Field::new(pointer, title, errors).hint(&hint);
        let text = || value.map(plain).unwrap_or_default();
        match self.kind(part) {
            Some(Kind::Object(properties)) => html! {
                fieldset id=(pointer) tabindex="-1" {
                    legend { (title) }
                    @if !hint.is_empty() { p class="hint" { (hint) } }
                    (wrong(pointer, errors))
                    @for (name, property) in properties.into_iter().flatten() {
                        (self.field(property, &below(pointer, name), value.and_then(|value| value.get(name)), errors))
                    }
                }
            },
            Some(Kind::Rows(item)) => self.rows(part, item, pointer, value, errors),
            Some(Kind::Lines) => {
                let lines = value.and_then(Value::as_array).into_iter().flatten().map(plain).collect::<Vec<_>>();
                field.lines(lines.len().max(2) + 1, &lines.join("\n"))
            }
            Some(Kind::Choice(values)) => field.choice(&part.options(&values), &text()),
            Some(Kind::Boolean) => field.choice(&part.options(&["true", "false"]), &text()),
            Some(Kind::Text | Kind::Number) => field.line("text", "off", &text()),
            None => html! {},
        }
    }

    fn rows(&self, part: Part<'_>, item: &Value, pointer: &str, value: Option<&Value>, errors: &[Violation]) -> Markup {
        let rows = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let most = part.most();
        let set = format!("{pointer}?set");
        let item_part = self.part(item);
        html! {
            fieldset id=(pointer) tabindex="-1" {
                legend { (part.title(pointer)) }
                p class="hint" { (part.hint()) " What is left empty is left out; save to get room for more." }
                (wrong(pointer, errors))
                (tick(&set, "yes", &set, value.is_some(), "Set this list, even if it is empty"))
                @for at in 0..(rows.len() + ROOM).min(most) {
                    @let here = format!("{pointer}/{at}");
                    fieldset id=(here) tabindex="-1" {
                        legend { (item_part.title("Entry")) " " (at + 1) @if at >= rows.len() { " (new)" } }
                        (wrong(&here, errors))
                        @if let Some(Kind::Object(properties)) = self.kind(item_part) {
                            @for (name, property) in properties.into_iter().flatten() {
                                @let value = rows.get(at).and_then(|row| row.get(name));
                                (self.field(property, &below(&here, name), value, errors))
                            }
                        }
                    }
                }
            }
        }
    }

    /// What was filled in; `None` where nothing was.
    fn value(&self, schema: &Value, pointer: &str, fields: &Fields) -> Option<Value> {
        let part = self.part(schema);
        let text = fields.get(pointer);
        match self.kind(part)? {
            Kind::Object(properties) => {
                let set = |(name, property): (&String, &Value)| {
                    Some((name.clone(), self.value(property, &below(pointer, name), fields)?))
                };
                let set: Map<_, _> = properties.into_iter().flatten().filter_map(set).collect();
                (!set.is_empty()).then_some(Value::Object(set))
            }
            Kind::Rows(item) => {
                let row = |at| self.value(item, &format!("{pointer}/{at}"), fields);
                let rows: Vec<_> = (0..part.most()).filter_map(row).collect();
                let set = !rows.is_empty() || fields.get(&format!("{pointer}?set")) == "yes";
                set.then_some(Value::Array(rows))
            }
            Kind::Lines => {
                // Space at the beginning of a line may be meant.
                let lines = fields.all(pointer).next().unwrap_or_default().trim_end().lines();
                let lines: Vec<_> = lines.map(|line| Value::from(line.trim_end())).collect();
                (!lines.is_empty()).then_some(Value::Array(lines))
            }
            _ if text.is_empty() => None,
            Kind::Boolean => Some(Value::Bool(text == "true")),
            // What is no number is refused by who knows the schema, with where and why.
            Kind::Number => Some(
                text.parse::<i64>()
                    .map_or_else(|_| text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from), Value::from),
            ),
            Kind::Choice(_) | Kind::Text => Some(Value::from(text)),
        }
    }
}

impl Part<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.said[name].as_str().or_else(|| self.what[name].as_str())
    }

    fn title<'b>(&'b self, otherwise: &'b str) -> &'b str {
        self.text("title").unwrap_or(otherwise)
    }

    fn hint(&self) -> String {
        let bounds = match (&self.what["minimum"], &self.what["maximum"]) {
            (Value::Number(least), Value::Number(most)) => format!(" From {least} to {most}."),
            _ => String::new(),
        };
        let default = match &self.what["default"] {
            Value::Number(default) => format!(" Without this: {default}."),
            Value::String(default) if !self.what["enum"].is_array() => format!(" Without this: {default}."),
            _ => String::new(),
        };
        format!("{}{bounds}{default}", self.text("description").unwrap_or_default())
    }

    fn most(&self) -> usize {
        self.what["maxItems"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(100).min(100)
    }

    /// What can be chosen, with the default first.
    fn options(&self, values: &[&str]) -> Vec<(String, String)> {
        let word = |value: &str| match value {
            "true" => "yes".to_owned(),
            "false" => "no".to_owned(),
            other => other.to_owned(),
        };
        let default = match &self.what["default"] {
            Value::Null => "not set".to_owned(),
            default => format!("as by default: {}", word(&plain(default))),
        };
        let values = values.iter().map(|value| ((*value).to_owned(), word(value)));
        std::iter::once((String::new(), default)).chain(values).collect()
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "receipt": { "type": "object", "additionalProperties": false, "title": "Receipt", "properties": {
                    "header": { "$ref": "#/$defs/lines", "description": "At the top." },
                    "width": { "type": "integer", "minimum": 20, "maximum": 120 },
                    "showTax": { "type": "boolean", "default": true },
                } },
                "steps": { "type": "array", "maxItems": 3, "items": {
                    "type": "object", "additionalProperties": false,
                    "properties": { "role": { "type": "string" }, "kind": { "type": "string", "enum": ["One", "All"] } },
                } },
            },
            "$defs": { "lines": { "type": "array", "maxItems": 10, "items": { "type": "string" } } },
        })
    }

    #[test]
    fn what_is_filled_in_is_read_and_what_is_left_empty_is_not_set() {
        let schema = schema();
        let form = SchemaForm::of(&schema).unwrap();
        assert_eq!(form.read(&Fields::of(&[])), json!({}));
        let empty =
            [("/receipt/header", "\r\n"), ("/receipt/width", " "), ("/steps/0/role", ""), ("/steps/0/kind", "")];
        assert_eq!(form.read(&Fields::of(&empty)), json!({}));
        let filled = [
            ("/receipt/header", "  Aurora\r\nMain Street 1 \r\n"),
            ("/receipt/width", "32"),
            ("/receipt/showTax", "false"),
            ("/steps/0/role", ""),
            ("/steps/1/role", "cfo"),
            ("/steps/1/kind", "All"),
            ("/steps/7/role", "beyond"),
        ];
        let expected = json!({
            "receipt": { "header": ["  Aurora", "Main Street 1"], "width": 32, "showTax": false },
            "steps": [{ "role": "cfo", "kind": "All" }],
        });
        assert_eq!(form.read(&Fields::of(&filled)), expected);
        assert_eq!(form.read(&Fields::of(&[("/receipt/width", "wide")])), json!({ "receipt": { "width": "wide" } }));
        assert_eq!(form.read(&Fields::of(&[("/steps?set", "yes")])), json!({ "steps": [] }));
    }

    #[test]
    fn what_is_refused_is_told_at_its_field() {
        let schema = schema();
        let form = SchemaForm::of(&schema).unwrap();
        let at = |pointer: &str| {
            let error = Violation { pointer: pointer.to_owned(), detail: "wrong".to_owned() };
            form.place(vec![error]).remove(0).pointer
        };
        assert_eq!(at("/receipt/width"), "/receipt/width");
        assert_eq!(at("/receipt/header/3"), "/receipt/header");
        assert_eq!(at("/steps/1/role"), "/steps/1/role");
        assert_eq!(at("/steps/1/other"), "/steps/1");
        assert_eq!(at("/nonsense/x"), "");
        let errors = [Violation { pointer: "/receipt/width".to_owned(), detail: "too wide".to_owned() }];
        let page = form.fields(&json!({ "receipt": { "width": 500, "header": ["<b>"] } }), &errors).into_string();
        for part in [
            r#"<label for="/receipt/width">"#,
            r#"aria-describedby="/receipt/width-hint /receipt/width-error" aria-invalid="true""#,
            r#"<p class="error" id="/receipt/width-error">too wide</p>"#,
            "&lt;b&gt;",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }

    #[test]
    fn what_no_form_can_be_made_of_is_left_to_the_text() {
        for beyond in [
            json!({ "type": "object" }),
            json!({ "type": "string" }),
            json!({ "type": "object", "additionalProperties": false, "properties": { "a": { "oneOf": [] } } }),
            json!({ "type": "object", "additionalProperties": false, "properties": { "a": { "$ref": "#" } } }),
        ] {
            assert!(SchemaForm::of(&beyond).is_none(), "{beyond}");
        }
        assert!(SchemaForm::of(&json!({ "type": "object", "additionalProperties": false })).unwrap().is_empty());
    }
}
