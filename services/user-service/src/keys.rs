//! The keys that tokens are signed with: read from the mounted Secret, and read anew when the kubelet has renewed that.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use easycode_contract::runtime::{SIGNING_KEY, SIGNING_KEYS};
use easycode_kit::Problem;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use serde::{Serialize, de::DeserializeOwned};

/// How often it is looked whether the keys have changed. One that begins to sign was published for a whole turn before.
const LOOK: Duration = Duration::from_secs(1);

struct Loaded {
    /// What the kubelet's link points to: another folder for each version of the Secret.
    data: Option<PathBuf>,
    looked: Instant,
    keys: Arc<Keys>,
}

/// All keys of one version of the Secret.
struct Keys {
    signing: EncodingKey,
    header: Header,
    published: JwkSet,
}

/// The keys in a folder, which may change.
pub struct SigningKeys {
    folder: PathBuf,
    loaded: Mutex<Option<Loaded>>,
}

impl SigningKeys {
    /// Those in a folder, which is read when they are first needed.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), loaded: Mutex::default() }
    }

    /// The public keys: that of before, that which signs, and that which is next.
    pub fn published(&self) -> Result<JwkSet, Problem> {
        Ok(self.keys()?.published.clone())
    }

    /// Signs claims.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, Problem> {
        let keys = self.keys()?;
        encode(&keys.header, claims, &keys.signing).map_err(|error| {
            tracing::error!(%error, "a token can't be signed");
            Problem::internal()
        })
    }

    /// The claims of what was signed here for the audience, unless it is over or of a key that no longer counts.
    pub fn read<C: DeserializeOwned + Clone>(&self, token: &str, audience: &str) -> Option<C> {
        let keys = self.keys().ok()?;
        let kid = decode_header(token).ok()?.kid?;
        let key = DecodingKey::from_jwk(keys.published.find(&kid)?).ok()?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        Some(decode(token, &key, &validation).ok()?.claims)
    }

    fn keys(&self) -> Result<Arc<Keys>, Problem> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.as_mut() {
            if known.looked.elapsed() < LOOK {
                return Ok(Arc::clone(&known.keys));
            }
            known.looked = Instant::now();
            if known.data == linked(&self.folder) {
                return Ok(Arc::clone(&known.keys));
            }
        }
        match read(&self.folder) {
            Ok((data, keys)) => {
                let keys = Arc::new(keys);
                *loaded = Some(Loaded { data, looked: Instant::now(), keys: Arc::clone(&keys) });
                Ok(keys)
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the signing keys can't be read");
                // Those of before are good for as long as there are no others.
                let known = loaded.as_ref().map(|known| Arc::clone(&known.keys));
                known.ok_or_else(|| Problem::unavailable("tokens can't be signed right now; try again"))
            }
        }
    }
}

/// The folder that holds the files at present, if the kubelet has mounted it.
fn linked(folder: &Path) -> Option<PathBuf> {
    fs::canonicalize(folder.join("..data")).ok()
}

fn read(folder: &Path) -> anyhow::Result<(Option<PathBuf>, Keys)> {
    let data = linked(folder);
    let mut published = JwkSet { keys: Vec::new() };
    let mut signing = None;
    for name in SIGNING_KEYS {
        let path = data.as_deref().unwrap_or(folder).join(name);
        let pem = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let key =
            EncodingKey::from_ec_pem(&pem).with_context(|| format!("{} is no P-256 private key", path.display()))?;
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        public.common.key_id = Some(public.thumbprint(ThumbprintHash::SHA256)?);
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        if name == SIGNING_KEY {
            let header = Header { kid: public.common.key_id.clone(), ..Header::new(Algorithm::ES256) };
            signing = Some((key, header));
        }
        published.keys.push(public);
    }
    ensure!(linked(folder) == data, "they are just being renewed");
    let (signing, header) = signing.context("none of them signs")?;
    Ok((data, Keys { signing, header, published }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
    };
    use serde_json::{Value, json};

    use super::*;

    fn pem() -> String {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(document))
    }

    /// A folder as the kubelet mounts a Secret.
    fn mounted(root: &Path, generation: &str, keys: &[String; 3]) {
        let data = root.join(generation);
        fs::create_dir_all(&data).unwrap();
        for (name, text) in SIGNING_KEYS.iter().zip(keys) {
            fs::write(data.join(name), text).unwrap();
        }
        let link = root.join("..data");
        let _ = fs::remove_file(&link);
        symlink(generation, &link).unwrap();
    }

    impl SigningKeys {
        /// As if it was looked long ago.
        fn forget(&self) {
            if let Some(known) = self.loaded.lock().unwrap().as_mut() {
                known.looked = known.looked.checked_sub(LOOK).unwrap();
            }
        }
    }

    #[test]
    fn a_turn_of_the_keys_refuses_nobody_and_the_next_turn_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let pems = [(); 5].map(|()| pem());
        let turn = |number: usize| [0, 1, 2].map(|at| pems[number + at].clone());
        mounted(root, "..1", &turn(0));
        let keys = SigningKeys::in_folder(root);
        let claims = json!({ "aud": "test", "exp": jsonwebtoken::get_current_timestamp() + 60 });
        let old = keys.sign(&claims).unwrap();
        let known = keys.published().unwrap();
        assert_eq!(known.keys.len(), 3);

        mounted(root, "..2", &turn(1));
        keys.forget();
        let new = keys.sign(&claims).unwrap();
        let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
        assert_ne!(kid(&old), kid(&new));
        assert!(known.find(&kid(&new)).is_some(), "it was published before it signed");
        assert!(keys.read::<Value>(&old, "test").is_some() && keys.read::<Value>(&new, "test").is_some());
        assert!(keys.read::<Value>(&new, "other").is_none(), "another audience");

        mounted(root, "..3", &turn(2));
        keys.forget();
        assert!(keys.read::<Value>(&old, "test").is_none());
        assert!(keys.read::<Value>(&new, "test").is_some());

        fs::remove_file(root.join("..data")).unwrap();
        keys.forget();
        assert_eq!(
            keys.published().unwrap().keys.len(),
            3,
            "those of before are good for as long as there are no others"
        );
    }
}
