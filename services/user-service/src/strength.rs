//! Which passwords are taken: long ones that are hard to guess, also for who knows the person and the company. The most common ones of
//! those that have leaked anywhere count as guessed at once, and so does what is made of them; the list is zxcvbn's.

use easycode_kit::Problem;
use zxcvbn::{Score, zxcvbn};

use crate::{realm::Realm, secret::Secret};

/// Fewest and most characters.
const LENGTH: std::ops::RangeInclusive<usize> = 12..=128;
/// Characters that are estimated: of more the estimate takes seconds for some, and what begins well is good enough.
const ESTIMATED: usize = 40;
/// Fewest characters beside the person's and the company's names.
const LEAST_OF_ITS_OWN: usize = 8;

/// Refuses a password that is not good enough for the person.
pub async fn check(realm: &Realm, password: &Secret, email: &str, name: &str) -> Result<(), Problem> {
    let names = [email, name, realm.tenant(), &realm.context.display_name];
    let parts = names.iter().flat_map(|text| text.split(|one: char| !one.is_alphanumeric()));
    let about: Vec<String> =
        parts.chain(names).chain(["easycode"]).filter(|one| !one.is_empty()).map(str::to_owned).collect();
    let looked_at = password.clone();
    // The longer the password, the longer it takes.
    let refusal = realm.shared().hasher.in_turn(realm.tenant(), move |_| {
        let about: Vec<&str> = about.iter().map(String::as_str).collect();
        refusal(&looked_at, &about)
    });
    match refusal.await? {
        Some(refusal) => Err(Problem::invalid(format!("password: {refusal}"))),
        None => Ok(()),
    }
}

/// Why it is too weak, if it is.
fn refusal(password: &Secret, about: &[&str]) -> Option<String> {
    let length = password.reveal().chars().count();
    if !LENGTH.contains(&length) {
        return Some(format!("must have {} to {} characters", LENGTH.start(), LENGTH.end()));
    }
    if own_part(password, about) < LEAST_OF_ITS_OWN {
        return Some(
            "is made of your name, address or company; take several words that don't belong together".to_owned(),
        );
    }
    let beginning: String = password.reveal().chars().take(ESTIMATED).collect();
    let estimate = zxcvbn(&beginning, about);
    if estimate.score() >= Score::Three {
        return None;
    }
    let feedback = estimate.feedback();
    let why = feedback.and_then(zxcvbn::feedback::Feedback::warning).map(|warning| format!(" {warning}"));
    Some(format!("is too easy to guess; take several words that don't belong together.{}", why.unwrap_or_default()))
}

/// Characters that are left of it without what it is about: the estimate takes names for hard to guess once there are three of them.
fn own_part(password: &Secret, about: &[&str]) -> usize {
    let mut words: Vec<_> = about.iter().map(|word| word.to_lowercase()).filter(|word| word.len() > 2).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let rest = words.iter().fold(password.reveal().to_lowercase(), |rest, word| rest.replace(word.as_str(), ""));
    rest.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_refused_and_strong_ones_are_not() {
        let about = ["ada", "aurora", "ada@aurora.example", "Ada", "Lovelace", "Aurora", "Textiles"];
        let refused = |password: &str| refusal(&Secret::from(password.to_owned()), &about);
        for weak in [
            "short",
            "password1234",
            "qwertyuiop12",
            "aaaaaaaaaaaaaaaa",
            "123456789012345",
            "AdaLovelace1",
            "aurora-textiles",
            "ada@aurora.example",
            &"x1Y?".repeat(40),
        ] {
            assert!(refused(weak).is_some(), "{weak}");
        }
        for strong in ["staple otter quartz lamp", "vR7#kq92!mZxp", "ünter wölfen stünd er"] {
            assert_eq!(refused(strong), None, "{strong}");
        }
    }
}
