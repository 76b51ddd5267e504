//! How the service logs in to its database, read from the mounted Secret.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context, ensure};
use sqlx::postgres::PgConnectOptions;

/// Names of the files, of which the last may be missing.
const FIELDS: [&str; 7] = ["host", "port", "user", "password", "dbname", "sslmode", "ca.crt"];
/// The files' texts, by name.
pub(crate) type Fields = BTreeMap<&'static str, String>;

/// Reads how to connect from the folder of one file a field.
pub fn options(folder: &Path) -> anyhow::Result<PgConnectOptions> {
    parse(&read(folder)?)
}

/// All fields, as they were at one time. The kubelet changes them all at once, by a link to the folder that holds them.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Fields> {
    let linked = || fs::canonicalize(folder.join("..data")).ok();
    let data = linked();
    let mut fields = Fields::new();
    for name in FIELDS {
        let path = data.as_deref().unwrap_or(folder).join(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                fields.insert(name, text.trim().to_owned());
            }
            Err(error) if name == "ca.crt" && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
    ensure!(linked() == data, "they are just being renewed");
    Ok(fields)
}

/// How to connect.
pub(crate) fn parse(fields: &Fields) -> anyhow::Result<PgConnectOptions> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&fields["host"])
        .port(fields["port"].parse().context("port is no number")?)
        .username(&fields["user"])
        .password(&fields["password"])
        .database(&fields["dbname"])
        .ssl_mode(fields["sslmode"].parse()?);
    if let Some(certificate) = fields.get("ca.crt") {
        options = options.ssl_root_cert_from_pem(certificate.clone().into_bytes());
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder as the kubelet mounts a Secret.
    fn mounted(root: &Path, generation: &str, user: &str, authority: bool) {
        let data = root.join(generation);
        fs::create_dir_all(&data).unwrap();
        for (name, text) in [("host", "h"), ("port", "5432"), ("dbname", "crm"), ("password", user), ("user", user)] {
            fs::write(data.join(name), format!("{text}\n")).unwrap();
        }
        fs::write(data.join("sslmode"), if authority { "verify-full" } else { "prefer" }).unwrap();
        if authority {
            fs::write(data.join("ca.crt"), "PEM").unwrap();
        }
        let link = root.join("..data");
        let _ = fs::remove_file(&link);
        symlink(generation, &link).unwrap();
    }

    #[test]
    fn a_renewed_secret_is_read_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        mounted(root, "..1", "svc_crm", false);
        let before = read(root).unwrap();
        assert_eq!((before["user"].as_str(), before.get("ca.crt")), ("svc_crm", None));
        mounted(root, "..2", "svc2_crm", true);
        let after = read(root).unwrap();
        assert_eq!((after["user"].as_str(), after["password"].as_str()), ("svc2_crm", "svc2_crm"));
        assert_eq!(parse(&after).unwrap().get_username(), "svc2_crm");
        // What is incomplete is not taken for the new state.
        fs::remove_file(root.join("..2/password")).unwrap();
        assert!(read(root).is_err());
    }
}
