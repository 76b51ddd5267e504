//! What a browser makes of a page, as far as the tests need it: attributes in quotes, as both renderers write them.

use std::collections::BTreeMap;

use anyhow::Context;

/// An element's beginning, and all that follows it.
struct Tag<'a> {
    name: &'a str,
    attributes: BTreeMap<&'a str, String>,
    rest: &'a str,
}

fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#43;", "+")];
    let text = entities.into_iter().fold(text.to_owned(), |text, (entity, is)| text.replace(entity, is));
    text.replace("&amp;", "&")
}

fn tags(html: &str) -> Vec<Tag<'_>> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(begin) = rest.find('<') {
        rest = &rest[begin + 1..];
        let Some(length) = end_of_tag(rest) else { break };
        let (inside, after) = (&rest[..length], &rest[length + 1..]);
        let name = inside.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        if !name.is_empty() {
            found.push(Tag { name, attributes: attributes(&inside[name.len()..]), rest: after });
        }
        rest = after;
    }
    found
}

/// Where a tag ends, which may have the same letter within quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.find(|c: char| {
        quoted ^= c == '"';
        c == '>' && !quoted
    })
}

fn attributes(text: &str) -> BTreeMap<&str, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix("=\"").and_then(|after| after.split_once('"')) {
            Some((value, after)) => (unescaped(value), after),
            None => (String::new(), after),
        };
        if !name.is_empty() {
            found.insert(name, value);
        }
        rest = after.trim_start_matches(|c: char| c.is_whitespace() || c == '/' || c == '=');
    }
    found
}

/// The text that people read below the heading's parent, with single spaces.
pub fn text(html: &str) -> String {
    let main = html.split_once("<main").map_or(html, |(_, main)| main);
    let main = main.split_once("</main>").map_or(main, |(main, _)| main);
    let mut text = String::new();
    let mut rest = main.split_once('>').map_or(main, |(_, rest)| rest);
    while let Some((words, after)) = rest.split_once('<') {
        text.push_str(words);
        text.push(' ');
        rest = end_of_tag(after).map_or("", |end| &after[end + 1..]);
    }
    unescaped(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The values that the form with the action would send as it is.
pub fn form(html: &str, action: &str) -> anyhow::Result<Vec<(String, String)>> {
    let all = tags(html);
    let is_it = |tag: &&Tag| tag.name == "form" && tag.attributes.get("action").is_some_and(|one| one == action);
    let form = all.iter().find(is_it).with_context(|| format!("no form {action} in {}", text(html)))?;
    let inside = form.rest.split_once("</form>").map_or(form.rest, |(inside, _)| inside);
    let mut sent = Vec::new();
    for tag in tags(inside) {
        let Some(name) = tag.attributes.get("name").cloned() else { continue };
        let value = match tag.name {
            "textarea" => unescaped(tag.rest.split("</textarea>").next().unwrap_or_default()),
            "select" => {
                let options = tag.rest.split("</select>").next().unwrap_or_default();
                let options = tags(options);
                let chosen = options.iter().find(|one| one.attributes.contains_key("selected")).or(options.first());
                chosen.and_then(|one| one.attributes.get("value").cloned()).unwrap_or_default()
            }
            "input" => {
                let kind = tag.attributes.get("type").map_or("text", String::as_str);
                if matches!(kind, "checkbox" | "radio") && !tag.attributes.contains_key("checked") {
                    continue;
                }
                tag.attributes.get("value").cloned().unwrap_or_default()
            }
            _ => continue,
        };
        sent.push((name, value));
    }
    Ok(sent)
}

/// The text of the element with the id.
pub fn by_id(html: &str, id: &str) -> Option<String> {
    let all = tags(html);
    let tag = all.iter().find(|tag| tag.attributes.get("id").is_some_and(|one| one == id))?;
    Some(unescaped(tag.rest.split('<').next().unwrap_or_default()))
}
