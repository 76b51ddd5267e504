//! The certificate of the embedded Postgres: made by the operator, and renewed long before it expires.
//!
//! Its authority signs it alone, and the authority's key is forgotten at once, so a renewal brings a new authority, too. It
//! goes in two steps, each of which can be repeated: first everyone is told to trust the next authority beside the present
//! one, and a day later, when every pod has heard of it, the next certificate takes over.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::{
    Blueprint, postgres,
    secrets::{self, Kept, Secrets},
};
use crate::kubernetes::{labels, object::Planned};

/// Name of the Secret.
pub(crate) const SECRET: &str = "postgres-tls";
/// Key with the certificate.
pub(crate) const CERTIFICATE: &str = "tls.crt";
/// Key with the certificate's key.
pub(crate) const KEY: &str = "tls.key";
/// Key with what clients are to trust.
const AUTHORITY: &str = "ca.crt";
/// Keys of what takes over next.
const NEXT: [&str; 2] = ["next.crt", "next.key"];

/// How long a certificate is valid.
const LIFETIME: Duration = Duration::from_hours(365 * 24);
/// How long before its end it is renewed: an operator that is down for weeks does no harm.
const EARLY: Duration = Duration::from_hours(90 * 24);
/// From when clients are told of the next authority until its certificate is used. A kubelet brings a changed Secret within
/// minutes.
const OVERLAP: Duration = Duration::from_hours(24);
/// Clocks may differ by so much.
const SKEW: Duration = Duration::from_hours(1);

const END: &str = "-----END CERTIFICATE-----";

/// A certificate with its key and its authority, in PEM.
struct Issued {
    certificate: String,
    key: String,
    authority: String,
}

/// What clients of the stack's Postgres are to trust, and the Secret if it is to be written.
#[must_use]
pub fn planned(blueprint: &Blueprint, present: &Secrets, now: Timestamp) -> (String, Option<Planned>) {
    let namespace = blueprint.namespace();
    let next = step(present.get(SECRET), now, || issue(&namespace, now));
    let authority = next.text(AUTHORITY).unwrap_or_default().to_owned();
    (authority, secrets::changed(blueprint, SECRET, "Opaque", &next, present))
}

/// What the Secret is to hold.
fn step(present: Option<&Kept>, now: Timestamp, issue: impl Fn() -> Issued) -> Kept {
    let Some(present) = present.filter(|kept| [CERTIFICATE, KEY, AUTHORITY].iter().all(|key| kept.text(key).is_some()))
    else {
        let made = issue();
        let fields = [(CERTIFICATE, made.certificate), (KEY, made.key), (AUTHORITY, made.authority)];
        return Kept::new(fields, [(labels::EXPIRES, (now + LIFETIME).to_string())]);
    };
    let text = |key: &str| present.text(key).unwrap_or_default().to_owned();
    let fields = |certificate: &str, key: &str| {
        [(CERTIFICATE, text(certificate)), (KEY, text(key)), (AUTHORITY, text(AUTHORITY))]
    };
    let prepared = present.time(labels::PREPARED).filter(|_| NEXT.iter().all(|key| present.text(key).is_some()));
    if let Some(prepared) = prepared {
        if now < prepared + OVERLAP {
            return present.clone();
        }
        return Kept::new(fields(NEXT[0], NEXT[1]), [(labels::EXPIRES, (prepared + LIFETIME).to_string())]);
    }
    // Without a readable date it is renewed, which is never wrong.
    let expires = present.time(labels::EXPIRES).unwrap_or(now);
    if now + EARLY < expires {
        return present.clone();
    }
    let made = issue();
    let mut fields: BTreeMap<_, _> = fields(CERTIFICATE, KEY).into();
    fields.insert(NEXT[0], made.certificate);
    fields.insert(NEXT[1], made.key);
    // The present one is first; those of before are no longer needed.
    fields.insert(AUTHORITY, format!("{}{}", made.authority, first(&text(AUTHORITY))));
    let annotations = [(labels::EXPIRES, expires.to_string()), (labels::PREPARED, now.to_string())];
    Kept::new(fields, annotations)
}

/// The first certificate of several.
fn first(certificates: &str) -> String {
    certificates.find(END).map_or_else(String::new, |end| format!("{}{END}\n", &certificates[..end]))
}

/// A new certificate by a new authority.
///
/// # Panics
/// Never: a namespace's name is a name of the Domain Name System, and the system gives random numbers.
fn issue(namespace: &str, now: Timestamp) -> Issued {
    let name = postgres::NAME;
    let hosts = [".svc", ".svc.cluster.local", ""].map(|domain| format!("{name}.{namespace}{domain}"));
    let date = |time: Timestamp| OffsetDateTime::from_unix_timestamp(time.as_second()).expect("a date of this age");
    let dated = |mut parameters: CertificateParams, of: &str| {
        (parameters.not_before, parameters.not_after) = (date(now - SKEW), date(now + LIFETIME));
        parameters.distinguished_name.push(DnType::CommonName, of);
        parameters
    };
    let mut authority = dated(CertificateParams::default(), &format!("authority of {name}.{namespace}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut server = CertificateParams::new(hosts.to_vec()).expect("a namespace's name is a DNS name");
    server = dated(server, &format!("{name}.{namespace}"));
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = || KeyPair::generate().expect("the system gives random numbers");
    let (authority_key, server_key) = (key(), key());
    let root = authority.self_signed(&authority_key).expect("the parameters are fit for it");
    let issuer = Issuer::new(authority, authority_key);
    let certificate = server.signed_by(&server_key, &issuer).expect("the parameters are fit for it");
    Issued { certificate: certificate.pem(), key: server_key.serialize_pem(), authority: root.pem() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_hours(hours)
    }

    fn issued(number: u32) -> impl Fn() -> Issued {
        move || Issued {
            certificate: format!("certificate {number}"),
            key: format!("key {number}"),
            authority: format!("authority {number}\n{END}\n"),
        }
    }

    #[test]
    fn it_is_kept_until_it_is_renewed_early_and_clients_hear_of_the_next_first() {
        let first = step(None, at(0), issued(1));
        assert_eq!(first.text(CERTIFICATE), Some("certificate 1"));
        let renewal = (365 - 90) * 24;
        assert!(step(Some(&first), at(renewal - 1), issued(2)) == first);

        let told = step(Some(&first), at(renewal), issued(2));
        assert_eq!(told.text(CERTIFICATE), Some("certificate 1"));
        assert_eq!(told.text(AUTHORITY), Some(format!("authority 2\n{END}\nauthority 1\n{END}\n").as_str()));
        assert!(step(Some(&told), at(renewal + 23), issued(3)) == told);

        let renewed = step(Some(&told), at(renewal + 24), issued(3));
        assert_eq!((renewed.text(CERTIFICATE), renewed.text(KEY)), (Some("certificate 2"), Some("key 2")));
        assert_eq!(renewed.text(AUTHORITY), told.text(AUTHORITY));
        assert_eq!(renewed.time(labels::EXPIRES), Some(at(renewal + 365 * 24)));
        assert!(step(Some(&renewed), at(renewal + 25), issued(3)) == renewed);

        let again = step(Some(&renewed), at(2 * renewal), issued(3));
        assert_eq!(again.text(AUTHORITY), Some(format!("authority 3\n{END}\nauthority 2\n{END}\n").as_str()));
    }

    #[test]
    fn lost_dates_lead_to_a_renewal_that_still_tells_clients_first() {
        let mut kept = step(None, at(0), issued(1));
        kept.annotations.clear();
        let told = step(Some(&kept), at(1), issued(2));
        assert_eq!((told.text(CERTIFICATE), told.text(NEXT[0])), (Some("certificate 1"), Some("certificate 2")));
    }

    #[test]
    fn a_real_one_has_two_parts_in_pem() {
        let made = issue("easycode-platform-eu1", at(500_000));
        assert_eq!(first(&made.authority).trim(), made.authority.replace("\r\n", "\n").trim());
        assert!(made.certificate.contains(END) && made.key.contains("PRIVATE KEY"));
    }
}
